"""All tasks by their kernel stacks: those with the same return addresses form one group.

Of each group one task that was recognised, not unwound, is unwound to check; if it differs, all of
the group are.
"""

from collections.abc import Generator, Iterable
from typing import NamedTuple

import msgspec

from kscope.kernel.process.stack_reader import FoundStack, StackReader
from kscope.kernel.process.task_table import FoundTask, TaskTable, open_task_table
from kscope.kernel.unwinding.recogniser import Path
from kscope.kernel.unwinding.telling import is_idle_worker, summary, telling_frames
from kscope.model.base import Address, Part, Progress
from kscope.model.stacks import Frame, StackGroup, Stacks, StacksQuery
from kscope.model.tasks import UNKNOWN, Task, pattern, predicates, search_text, select
from kscope.target.target import Target

_SLICE = 500
"""Tasks looked at before the worker may look for other work."""
_GROWTH = 4
"""How many times as many tasks the next part has: all parts together are then never more than a
third of the whole."""


def stacks(target: Target, query: StacksQuery) -> Generator[Progress | Part[Stacks], None, Stacks]:
    """Answer a StacksQuery. Parts are the groups of all tasks found so far."""
    predicates(query)
    table = open_task_table(target)
    grouping = _Grouping(target, table, query)
    reading = table.read_on()
    told = 0
    while next(reading, None) or not grouping.up_to_date:
        grouping.take_some()
        if grouping.up_to_date and table.complete:
            break
        if grouping.taken >= _GROWTH * told:
            told = grouping.taken
            yield Part(result=grouping.answer())
        else:
            of = len(table.rows) if table.complete else 0
            yield Progress(grouping.taken, of, "reading stacks")
    grouping.check()
    return grouping.answer()


class _Member(NamedTuple):
    """A task of a group."""

    task: Task
    found: FoundTask
    recognised: bool


_Key = tuple[str, Path, str]
"""State, return addresses and why unwinding stopped: what all tasks of a group have in common."""


class _Grouping:
    """Puts the tasks of a table, which may still be growing, into groups."""

    def __init__(self, target: Target, table: TaskTable, query: StacksQuery) -> None:
        self._table = table
        self._reader = StackReader(target)
        self._match = query.match
        # What matches a function is known when the stack is.
        self._selection = msgspec.structs.replace(query, match="")
        self._groups: dict[_Key, list[_Member]] = {}
        self.taken = 0
        """How many of the table's tasks were looked at."""

    @property
    def up_to_date(self) -> bool:
        """Whether all tasks that the table has so far were looked at."""
        return self.taken >= len(self._table.rows)

    def take_some(self) -> None:
        """Look at the next tasks."""
        span = slice(self.taken, self.taken + _SLICE)
        found = {task.address: task for task in self._table.found[span]}
        for task in select(self._table.rows[span], self._selection):
            stack = self._reader.find(found[task.task], task.active)
            member = _Member(task, found[task.task], stack.recognised)
            self._groups.setdefault(_key(task, stack), []).append(member)
        self.taken += len(found)

    def check(self) -> None:
        """Unwind one recognised member of each group, and all of them where it differs."""
        checked: dict[_Key, list[_Member]] = {}
        for key, members in self._groups.items():
            last = next((member for member in reversed(members) if member.recognised), None)
            if last is None or self._really(last) == key:
                checked.setdefault(key, []).extend(members)
                continue
            for member in members:
                true_key = self._really(member) if member.recognised else key
                checked.setdefault(true_key, []).append(member._replace(recognised=False))
        self._groups = checked

    def _really(self, member: _Member) -> _Key:
        task = member.task
        return _key(task, self._reader.find(member.found, task.active, check=True))

    def answer(self) -> Stacks:
        """The groups so far."""
        made = [
            group
            for (state, path, stopped), members in self._groups.items()
            if (
                group := _group(
                    state, self._reader.frames(path), stopped, [m.task for m in members],
                    self._match,
                )
            )
        ]  # fmt: skip
        made.sort(key=_rank)
        return Stacks(
            groups=tuple(made),
            tasks=sum(group.count for group in made),
            total=len(self._table.rows) if self._table.complete else 0,
            unwound=self._reader.unwound,
            unreadable=self._table.unreadable,
        )


def _key(task: Task, found: FoundStack) -> _Key:
    return (task.state or UNKNOWN, found.path, found.stopped)


def _group(
    state: str, frames: tuple[Frame, ...], stopped: str, tasks: Iterable[Task], match: str
) -> StackGroup | None:
    """The group of those tasks that the text filter leaves."""
    if match:
        compiled, inverted = pattern(match)
        functions = "\n".join(frame.function for frame in frames)
        in_functions = compiled.search(functions) is not None
        tasks = [
            task
            for task in tasks
            if (in_functions or compiled.search(search_text(task)) is not None) is not inverted
        ]
    ordered = sorted(tasks, key=lambda t: (-(t.since_last_arrival_ns or -1), t.pid or 0, t.task))
    if not ordered:
        return None
    return StackGroup(
        count=len(ordered),
        state=state,
        summary=summary(frames),
        frames=frames,
        telling=telling_frames(frames),
        tasks=tuple(task.pid for task in ordered),
        addresses=tuple(Address(task.task) for task in ordered),
        comms=tuple(task.comm for task in ordered),
        since_last_arrival_ns=tuple(task.since_last_arrival_ns for task in ordered),
        longest_since_last_arrival_ns=ordered[0].since_last_arrival_ns,
        idle_worker=is_idle_worker(state, frames),
        stopped=stopped,
    )


_STATE_RANK = {"UN": 0, "RU": 1, "WA": 1, "NE": 1, "IN": 2, "ST": 2, "TR": 2, "ID": 3}


def _rank(group: StackGroup) -> tuple[int, int, tuple[str, ...], int]:
    rank = _STATE_RANK.get(group.state, 4)
    if group.idle_worker and group.state != "UN":
        rank = 5
    longest = group.longest_since_last_arrival_ns
    return (rank, -(longest if longest is not None else -1), group.summary, -group.count)


ANSWERS = {StacksQuery: stacks}
