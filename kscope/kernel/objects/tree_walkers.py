"""Ways through trees in order, each node checked against its parent: red-black trees, maple trees,
XArrays and radix trees.
"""

from collections.abc import Iterator
from typing import NamedTuple

from drgn import FaultError, Object, Program, Type, offsetof
from drgn.helpers.linux.radixtree import radix_tree_for_each

from kscope.kernel.access.memory_image import wrapped
from kscope.kernel.access.reading import READ_ERRORS, reason
from kscope.kernel.objects.identify_address import Addresses
from kscope.kernel.objects.walkers import BrokenError, Node, Walker, named
from kscope.model.base import QueryError

_HIGHEST_TREE = 128
"""A sound red-black tree of 2**64 nodes is no higher."""
_HIGHEST = (1 << 64) - 1
_LOWEST_NODE = 4096
"""include/linux/xarray.h: what is tagged as internal and lower is no node."""
_ZERO_ENTRY = 257 << 2 | 2
_NODE_MASK = ~0xFF
"""include/linux/maple_tree.h: a node's address; below it are its type and flags."""


class _Inner(NamedTuple):
    """An inner node of a tree whose nodes have slots."""

    address: int
    parent: int | None
    """``None`` where that is not to be checked."""
    path: str


class TreeWalker:
    """Walks through the trees of one target."""

    def __init__(self, program: Program, addresses: Addresses) -> None:
        self._program = program
        self._walker = Walker(program, addresses)
        self._position = -1

    # Red-black trees.

    def rbtree(self, root: int, *, is_node: bool = False) -> Iterator[Node]:
        """A red-black tree; ``root`` is the address of its ``struct rb_root``.

        :param is_node: ``root`` is the address of the highest ``struct rb_node``.
        """
        type_ = self._program.type("struct rb_node")
        left, right = offsetof(type_, "rb_left"), offsetof(type_, "rb_right")
        parent_at = offsetof(type_, "__rb_parent_color")
        node, parent, path = root, -1, "root"
        if not is_node:
            node, parent = self._walker.follow(root, -1, root, "rb_node", may_end=True), 0
            if node:
                self._walker.refuse_bad(node, -1, root, "rb_node")
        stack: list[tuple[int, str]] = []
        position = -1
        while node or stack:
            while node:
                if len(stack) >= _HIGHEST_TREE:
                    raise BrokenError(
                        f"{named(position, node)} is {len(stack)} levels deep: the tree is a loop",
                        position, node, node,
                    )  # fmt: skip
                if parent >= 0:
                    self._check_parent(node, parent, parent_at, position, parent or root)
                stack.append((node, path))
                parent, node, path = node, self._child(node, left, position), f"{path}/l"
            node, path = stack.pop()
            position += 1
            yield Node(node, depth=len(stack), position=path)
            parent, node, path = node, self._child(node, right, position), f"{path}/r"

    def _child(self, node: int, offset: int, position: int) -> int:
        child = self._read(node + offset, 8, position, node, node)[0]
        if child:
            self._walker.refuse_bad(child, position, node, "a child")
        return child

    def _check_parent(
        self, node: int, parent: int, offset: int, position: int, before: int
    ) -> None:
        """:param before: what points at the node: its parent, or the root, which is none."""
        found = self._read(node + offset, 8, position, before, node)
        if found[0] & ~3 != parent:
            raise BrokenError(
                f"{named(position, before)} has a child {node:x}, whose parent is"
                f" {found[0] & ~3:x}",
                position, before, node,
            )  # fmt: skip

    def _read(
        self, address: int, size: int, position: int, parent: int, node: int
    ) -> tuple[int, ...]:
        """The words of a node, which ``parent`` points at."""
        try:
            raw = self._program.read(wrapped(address), size)
        except FaultError as error:
            if node == parent:
                raise BrokenError(
                    f"{named(position, node)} cannot be read: {reason(error)}",
                    position, node, node,
                ) from error  # fmt: skip
            raise BrokenError(
                f"{named(position, parent)} has a child {node:x}, which cannot be read:"
                f" {reason(error)}",
                position, parent, node,
            ) from error  # fmt: skip
        return tuple(int.from_bytes(raw[at : at + 8], "little") for at in range(0, size, 8))

    # XArrays.

    def xarray(self, array: int, *, is_node: bool = False) -> Iterator[Node]:
        """An XArray's entries.

        :param is_node: ``array`` is the highest ``struct xa_node``, or the ``xa_head`` that is
            tagged as one.
        """
        self._position = -1
        if is_node:
            yield from self._slots(_Inner(array & ~3, None, "root"), 0, set())
            return
        offset = offsetof(self._program.type("struct xarray"), "xa_head")
        entry = self._read(array + offset, 8, -1, array, array)[0]
        yield from self._entry(entry, 0, _Inner(array, 0, "root"), set())

    def _entry(self, entry: int, index: int, inner: _Inner, seen: set[int]) -> Iterator[Node]:
        if _is_node(entry):
            yield from self._slots(inner._replace(address=entry & ~3), index, seen)
        elif entry & 3 != 2 and entry:
            # What is tagged as internal and no node stands for nothing, or for a slot before it.
            self._position += 1
            yield Node(entry, index, is_value=bool(entry & 1), position=inner.path)

    def _slots(self, inner: _Inner, index: int, seen: set[int]) -> Iterator[Node]:
        type_ = self._program.type("struct xa_node")
        slots = type_.member("slots").type
        node, parent = inner.address, inner.parent
        self._walker.refuse_bad(node, self._position, parent or node, "a node")
        words = self._read(node, type_.size, self._position, parent or node, node)
        shift = self._program.read_u8(node + offsetof(type_, "shift"))
        found = words[offsetof(type_, "parent") // 8]
        if node in seen or (parent is not None and found != parent):
            why = "which came before" if node in seen else f"whose parent is {found:x}"
            raise BrokenError(
                f"{named(self._position, parent or node)} leads to the node {node:x}, {why}",
                self._position, parent or node, node,
            )  # fmt: skip
        seen.add(node)
        first = offsetof(type_, "slots") // 8
        for slot, entry in enumerate(words[first : first + slots.length]):
            below = _Inner(0, node, f"{inner.path}/{slot}")
            yield from self._entry(entry, index + (slot << shift), below, seen)

    def radix(self, root: int, *, is_node: bool = False) -> Iterator[Node]:
        """A radix tree's entries."""
        # An XArray since Linux kernel commit f8d5d0cc145c ("xarray: Add definition of struct
        # xarray") (in v4.20).
        try:
            self._program.type("struct radix_tree_root")
        except LookupError:
            yield from self.xarray(root, is_node=is_node)
            return
        if is_node:
            raise QueryError("A radix tree of this kernel is walked from its root.")
        position, node = -1, root
        try:
            for index, entry in radix_tree_for_each(
                Object(self._program, "struct radix_tree_root *", root)
            ):
                position += 1
                node = entry.value_()
                yield Node(node, index, is_value=bool(node & 1))
        except (RecursionError, *READ_ERRORS) as error:
            raise BrokenError(
                f"What follows {named(position, node).lower()} cannot be read: {reason(error)}",
                position, node, node,
            ) from error  # fmt: skip

    # Maple trees.

    def maple(self, tree: int, *, is_node: bool = False) -> Iterator[Node]:
        """A maple tree's entries with the ranges of indexes they stand for.

        :param is_node: ``tree`` is a ``ma_root`` that is tagged as a node, with its type.
        """
        self._position = -1
        entry = tree
        if not is_node:
            offset = offsetof(self._program.type("struct maple_tree"), "ma_root")
            entry = self._read(tree + offset, 8, -1, tree, tree)[0]
        elif not entry >> 3 & 0xF:
            raise QueryError(
                f"{tree:x} does not say which type of node it is.",
                "ma_root as it stands does: its lowest byte has the type.",
            )
        if is_node or _is_node(entry):
            parent = None if is_node else tree
            yield from self._ranges(entry, _Inner(entry & _NODE_MASK, parent, "root"), 0, _HIGHEST)
        elif entry:
            yield Node(entry, 0, 0, position="root")

    def _ranges(self, tagged: int, inner: _Inner, first: int, highest: int) -> Iterator[Node]:
        pivots, slots, is_leaf = self._parts(tagged >> 3 & 0xF, inner)
        node, parent = inner.address, inner.parent
        words = self._read(node, 256, self._position, parent or node, node)
        self._check_maple_parent(words[0], inner)
        for slot, at in enumerate(slots):
            # As mt_dump_range64() in lib/maple_tree.c goes through them.
            last, entry = highest, words[at]
            if slot < len(pivots):
                last = words[pivots[slot]]
                if not last and slot:
                    break
            elif not entry and highest != _HIGHEST:
                break
            if last > highest or last < first:
                raise BrokenError(
                    f"The node {node:x} reaches to {highest:x}, its slot {slot} to {last:x}",
                    self._position, node, entry,
                )  # fmt: skip
            below = _Inner(entry & _NODE_MASK, node, f"{inner.path}/{slot}")
            if not is_leaf and entry:
                self._walker.refuse_bad(below.address, self._position, node, f"slot {slot}")
                yield from self._ranges(entry, below, first, last)
            elif entry and entry != _ZERO_ENTRY:
                self._position += 1
                yield Node(entry, first, last, position=below.path)
            if last == highest:
                break
            first = last + 1

    def _parts(self, kind: int, inner: _Inner) -> tuple[range, range, bool]:
        """Which words of a node are its pivots and its slots; and whether it is a leaf."""
        program = self._program
        names = {program[name].value_(): name for name in (
            "maple_leaf_64", "maple_range_64", "maple_arange_64")}  # fmt: skip
        if kind not in names:
            raise BrokenError(
                f"{named(self._position, inner.parent or inner.address)} leads to the node"
                f" {inner.address:x} of the unknown type {kind}",
                self._position, inner.parent or inner.address, inner.address,
            )  # fmt: skip
        wide = names[kind] == "maple_arange_64"
        type_ = program.type(f"struct maple_{'a' if wide else ''}range_64")
        return _words(type_, "pivot"), _words(type_, "slot"), names[kind] == "maple_leaf_64"

    def _check_maple_parent(self, found: int, inner: _Inner) -> None:
        node, parent = inner.address, inner.parent
        if parent is None:
            return
        # The root has the tree itself, with the lowest bit set; the others' node is aligned.
        if found & ~1 == parent or found & _NODE_MASK == parent:
            return
        why = "is dead" if found & _NODE_MASK == node else f"has the parent {found:x}"
        raise BrokenError(
            f"{named(self._position, parent)} leads to the node {node:x}, which {why}",
            self._position, parent, node,
        )  # fmt: skip


def _is_node(entry: int) -> bool:
    return entry & 3 == 2 and entry > _LOWEST_NODE


def _words(type_: Type, name: str) -> range:
    member = type_.member(name)
    start = member.offset // 8
    return range(start, start + (member.type.length or 0))
