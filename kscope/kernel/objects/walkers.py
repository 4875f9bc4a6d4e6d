"""Ways through linked structures, each guarded: against loops, bad pointers and sheer size.

A walker yields nodes and raises ``BrokenError`` where the structure does not hold together. It
reads pointers one by one as plain words: following a damaged list costs no more than a sound one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from drgn import FaultError, Object, Program, offsetof
from drgn.helpers.linux.mapletree import mt_for_each
from drgn.helpers.linux.radixtree import radix_tree_for_each
from drgn.helpers.linux.xarray import xa_for_each, xa_is_value, xa_is_zero

from kscope.kernel.access.reading import READ_ERRORS, reason
from kscope.kernel.objects.identify_address import Addresses

_HIGHEST_TREE = 128
"""A sound red-black tree of 2**64 nodes is no higher."""


class Node(NamedTuple):
    """One node on the way."""

    address: int
    key: int | None = None
    last: int | None = None
    depth: int | None = None
    is_value: bool = False
    """Whether ``address`` is an integer that an XArray holds, not a pointer."""


@dataclass
class BrokenError(Exception):
    """A structure does not hold together."""

    sentence: str
    position: int
    node: int
    pointer: int


class Walker:
    """Walks through the structures of one target."""

    def __init__(self, program: Program, addresses: Addresses) -> None:
        self._program = program
        self._addresses = addresses

    # Lists.

    def list(self, head: int, *, reverse: bool = False, embedded: bool = False) -> Iterator[Node]:
        """A circular ``struct list_head``.

        :param embedded: ``head`` is itself an element, and the first one.
        """
        forth, back = (8, 0) if reverse else (0, 8)
        names = ("prev", "next") if reverse else ("next", "prev")
        if embedded:
            yield Node(head)
        before, position = head, 0 if embedded else -1
        seen = {head}
        node = self._follow(head + forth, position, head, names[0])
        while node != head:
            self._refuse_repeated(node, seen, position, before, names[0])
            seen.add(node)
            backward = self._link(node, back, position, before, names[0])
            if backward != before:
                raise BrokenError(
                    f"{_of(position, before)} has {names[0]} {node:x}, whose {names[1]} is"
                    f" {backward:x}: they do not belong together",
                    position, before, node,
                )  # fmt: skip
            position += 1
            yield Node(node)
            before, node = node, self._follow(node + forth, position, node, names[0])

    def chain(
        self,
        head: int,
        *,
        offset: int = 0,
        ends: Callable[[int], bool] = lambda node: node == 0,
        name: str = "next",
    ) -> Iterator[Node]:
        """A list that ends in NULL: ``hlist``, ``llist``, whose head is a pointer to the first.

        :param offset: of the pointer to the next node in a node.
        :param ends: whether a pointer is the end: ``hlist_nulls`` has odd numbers.
        """
        first = self._follow(head, -1, head, "first", may_end=True)
        yield from self._linked(first, head, offset, ends, name)

    def linked(self, first: int, offset: int, name: str) -> Iterator[Node]:
        """Elements that each point at the next, from ``first`` on: to NULL, or round to it."""
        seen: set[int] = set()
        before, position, node = first, -1, first
        while node and not (node == first and seen):
            self._refuse_repeated(node, seen, position, before, name)
            seen.add(node)
            position += 1
            following = self._link(node, offset, position - 1, before, name)
            yield Node(node)
            before, node = node, following
            if node:
                self._refuse_bad(node, position, before, name)

    def _linked(
        self, node: int, head: int, offset: int, ends: Callable[[int], bool], name: str
    ) -> Iterator[Node]:
        seen: set[int] = set()
        before, position = head, -1
        while not ends(node):
            self._refuse_bad(node, position, before, name)
            self._refuse_repeated(node, seen, position, before, name)
            seen.add(node)
            following = self._link(node, offset, position, before, name)
            position += 1
            yield Node(node)
            before, node = node, following

    def _follow(
        self, where: int, position: int, node: int, name: str, *, may_end: bool = False
    ) -> int:
        """The pointer at ``where``, refused if it can be none."""
        try:
            pointer = self._program.read_word(where)
        except FaultError as error:
            raise BrokenError(
                f"{_of(position, node)} cannot be read: {reason(error)}", position, node, node
            ) from error
        if not (may_end and (pointer == 0 or pointer & 1)):
            self._refuse_bad(pointer, position, node, name)
        return int(pointer)

    def _link(self, node: int, offset: int, position: int, before: int, name: str) -> int:
        """A link in ``node``, which ``before`` points at."""
        try:
            return int(self._program.read_word(node + offset))
        except FaultError as error:
            raise BrokenError(
                f"{_of(position, before)} has {name} {node:x}, which cannot be read:"
                f" {reason(error)}",
                position, before, node,
            ) from error  # fmt: skip

    def _refuse_bad(self, pointer: int, position: int, node: int, name: str) -> None:
        identity = self._addresses.value(pointer)
        if identity is None:
            return
        why = f": {identity.text}" if identity.kind != "null" else ""
        shown = "NULL" if pointer == 0 else f"{pointer:x}"
        raise BrokenError(f"{_of(position, node)} has {name} {shown}{why}", position, node, pointer)

    def _refuse_repeated(
        self, node: int, seen: set[int], position: int, before: int, name: str
    ) -> None:
        if node in seen:
            raise BrokenError(
                f"{_of(position, before)} has {name} {node:x}, which came before: it is a loop",
                position, before, node,
            )  # fmt: skip

    # Trees.

    def rbtree(self, root: int) -> Iterator[Node]:
        """A red-black tree in order; ``root`` is the address of its ``struct rb_root``."""
        left = offsetof(self._program.type("struct rb_node"), "rb_left")
        right = offsetof(self._program.type("struct rb_node"), "rb_right")
        parent_at = offsetof(self._program.type("struct rb_node"), "__rb_parent_color")
        node, parent = self._follow(root, -1, root, "rb_node", may_end=True), 0
        stack: list[int] = []
        position = -1
        while node or stack:
            while node:
                if len(stack) >= _HIGHEST_TREE:
                    raise BrokenError(
                        f"{_of(position, node)} is {len(stack)} levels deep: the tree is a loop",
                        position, node, node,
                    )  # fmt: skip
                self._check_parent(node, parent, parent_at, position)
                stack.append(node)
                parent, node = node, self._child(node, left, position)
            node = stack.pop()
            position += 1
            yield Node(node, depth=len(stack))
            parent, node = node, self._child(node, right, position)

    def _child(self, node: int, offset: int, position: int) -> int:
        child = self._program.read_word(node + offset)
        if child:
            self._refuse_bad(child, position, node, "a child")
        return int(child)

    def _check_parent(self, node: int, parent: int, offset: int, position: int) -> None:
        try:
            found = self._program.read_word(node + offset) & ~3
        except FaultError as error:
            raise BrokenError(
                f"{_of(position, parent)} has a child {node:x}, which cannot be read:"
                f" {reason(error)}",
                position, parent, node,
            ) from error  # fmt: skip
        if found != parent:
            raise BrokenError(
                f"{_of(position, parent)} has a child {node:x}, whose parent is {found:x}",
                position, parent, node,
            )  # fmt: skip

    def maple(self, tree: int) -> Iterator[Node]:
        """A maple tree's entries with the ranges of indexes they stand for."""
        found = mt_for_each(Object(self._program, "struct maple_tree *", tree))
        yield from self._helped(
            (Node(entry.value_(), first, last) for first, last, entry in found), tree
        )

    def xarray(self, array: int) -> Iterator[Node]:
        """An XArray's entries."""
        found = xa_for_each(Object(self._program, "struct xarray *", array))
        yield from self._helped(map(_array_node, found), array)

    def radix(self, root: int) -> Iterator[Node]:
        """A radix tree's entries."""
        # An XArray since Linux kernel commit f8d5d0cc145c ("xarray: Add definition of struct
        # xarray") (in v4.20).
        name = "struct radix_tree_root"
        try:
            self._program.type(name)
        except LookupError:
            name = "struct xarray"
        found = radix_tree_for_each(Object(self._program, f"{name} *", root))
        yield from self._helped(map(_array_node, found), root)

    @staticmethod
    def _helped(nodes: Iterator[Node], root: int) -> Iterator[Node]:
        position = -1
        node = root
        try:
            for found in nodes:
                position += 1
                node = found.address
                yield found
        except (RecursionError, *READ_ERRORS) as error:
            raise BrokenError(
                f"What follows {_of(position, node).lower()} cannot be read: {reason(error)}",
                position, node, node,
            ) from error  # fmt: skip


def _array_node(found: tuple[int, Object]) -> Node:
    index, entry = found
    return Node(entry.value_(), index, is_value=bool(xa_is_value(entry) or xa_is_zero(entry)))


def _of(position: int, node: int) -> str:
    return f"The head {node:x}" if position < 0 else f"Element {position} at {node:x}"
