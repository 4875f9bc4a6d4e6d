"""The rows of the three arrangements of tasks: flat, as a tree, by stack."""

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


class TaskList:
    """All tasks in the order they are sorted in; filters them with every key that is typed."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        """:param tasks: by PID, as the answer has them."""
        self._by_pid = tasks
        self._texts_by_address = {task.task: search_text(task) for task in tasks}
        self._rows_by_address: dict[int, TaskRow] = {
            task.task: TaskRow(task.task, task) for task in tasks
        }
        self.tasks: list[Task] = list(tasks)
        self.rows: list[Row] = []
        """One a task, all of them."""
        self._addresses: list[Address] = []
        self._texts: list[str] = []
        self._small_texts: list[str] = []
        self.sort("pid", reverse=False)

    def sort(self, by: str, *, reverse: bool) -> None:
        """Put them in another order."""
        self.tasks = sort(self._by_pid, by, reverse=reverse)
        self._addresses = [task.task for task in self.tasks]
        self.rows = [self._rows_by_address[address] for address in self._addresses]
        self._texts = [self._texts_by_address[address] for address in self._addresses]
        self._small_texts = [text.lower() for text in self._texts]

    def rows_of(self, addresses: Iterable[int]) -> list[Row]:
        """A row for each of these tasks."""
        rows = self._rows_by_address
        return [rows[address] for address in addresses]

    def choose(self, selection: TaskSelection[Any], text: TextFilter) -> list[Address]:
        """The tasks that both leave, in the order of the list."""
        chosen: list[Address] = self._matching(text)
        tests = predicates(selection)
        if tests:
            rows = self._rows_by_address
            for test in tests:
                chosen = [address for address in chosen if test(rows[address].task)]
        return chosen

    def _matching(self, text: TextFilter) -> list[Address]:
        search, texts = self._search(text)
        if search is None:
            return self._addresses
        if text.inverted:
            return [a for a, t in zip(self._addresses, texts, strict=True) if search(t) is None]
        return [a for a, t in zip(self._addresses, texts, strict=True) if search(t) is not None]

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


# Tree.


class Tree:
    """Tasks below their parents, threads below their process."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        """:param tasks: in the order that brothers are to have."""
        leaders: dict[int | None, Task] = {
            task.tgid: task for task in tasks if task.leader and task.tgid
        }
        addresses = {task.task for task in tasks}
        self._above: dict[int, int] = {}
        self._below: dict[int | None, list[Task]] = {}
        for task in tasks:
            above = _above(task, leaders, addresses)
            if above is not None:
                self._above[task.task] = above
            self._below.setdefault(above, []).append(task)
        self._closed = {
            above
            for above, below in self._below.items()
            if above is not None and any(task.leader is False for task in below)
        }
        """Processes with threads are closed until somebody opens them."""

    def toggle(self, task: Task, opened: bool) -> None:
        """Open a row or close it."""
        if opened:
            self._closed.discard(task.task)
        else:
            self._closed.add(task.task)

    def open_to(self, address: int) -> None:
        """Open all that is above a task, so that it is shown."""
        seen: set[int] = set()
        above = self._above.get(address)
        while above is not None and above not in seen:
            seen.add(above)
            self._closed.discard(above)
            above = self._above.get(above)

    def rows(self, meant: Collection[int] | None) -> list[Row]:
        """The rows to show.

        :param meant: the tasks that the filters leave, by address; their ancestors are shown, too.
            ``None`` when all are meant: then what is closed stays closed.
        """
        shown: set[int] | None = None
        if meant is not None:
            shown = set(meant)
            for address in meant:
                above = self._above.get(address)
                while above is not None and above not in shown:
                    shown.add(above)
                    above = self._above.get(above)
        rows: list[Row] = []
        stack = [(task, 0) for task in reversed(self._below.get(None, ()))]
        placed: set[int] = set()
        while stack:
            task, depth = stack.pop()
            address = task.task
            if address in placed or (shown is not None and address not in shown):
                continue
            placed.add(address)
            below = self._below.get(address)
            is_open = None
            if below:
                is_open = shown is not None or address not in self._closed
            is_meant = meant is None or address in meant
            rows.append(TaskRow(address, task, depth, is_open, is_meant))
            if is_open and below:
                stack.extend((child, depth + 1) for child in reversed(below))
        return rows


def _above(
    task: Task, leaders: dict[int | None, Task], addresses: Collection[int]
) -> Address | None:
    if task.leader is False:
        leader = leaders.get(task.tgid)
        if leader is not None:
            return leader.task
    parent = task.parent
    if parent is None or parent == task.task or parent not in addresses or task.idle:
        return None
    return parent


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
