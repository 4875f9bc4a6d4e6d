"""Stacks that were unwound once, recognised on other tasks.

A sleeping task's stack is fixed by the return addresses on it, and those lie at fixed distances
from where the scheduler left the stack pointer (``thread.sp``). The distances and addresses of a
stack that was unwound make a path through a tree; the next stack is followed down that tree.

One thing moves: since Linux kernel commit 39218ff4c625 ("stack: Optionally randomize kernel stack
offset each syscall") (in v5.13) a system call may leave a random gap below its entry. What lies
above the gap keeps its distance from the top of the stack. When the same caller is met at another
distance from the stack pointer, its distance from the top is put into the tree as well.
"""

from collections.abc import Sequence
from typing import NamedTuple

Path = tuple[int, ...]
"""The return addresses of a kernel stack, innermost first."""


class Recognised(NamedTuple):
    """A known stack, met again."""

    path: Path
    places: tuple[int, ...]
    """Where in the words each of its return addresses lies."""


class _Node:
    """Where a walk through the tree stands after some return addresses."""

    __slots__ = ("from_sp", "from_top", "path")

    def __init__(self) -> None:
        self.from_sp: dict[int, dict[int, _Node]] = {}
        """By distance from the stack pointer in words, then by return address."""
        self.from_top: dict[int, dict[int, _Node]] = {}
        """By distance from the top of the stack in words, then by return address."""
        self.path: Path | None = None
        """The stack that is whole here."""


class Recogniser:
    """Knows stacks that were unwound, and recognises them on other tasks."""

    def __init__(self) -> None:
        self._root = _Node()

    def learn(self, words: Sequence[int], places: Sequence[int], path: Path) -> None:
        """Remember a stack.

        :param words: the stack from the stack pointer to its top.
        :param places: where in ``words`` each return address of ``path`` lies.
        """
        node = self._root
        for place, address in zip(places, path, strict=True):
            from_top = len(words) - place
            child = node.from_sp.get(place, {}).get(address)
            if child is None:
                child = node.from_top.get(from_top, {}).get(address)
            if child is None:
                child = next((c[address] for c in node.from_sp.values() if address in c), None)
                if child is not None:
                    node.from_top.setdefault(from_top, {})[address] = child
                else:
                    child = node.from_sp.setdefault(place, {})[address] = _Node()
            node = child
        node.path = path

    def recognise(self, words: Sequence[int]) -> Recognised | None:
        """The known stack that these words hold."""
        count = len(words)
        node = self._root
        places: list[int] = []
        while True:
            following = None
            for place, children in node.from_sp.items():
                if place < count:
                    following = children.get(words[place])
                    if following is not None:
                        places.append(place)
                        break
            else:
                for place, children in node.from_top.items():
                    if place <= count:
                        following = children.get(words[count - place])
                        if following is not None:
                            places.append(count - place)
                            break
            if following is None:
                return None if node.path is None else Recognised(node.path, tuple(places))
            node = following
