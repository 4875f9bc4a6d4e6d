"""The tree of tasks: children below their parents, threads below their process."""

from collections.abc import Collection, Sequence

from kscope.model.base import Address
from kscope.model.tasks import Task
from kscope.screens.task_rows import Row, TaskRow


class Tree:
    """The rows of the tree. They are put in order once; folding and filtering leave some out."""

    def __init__(self, tasks: Sequence[Task], folding: dict[int, bool]) -> None:
        """
        :param tasks: in the order that brothers are to have.
        :param folding: which rows the reader opened or closed, by address; kept here when there
            are more.
        """
        self._folding = folding
        self._above = _parents(tasks)
        self._below: dict[int | None, list[Task]] = {}
        for task in tasks:
            self._below.setdefault(self._above.get(task.task), []).append(task)
        self._with_threads = {
            above
            for task in tasks
            if task.leader is False and (above := self._above.get(task.task))
        }
        self._rows = self._all_open(tasks)

    def _all_open(self, tasks: Sequence[Task]) -> list[TaskRow]:
        rows: list[TaskRow] = []
        placed: set[int] = set()
        # Tasks that a damaged dump makes each other's ancestors hang below none of the roots.
        for start in (self._below.get(None, ()), tasks):
            for root in start:
                self._place(root, rows, placed)
        return rows

    def _place(self, root: Task, rows: list[TaskRow], placed: set[int]) -> None:
        waiting = [(root, 0)]
        while waiting:
            task, depth = waiting.pop()
            address = task.task
            if address in placed:
                continue
            placed.add(address)
            below = self._below.get(address)
            rows.append(TaskRow(address, task, depth, True if below else None))
            if below:
                waiting += [(child, depth + 1) for child in reversed(below)]

    def fold(self, task: Task, opened: bool) -> None:
        """Open a row or close it."""
        self._folding[task.task] = opened

    def open_to(self, address: int) -> None:
        """Open all that is above a task, so that it is shown."""
        for above in self._ancestors(address):
            self._folding[above] = True

    def _ancestors(self, address: int) -> list[int]:
        seen: list[int] = []
        above = self._above.get(address)
        while above is not None and above not in seen:
            seen.append(above)
            above = self._above.get(above)
        return seen

    def _is_open(self, address: int) -> bool:
        """Processes with threads are closed until somebody opens them."""
        return self._folding.get(address, address not in self._with_threads)

    def rows(self) -> list[Row]:
        """All tasks but those below closed rows."""
        rows: list[Row] = []
        closed_depth: int | None = None
        for row in self._rows:
            if closed_depth is not None and row.depth > closed_depth:
                continue
            closed_depth = None
            if row.is_open and not self._is_open(row.key):
                closed_depth = row.depth
                rows.append(row._replace(is_open=False))
            else:
                rows.append(row)
        return rows

    def rows_of(self, meant: Collection[int]) -> list[Row]:
        """These tasks, by address, and their ancestors; nothing is closed."""
        shown = set(meant)
        for address in meant:
            above = self._above.get(address)
            while above is not None and above not in shown:
                shown.add(above)
                above = self._above.get(above)
        return [
            row if row.key in meant else row._replace(meant=False)
            for row in self._rows
            if row.key in shown
        ]


def _parents(tasks: Sequence[Task]) -> dict[int, Address]:
    """What each task hangs below, by address: a thread its process, a process its parent."""
    leaders = {task.tgid: task.task for task in tasks if task.leader and task.tgid}
    addresses = {task.task for task in tasks}
    parents: dict[int, Address] = {}
    for task in tasks:
        above = leaders.get(task.tgid) if task.leader is False else None
        if above is None and not task.idle and task.parent != task.task:
            above = task.parent if task.parent in addresses else None
        if above is not None:
            parents[task.task] = above
    return parents
