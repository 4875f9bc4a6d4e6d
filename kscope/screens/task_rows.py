"""The rows of a list of tasks, and which of them the filters leave: flat and by stack."""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple

from kscope.model.base import Address
from kscope.model.stacks import StackGroup
from kscope.model.tasks import Task, TaskSelection, predicates, search_text, sort
from kscope.widgets.table import Fold
from kscope.widgets.text_filter import TextFilter


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
    def addresses(self) -> list[Address]:
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
    def fold(self) -> Fold:
        """Below its group."""
        return Fold(1, None)


Row = TaskRow | GroupRow | MemberRow


class _Entry(NamedTuple):
    """A task of the list, with all that sorting and filtering need."""

    row: TaskRow
    text: str
    small_text: str


class TaskList:
    """All tasks in the order they are sorted in; filters them with every key that is typed."""

    def __init__(self, tasks: Sequence[Task], by: str = "pid", *, reverse: bool = False) -> None:
        """:param tasks: by PID, as the answer has them."""
        self._by_pid = tasks
        self._entries: dict[int, _Entry] = {}
        for task in tasks:
            text = search_text(task)
            self._entries[task.task] = _Entry(TaskRow(task.task, task), text, text.lower())
        self.rows: list[TaskRow] = []
        """One a task, all of them."""
        self._texts: list[str] = []
        self._small_texts: list[str] = []
        self.sort(by, reverse=reverse)

    def sort(self, by: str, *, reverse: bool) -> None:
        """Put them in another order."""
        self.order = (by, reverse)
        entries = self._entries
        ordered = [entries[task.task] for task in sort(self._by_pid, by, reverse=reverse)]
        self.rows = [entry.row for entry in ordered]
        self._texts = [entry.text for entry in ordered]
        self._small_texts = [entry.small_text for entry in ordered]

    def task(self, address: int) -> Task | None:
        """The task at an address."""
        entry = self._entries.get(address)
        return None if entry is None else entry.row.task

    def choose(self, selection: TaskSelection[Any], text: TextFilter) -> list[TaskRow]:
        """The tasks that both leave, in the order of the list."""
        chosen = self._matching(text)
        for test in predicates(selection):
            chosen = [row for row in chosen if test(row.task)]
        return chosen

    def _matching(self, text: TextFilter) -> list[TaskRow]:
        search, texts = self._search(text)
        if search is None:
            return self.rows
        if text.inverted:
            return [row for row, t in zip(self.rows, texts, strict=True) if search(t) is None]
        return [row for row, t in zip(self.rows, texts, strict=True) if search(t) is not None]

    def _search(self, text: TextFilter) -> tuple[Callable[[str], object] | None, list[str]]:
        if text.pattern is None:
            return None, self._texts
        if text.pattern.flags & re.IGNORECASE:
            # What was typed has no capital: twice as fast among small letters.
            flags = text.pattern.flags & ~re.IGNORECASE | re.MULTILINE
            return re.compile(text.pattern.pattern, flags).search, self._small_texts
        return _search(text), self._texts


def _search(text: TextFilter) -> Callable[[str], object] | None:
    """``^`` and ``$`` are the ends of a command, PID, address or function."""
    if text.pattern is None:
        return None
    return re.compile(text.pattern.pattern, text.pattern.flags | re.MULTILINE).search


# By stack.


def stack_rows(
    groups: Iterable[StackGroup],
    selected: Collection[int] | None,
    text: TextFilter,
    matching: Collection[int],
    *,
    opened: Collection[object],
) -> list[Row]:
    """Groups with what the filters leave of them, and the tasks of those that are open.

    :param selected: the tasks that the filters but the text leave; ``None`` for all.
    :param matching: the tasks whose own text the typed filter leaves.
    :param opened: keys of groups that are open.
    """
    search = _search(text)
    rows: list[Row] = []
    for group in groups:
        members: Sequence[int] = range(group.count)
        addresses = group.addresses
        if selected is not None:
            members = [index for index in members if addresses[index] in selected]
        if search is not None:
            functions = "\n".join(frame.function for frame in group.frames)
            if search(functions) is None:
                members = [index for index in members if addresses[index] in matching]
            elif text.inverted:
                members = ()
        if not members:
            continue
        key = (group.state, tuple(frame.address for frame in group.frames), group.stopped)
        is_open = key in opened
        rows.append(GroupRow(key, group, members, is_open))
        if is_open:
            rows.extend(MemberRow(addresses[index], group, index) for index in members)
    return rows
