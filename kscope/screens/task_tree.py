"""The tree of tasks: children below their parents, threads below their process."""

from collections import defaultdict
from collections.abc import Sequence

from kscope.model.tasks import Task
from kscope.screens.task_rows import Row, TaskList, TaskRow

_NONE = -1
"""In place of a parent's place, where there is no parent."""


class Tree:
    """The rows of the tree. They are put in order once; folding and filtering leave some out."""

    def __init__(self, task_list: TaskList, folding: dict[int, bool]) -> None:
        """
        :param folding: which rows the reader opened or closed, by address; kept here when there
            are more.
        """
        self.task_list = task_list
        self._folding = folding
        tasks = task_list.by_pid
        self._above = _parents(tasks)
        self._with_threads = {
            above
            for task in tasks
            if task.leader is False and (above := self._above.get(task.task))
        }
        self._by_pid = self._all_open(tasks)
        place_of = {row.key: place for place, row in enumerate(self._by_pid)}
        self._parent_of = [place_of.get(self._above.get(row.key, 0), _NONE) for row in self._by_pid]
        self.sort()

    def _all_open(self, tasks: Sequence[Task]) -> list[TaskRow]:
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
        return [
            TaskRow(task.task, task, depths[task.task], True if task.task in parents else None)
            for task in tasks
        ]

    def sort(self) -> None:
        """Give brothers the order that they have in the list now."""
        self.sorted_by = self.task_list.sorted_by
        children: defaultdict[int, list[int]] = defaultdict(list)
        for place in self.task_list.order:
            children[self._parent_of[place]].append(place)
        places: list[int] = []
        waiting = [iter(children[_NONE])]
        while waiting:
            for place in waiting[-1]:
                places.append(place)
                if place in children:
                    waiting.append(iter(children[place]))
                    break
            else:
                waiting.pop()
        self.all = self.task_list.arranged(places, self._by_pid)
        self._places = places
        self._places_above: list[int] | None = None

    def _parent_places(self) -> list[int]:
        """Where each of ``all`` has its parent among them; only filters ask."""
        if self._places_above is None:
            now_at = {_NONE: _NONE} | {place: now for now, place in enumerate(self._places)}
            self._places_above = [now_at[self._parent_of[place]] for place in self._places]
        return self._places_above

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
        for row in self.all.rows:
            if closed_depth is not None and row.depth > closed_depth:
                continue
            closed_depth = None
            if row.is_open and not self._is_open(row.key):
                closed_depth = row.depth
                rows.append(row._replace(is_open=False))
            else:
                rows.append(row)
        return rows

    def rows_of(self, places: Sequence[int]) -> list[Row]:
        """The tasks at these places among all, and their ancestors; nothing is closed."""
        meant = set(places)
        above = self._parent_places()
        ancestors: set[int] = set()
        fresh = meant
        while fresh := set(map(above.__getitem__, fresh)) - meant - ancestors:
            fresh.discard(_NONE)
            ancestors |= fresh
        rows: list[Row] = list(self.all.rows)
        for place in ancestors:
            rows[place] = self.all.rows[place]._replace(meant=False)
        return [rows[place] for place in sorted(meant | ancestors)]


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
