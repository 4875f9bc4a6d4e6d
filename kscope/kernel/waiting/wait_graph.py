"""The graph of who waits for whom: rings and roots. Plain numbers, no memory is read here.

A task waits for at most one lock and a lock has at most one owner, so from every task exactly one
path leads on. It ends in a ring (a deadlock) or at a root.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Edge:
    """A task's wait for a lock and the lock's owner, all by address."""

    task: int
    lock: int
    owner: int | None
    certain: bool


@dataclass(frozen=True)
class Ring:
    """Tasks of which each waits for a lock that the next one owns, and what they wait for."""

    tasks: tuple[int, ...]
    locks: tuple[int, ...]
    certain: bool
    behind: tuple[int, ...]


@dataclass(frozen=True)
class End:
    """Where a chain of waiting ends that is not a ring."""

    task: int | None
    """Who has the locks; ``None`` if that is not known."""
    locks: tuple[int, ...]
    certain: bool
    behind: tuple[int, ...]


class WaitGraph:
    """The rings and ends of a set of waits."""

    def __init__(self, edges: Iterable[Edge]) -> None:
        self._edges: Mapping[int, Edge] = {edge.task: edge for edge in edges}
        self._waiting_for: dict[int, list[Edge]] = defaultdict(list)
        for edge in self._edges.values():
            if edge.owner is not None:
                self._waiting_for[edge.owner].append(edge)

    def rings(self) -> list[Ring]:
        """Every ring once, starting at the lowest address in it."""
        rings = []
        seen: set[int] = set()
        for start in self._edges:
            path: list[int] = []
            task: int | None = start
            while task is not None and task not in seen:
                seen.add(task)
                path.append(task)
                edge = self._edges.get(task)
                task = edge.owner if edge else None
            if task in path:
                rings.append(self._ring(path[path.index(task) :]))
        return rings

    def _ring(self, tasks: list[int]) -> Ring:
        first = tasks.index(min(tasks))
        tasks = tasks[first:] + tasks[:first]
        edges = [self._edges[task] for task in tasks]
        behind = self.behind(tasks)
        return Ring(
            tuple(tasks),
            tuple(edge.lock for edge in edges),
            all(edge.certain for edge in edges),
            tuple(task for task in behind if task not in tasks),
        )

    def ends(self) -> list[End]:
        """Where the chains end, the one with the most tasks behind it first.

        A lock without an owner ends a chain at the last task that has somebody behind it; if there
        is none, it is an end itself.
        """
        owners = {edge.owner for edge in self._edges.values() if edge.owner is not None}
        ends = []
        for owner in owners:
            edge = self._edges.get(owner)
            if edge is None or edge.owner is None:
                direct = self._waiting_for[owner]
                locks = tuple(dict.fromkeys(waiting.lock for waiting in direct))
                certain = all(waiting.certain for waiting in direct)
                ends.append(End(owner, locks, certain, self.behind([owner])))
        ownerless: dict[int, list[int]] = defaultdict(list)
        for edge in self._edges.values():
            if edge.owner is None and edge.task not in owners:
                ownerless[edge.lock].append(edge.task)
        for lock, tasks in ownerless.items():
            ends.append(End(None, (lock,), False, tuple(tasks)))
        return sorted(ends, key=lambda end: (-len(end.behind), end.task or 0))

    def behind(self, tasks: Iterable[int]) -> tuple[int, ...]:
        """All who wait for one of ``tasks``, directly or not, the nearest first."""
        found: dict[int, None] = {}
        nearest = list(tasks)
        starts = set(nearest)
        while nearest:
            following = [
                edge.task
                for task in nearest
                for edge in self._waiting_for.get(task, ())
                if edge.task not in found and edge.task not in starts
            ]
            found.update(dict.fromkeys(following))
            nearest = following
        return tuple(found)
