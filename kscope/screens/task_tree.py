"""The tree of tasks: children below their parents, threads below their process."""

from collections.abc import Collection, Iterable, Sequence

from kscope.model.tasks import Task
from kscope.screens.task_rows import Row, TaskRow


class Tree:
    """The rows of the tree. They are put in order once; folding and filtering leave some out."""

    def __init__(self, tasks: Sequence[Task], folding: dict[int, bool]) -> None:
        """
        :param folding: which rows the reader opened or closed, by address; kept here when there
            are more.
        """
        self._folding = folding
        self._above = _parents(tasks)
        self._with_threads = {
            above
            for task in tasks
            if task.leader is False and (above := self._above.get(task.task))
        }
        self._row_of = self._all_open(tasks)
        self._rows: list[TaskRow] = []
        self.put_in_order(self._row_of)

    def _all_open(self, tasks: Sequence[Task]) -> dict[int, TaskRow]:
        parents = set(self._above.values())
        depths: dict[int, int] = {}
        for task in tasks:
            way: list[int] = [task.task]
            on_way = set(way)
            while way[-1] not in depths:
                above = self._above.get(way[-1])
                if above is None:
                    depths[way[-1]] = 0
                elif above in on_way:
                    # A damaged dump makes tasks each other's ancestors: here the circle is cut.
                    del self._above[way[-1]]
                else:
                    way.append(above)
                    on_way.add(above)
            for lower, upper in zip(reversed(way[:-1]), reversed(way), strict=False):
                depths[lower] = depths[upper] + 1
        return {
            task.task: TaskRow(
                task.task, task, depths[task.task], True if task.task in parents else None
            )
            for task in tasks
        }

    def put_in_order(self, addresses: Iterable[int]) -> None:
        """Give brothers the order that their addresses have here."""
        above, row_of = self._above, self._row_of
        below: dict[int | None, list[int]] = {}
        for address in addresses:
            below.setdefault(above.get(address), []).append(address)
        rows = self._rows = []
        waiting = [iter(below.get(None, ()))]
        while waiting:
            for address in waiting[-1]:
                rows.append(row_of[address])
                if address in below:
                    waiting.append(iter(below[address]))
                    break
            else:
                waiting.pop()

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
        while above is not None:
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
        above = self._above
        shown = fresh = set[int](meant)
        while fresh:
            fresh = {above[a] for a in fresh if a in above} - shown
            shown = shown | fresh
        return [
            row if row.key in meant else row._replace(meant=False)
            for row in self._rows
            if row.key in shown
        ]


def _parents(tasks: Sequence[Task]) -> dict[int, int]:
    """What each task hangs below, by address: a thread its process, a process its parent."""
    leaders = {task.tgid: task.task for task in tasks if task.leader and task.tgid}
    addresses = {task.task for task in tasks}
    parents: dict[int, int] = {}
    for task in tasks:
        above = leaders.get(task.tgid or 0) if task.leader is False else None
        if above is None and not task.idle and task.parent != task.task:
            above = task.parent if task.parent in addresses else None
        if above is not None:
            parents[task.task] = above
    return parents
