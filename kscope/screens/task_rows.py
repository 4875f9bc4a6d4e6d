"""The rows of a list of tasks, and which of them the filters leave: flat and by stack."""

import re
from collections.abc import Callable, Collection, Iterable, Sequence, Set
from functools import cached_property
from itertools import compress
from operator import attrgetter, not_
from typing import Any, NamedTuple, TypeVar

from kscope.model.base import Address
from kscope.model.stacks import StackGroup
from kscope.model.tasks import Task, TaskSelection, TasksQuery, order, predicates, search_text
from kscope.widgets.table import Fold
from kscope.widgets.text_filter import TextFilter

T = TypeVar("T")


class TaskRow(NamedTuple):
    """A task in the list."""

    key: int
    """Its ``task_struct``: what makes it the same row after sorting and filtering."""
    task: Task
    depth: int = 0
    is_open: bool | None = None
    """``None`` when there is nothing below it."""
    meant: bool = True
    """Whether the filters select it; else it is there for those below it."""

    @property
    def address(self) -> Address:
        """Its ``task_struct``."""
        return self.task.task

    @property
    def addresses(self) -> Sequence[Address]:
        """That of each task that the row stands for: only this one."""
        return (self.task.task,)

    @property
    def fold(self) -> Fold:
        """Its place in the tree."""
        return Fold(self.depth, self.is_open)


class GroupRow(NamedTuple):
    """Tasks with the same stack."""

    key: object
    """State and return addresses, which tell a group from others."""
    group: StackGroup
    members: Sequence[int]
    """Which of the group's tasks the filters leave, by index."""
    is_open: bool

    @property
    def longest(self) -> int | None:
        """How long ago that one of its tasks last ran that has not run for the longest."""
        return self.group.since_last_arrival_ns[self.members[0]]

    @property
    def address(self) -> Address:
        """The ``task_struct`` of that one."""
        return self.group.addresses[self.members[0]]

    @property
    def addresses(self) -> Sequence[Address]:
        """The ``task_struct`` of each of its tasks."""
        return [self.group.addresses[index] for index in self.members]

    @property
    def fold(self) -> Fold:
        """Groups are what can be opened."""
        return Fold(0, self.is_open)


class MemberRow(NamedTuple):
    """A task of an opened group."""

    key: Address
    """Its ``task_struct``."""
    group: StackGroup
    member: int
    """Which of the group's tasks it is."""

    @property
    def address(self) -> Address:
        """Its ``task_struct``."""
        return self.key

    @property
    def addresses(self) -> Sequence[Address]:
        """That of each task that the row stands for: only this one."""
        return (self.key,)

    @property
    def fold(self) -> Fold:
        """Below its group."""
        return Fold(1, None)


Row = TaskRow | GroupRow | MemberRow


class Memory(NamedTuple):
    """What a task has in memory, with all that share it."""

    address_space: int | None
    resident_bytes: int | None


class _LookedAt(NamedTuple):
    """What filters look at, by PID: one of each for every task."""

    memory: Sequence[Memory]
    texts: Sequence[str]
    small_texts: Sequence[str]
    """The same in small letters."""


class TaskRows:
    """Tasks in an order, with what filters look at.

    What a filter leaves is picked out without a step of the interpreter for each of twenty thousand
    tasks; and what it looks at is put into the order when there is one.
    """

    def __init__(
        self,
        rows: Sequence[TaskRow],
        places: Sequence[int],
        by_pid: Sequence[int],
        looked_at: _LookedAt,
    ) -> None:
        """
        :param places: where each was before any was left out.
        :param by_pid: where each is in ``looked_at``.
        """
        self.rows = rows
        self.places = places
        self._by_pid = by_pid
        self._looked_at = looked_at
        self._selected: tuple[TaskSelection[Any], TaskRows] = (TasksQuery(), self)

    @cached_property
    def _texts(self) -> list[str]:
        return _picked(self._looked_at.texts, self._by_pid)

    @cached_property
    def _small_texts(self) -> list[str]:
        return _picked(self._looked_at.small_texts, self._by_pid)

    @cached_property
    def addresses(self) -> set[int]:
        """Their ``task_struct``."""
        return set(map(attrgetter("key"), self.rows))

    @property
    def resident_bytes(self) -> int | None:
        """What they have in memory together: what threads share counts once. ``None`` if that of
        one of them is not known."""
        total = 0
        for memory in set(_picked(self._looked_at.memory, self._by_pid)):
            if memory.resident_bytes is None:
                return None
            total += memory.resident_bytes
        return total

    def selected(self, selection: TaskSelection[Any]) -> "TaskRows":
        """Those that all filters but the typed one leave; kept while that is typed."""
        if selection != self._selected[0]:
            left = self
            for test in predicates(selection):
                left = left._where(test(row.task) for row in left.rows)
            self._selected = (selection, left)
        return self._selected[1]

    def matching(self, text: TextFilter) -> "TaskRows":
        """Those that a typed filter leaves."""
        search, texts = self._search(text)
        if search is None:
            return self
        return self._where(map(not_ if text.inverted else bool, map(search, texts)))

    def _search(self, text: TextFilter) -> tuple[Callable[[str], object] | None, Sequence[str]]:
        if text.pattern is not None and text.pattern.flags & re.IGNORECASE:
            # What was typed has no capital: twice as fast among small letters.
            flags = text.pattern.flags & ~re.IGNORECASE | re.MULTILINE
            return re.compile(text.pattern.pattern, flags).search, self._small_texts
        return _search(text), self._texts

    def _where(self, chosen: Iterable[bool]) -> "TaskRows":
        flags = list(chosen)
        return TaskRows(
            list(compress(self.rows, flags)),
            list(compress(self.places, flags)),
            list(compress(self._by_pid, flags)),
            self._looked_at,
        )


