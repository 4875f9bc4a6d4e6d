"""Ways through lists, each guarded: against loops, bad pointers and sheer size.

A walker yields nodes and raises ``BrokenError`` where the structure does not hold together. It
reads pointers one by one as plain words: following a damaged list costs no more than a sound one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from drgn import FaultError, Program

from kscope.kernel.access.reading import reason
from kscope.kernel.objects.identify_address import Addresses


class Node(NamedTuple):
    """One node on the way."""

    address: int
    key: int | None = None
    last: int | None = None
    depth: int | None = None
    is_value: bool = False
    """Whether ``address`` is an integer that an XArray holds, not a pointer."""
    position: str = ""
    """In a tree: ``root/l/r``, or the slots on the way, ``root/0/14``."""


@dataclass
class BrokenError(Exception):
    """A structure does not hold together."""

    sentence: str
    position: int
    node: int
    pointer: int


class Walker:
    """Walks through the lists of one target."""

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
        node = self.follow(head + forth, position, head, names[0])
        while node != head:
            self._refuse_repeated(node, seen, position, before, names[0])
            seen.add(node)
            backward = self.link(node, back, position, before, names[0])
            if backward != before:
                raise BrokenError(
                    f"{named(position, before)} has {names[0]} {node:x}, whose {names[1]} is"
                    f" {backward:x}: they do not belong together",
                    position, before, node,
                )  # fmt: skip
            position += 1
            yield Node(node)
            before, node = node, self.follow(node + forth, position, node, names[0])

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
        first = self.follow(head, -1, head, "first", may_end=True)
        yield from self._linked(first, head, offset, ends, name)

    def linked(self, first: int, offset: int, name: str) -> Iterator[Node]:
        """Elements that each point at the next, from ``first`` on: to NULL, or round to it."""
        seen: set[int] = set()
        before, position, node = first, -1, first
        while node and not (node == first and seen):
            self._refuse_repeated(node, seen, position, before, name)
            seen.add(node)
            position += 1
            following = self.link(node, offset, position - 1, before, name)
            yield Node(node)
            before, node = node, following
            if node:
                self.refuse_bad(node, position, before, name)

    def _linked(
        self, node: int, head: int, offset: int, ends: Callable[[int], bool], name: str
    ) -> Iterator[Node]:
        seen: set[int] = set()
        before, position = head, -1
        while not ends(node):
            self.refuse_bad(node, position, before, name)
            self._refuse_repeated(node, seen, position, before, name)
            seen.add(node)
            following = self.link(node, offset, position, before, name)
            position += 1
            yield Node(node)
            before, node = node, following

    def follow(
        self, where: int, position: int, node: int, name: str, *, may_end: bool = False
    ) -> int:
        """The pointer at ``where``, refused if it can be none."""
        try:
            pointer = self._program.read_word(where)
        except FaultError as error:
            # What it is by its value, such as poison, says more than that nothing is there.
            identity = self._addresses.value(where)
            why = reason(error) if identity is None else f"it is {identity.text}"
            raise BrokenError(
                f"{named(position, node)} cannot be read: {why}", position, node, node
            ) from error
        if not (may_end and (pointer == 0 or pointer & 1)):
            self.refuse_bad(pointer, position, node, name)
        return int(pointer)

    def link(self, node: int, offset: int, position: int, before: int, name: str) -> int:
        """A link in ``node``, which ``before`` points at."""
        try:
            return int(self._program.read_word(node + offset))
        except FaultError as error:
            raise BrokenError(
                f"{named(position, before)} has {name} {node:x}, which cannot be read:"
                f" {reason(error)}",
                position, before, node,
            ) from error  # fmt: skip

    def refuse_bad(self, pointer: int, position: int, node: int, name: str) -> None:
        identity = self._addresses.value(pointer)
        if identity is None:
            return
        why = f": {identity.text}" if identity.kind != "null" else ""
        shown = "NULL" if pointer == 0 else f"{pointer:x}"
        raise BrokenError(
            f"{named(position, node)} has {name} {shown}{why}", position, node, pointer
        )

    def _refuse_repeated(
        self, node: int, seen: set[int], position: int, before: int, name: str
    ) -> None:
        if node in seen:
            raise BrokenError(
                f"{named(position, before)} has {name} {node:x}, which came before: it is a loop",
                position, before, node,
            )  # fmt: skip


def named(position: int, node: int) -> str:
    return f"The head {node:x}" if position < 0 else f"Element {position} at {node:x}"
