"""Guards drgn's walks through the kernel's lists and red-black trees against going round for ever.

drgn follows pointers to the end, which a damaged list or one that changes meanwhile need not have.
What is put in their place here is what all else of drgn walks with too: disks, modules, runqueues,
timers, its crash mode.
"""

import functools
import importlib
from collections.abc import Callable, Iterable, Iterator

from drgn import Object

_Walk = Callable[[Object], Iterator[Object]]


class LoopError(ValueError):
    """A list or tree leads round in circles."""


class _Seen:
    """The nodes that a walk has come by."""

    def __init__(self, start: Object) -> None:
        self._before = int(start.value_())
        self._seen: set[int] = set()

    def add(self, node: Object, before: int | None = None) -> None:
        """:param before: what points at the node, if that is not the one that was added last.

        :raises LoopError: if the walk has come by it before.
        """
        address = int(node.value_())
        if address in self._seen:
            pointing = self._before if before is None else before
            raise LoopError(f"{pointing:x} leads to {address:x}, which came before: it is a loop")
        self._seen.add(address)
        self._before = address


def _guarded(walk: _Walk) -> _Walk:
    """``walk``, which yields each node before it goes on from there."""

    @functools.wraps(walk)
    def guarded(start: Object) -> Iterator[Object]:
        seen = _Seen(start)
        for node in walk(start):
            seen.add(node)
            yield node

    return guarded


def _inorder(root: Object) -> Iterator[Object]:
    """As ``rbtree_inorder_for_each()``, which goes down on the left before it yields anything."""
    seen = _Seen(root)
    stack: list[Object] = []
    parent, node = int(root.value_()), root.rb_node.read_()
    while node or stack:
        while node:
            seen.add(node, parent)
            stack.append(node)
            parent, node = int(node.value_()), node.rb_left.read_()
        node = stack.pop()
        yield node
        parent, node = int(node.value_()), node.rb_right.read_()


def once(nodes: Iterable[Object]) -> Iterator[Object]:
    """What one of drgn's helpers that follows pointers itself yields, until it does so again.

    :raises LoopError: then.
    """
    seen: set[int] = set()
    for node in nodes:
        address = int(node.value_())
        if address in seen:
            raise LoopError(f"{address:x} comes a second time: it is a loop")
        seen.add(address)
        yield node


def guard() -> None:
    """Put the guarded walks in the place of drgn's own."""
    for module, name in (
        ("list", "list_for_each"),
        ("list", "list_for_each_reverse"),
        ("list", "hlist_for_each"),
        ("llist", "llist_for_each"),
        ("rbtree", "rbtree_preorder_for_each"),
        ("rbtree", "rbtree_inorder_for_each"),
    ):
        # Not "from drgn.helpers.linux import …", which would have the whole package run.
        helpers = importlib.import_module(f"drgn.helpers.linux.{module}")
        walk = getattr(helpers, name)
        if hasattr(walk, "__wrapped__"):
            continue  # it is guarded already
        inorder = name == "rbtree_inorder_for_each"
        setattr(helpers, name, functools.wraps(walk)(_inorder) if inorder else _guarded(walk))