def _picked(of_all: Sequence[T], places: Iterable[int]) -> list[T]:
    return list(map(of_all.__getitem__, places))


class TaskList:
    """All tasks in the order they are sorted in."""

    def __init__(self, tasks: Sequence[Task], by: str = "pid", *, reverse: bool = False) -> None:
        """:param tasks: by PID, as the answer has them."""
        self.by_pid = tasks
        self._rows = [TaskRow(task.task, task) for task in tasks]
        self._row_of = {row.key: row for row in self._rows}
        texts = list(map(search_text, tasks))
        # The same object for all threads of a process.
        shared: dict[Memory, Memory] = {}
        memories = (Memory(task.mm, task.rss_bytes) for task in tasks)
        self._looked_at = _LookedAt(
            [shared.setdefault(memory, memory) for memory in memories],
            texts,
            [text.lower() for text in texts],
        )
        self.sort(by, reverse=reverse)

    def sort(self, by: str, *, reverse: bool) -> None:
        """Put them in another order."""
        self.sorted_by = (by, reverse)
        self.order = order(self.by_pid, by, reverse=reverse)
        """Where each is in the order by PID."""
        self._all: TaskRows | None = None

    @property
    def all(self) -> TaskRows:
        """All of them."""
        if self._all is None:
            self._all = self.arranged(self.order, self._rows)
        return self._all

    @cached_property
    def resident_bytes(self) -> int | None:
        """What all have in memory together; ``None`` if that of one of them is not known."""
        return self.all.resident_bytes

    def arranged(self, places: Sequence[int], rows: Sequence[TaskRow]) -> TaskRows:
        """The tasks in an order, with all that filters need.

        :param places: the order, told as ``order`` is.
        :param rows: to show them with, by PID.
        """
        return TaskRows(_picked(rows, places), range(len(places)), places, self._looked_at)

    def task(self, address: int) -> Task | None:
        """The task at an address."""
        row = self._row_of.get(address)
        return None if row is None else row.task


def _search(text: TextFilter) -> Callable[[str], object] | None:
    """``^`` and ``$`` are the ends of a command, PID, address or function."""
    if text.pattern is None:
        return None
    return re.compile(text.pattern.pattern, text.pattern.flags | re.MULTILINE).search


# By stack.


def stack_rows(
    groups: Iterable[StackGroup],
    selected: Set[int] | None,
    text: TextFilter,
    matching: Set[int],
    *,
    opened: Collection[object],
) -> list[Row]:
    """Groups with what the filters leave of them, and the tasks of those that are open.

    :param selected: the tasks that the filters but the text leave; ``None`` for all.
    :param matching: those of them whose own text the typed filter leaves, if there is one.
    :param opened: keys of groups that are open.
    """
    search = _search(text)
    rows: list[Row] = []
    for group in groups:
        wanted = selected
        if search is not None:
            functions = "\n".join(frame.function for frame in group.frames)
            if search(functions) is None:
                wanted = matching
            elif text.inverted:
                continue
        addresses = group.addresses
        members: Sequence[int] = range(group.count)
        if wanted is not None:
            members = list(compress(members, map(wanted.__contains__, addresses)))
        if not members:
            continue
        key = (group.state, tuple(frame.address for frame in group.frames), group.stopped)
        is_open = key in opened
        rows.append(GroupRow(key, group, members, is_open))
        if is_open:
            rows.extend(MemberRow(addresses[index], group, index) for index in members)
    return rows
