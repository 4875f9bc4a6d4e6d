"""The pane with the list of tasks: its arrangement, order and columns, the cursor and marks."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import msgspec

from kscope.dialect.tasks import crash_name
from kscope.model.stacks import Stacks, StacksQuery
from kscope.model.tasks import Task, Tasks, TasksQuery
from kscope.screens.links import TaskLink
from kscope.screens.remembered import keep, recall
from kscope.screens.task_arrangements import Arrangement, AsTree, ByStack, Flat, Left
from kscope.screens.task_columns import BY_NAME, DEFAULT, size
from kscope.screens.task_filters import InForce
from kscope.screens.task_rows import GroupRow, Row, TaskList, TaskRow
from kscope.widgets.line import Span, line
from kscope.widgets.pane import Pane
from kscope.widgets.states import Empty
from kscope.widgets.table import VirtualTable

ARRANGEMENTS = ("stacks", "tree", "flat")


class Arranged(msgspec.Struct, frozen=True):
    """What is kept from one run to the next."""

    arrangement: str = ARRANGEMENTS[0]
    columns: tuple[str, ...] = DEFAULT

    @property
    def makes_sense(self) -> bool:
        """Whether this version can show it."""
        return (
            self.arrangement in ARRANGEMENTS
            and set(self.columns) <= set(BY_NAME)
            and "comm" in self.columns
        )


class TaskListPane(Pane):
    """All tasks that the filters leave."""

    def __init__(self) -> None:
        kept = recall("tasks", Arranged())
        self._kept = kept if kept.makes_sense else Arranged()
        self._by_stack = ByStack()
        self._arrangements: dict[str, Arrangement] = dict(
            zip(ARRANGEMENTS, (self._by_stack, AsTree(), Flat()), strict=True)
        )
        self.found: Tasks | None = None
        """The tasks found so far; there are more as long as there is no total."""
        self._task_list = TaskList(())
        self._filters = InForce()
        self._left = Left()
        self._marked: set[int] = set()
        self.table = VirtualTable[Row](
            key=attrgetter("key"), fold=attrgetter("fold"), margin=self._sign, id="tasks-list"
        )
        super().__init__("Tasks", self.table, id="tasks-pane")

    # What is found.

    def take(self, tasks: Tasks, filters: InForce) -> None:
        """Take in the tasks found so far."""
        self.found = tasks
        by, reverse = filters.selection.sort, filters.selection.reverse
        self._task_list = TaskList(tasks.tasks, by, reverse=reverse)
        if not self.by_stack:
            self._show_columns()

    def take_stacks(self, stacks: Stacks) -> None:
        """Take in the stacks found so far."""
        self._by_stack.stacks = stacks
        if self.by_stack:
            self._show_columns()

    @property
    def complete(self) -> bool:
        """Whether all tasks are found."""
        return self.found is not None and bool(self.found.total)

    def find(self, link: TaskLink) -> Task | None:
        """The task that a link names, if it was found."""
        if link.task is not None:
            return self._task_list.task(link.task)
        return next(
            (row.task for row in self._task_list.all.rows if row.task.pid == link.pid), None
        )

    # How it is arranged.

    @property
    def arrangement(self) -> str:
        """One of ``ARRANGEMENTS``."""
        return self._kept.arrangement

    @property
    def by_stack(self) -> bool:
        """Whether it is arranged by stack: then stacks have to be found, too."""
        return self._kept.arrangement == "stacks"

    @property
    def column_names(self) -> tuple[str, ...]:
        """The columns that were chosen; by stack there are others."""
        return self._kept.columns

    def show_as(self, arrangement: str) -> None:
        """Arrange it like this, now and next time."""
        self._keep(arrangement=arrangement)

    def show_columns(self, names: tuple[str, ...]) -> None:
        """Show these columns, now and next time."""
        self._keep(columns=names)

    def _keep(self, **changes: Any) -> None:
        self._kept = msgspec.structs.replace(self._kept, **changes)
        keep("tasks", self._kept)
        if self.by_stack:
            # Its columns come with the stacks.
            self.table.show_sorted_by("", descending=False)
        else:
            self._show_columns()

    @property
    def _arranged(self) -> Arrangement:
        return self._arrangements[self._kept.arrangement]

    def _show_columns(self) -> None:
        if self.found is not None:
            self.table.show_columns(self._arranged.columns(self.column_names, self.found))
            self._show_order()

    def _show_order(self) -> None:
        if self.by_stack:
            return
        sort, reverse = self._task_list.sorted_by
        by = next((BY_NAME[name] for name in self.column_names if BY_NAME[name].sort == sort), None)
        self.table.show_sorted_by(
            by.title if by else "", descending=bool(by and by.largest_first) is not reverse
        )

    # Rows.

    def show_left(self, filters: InForce) -> bool:
        """Show what the filters leave; stay on the row under the cursor. Returns whether enough is
        found to show anything."""
        self._filters = filters
        if self.found is None or (self.by_stack and self._by_stack.stacks is None):
            return False
        order = (filters.selection.sort, filters.selection.reverse)
        if order != self._task_list.sorted_by:
            self._task_list.sort(filters.selection.sort, reverse=filters.selection.reverse)
            self._show_order()
        self._show_rows()
        self._show_counts()
        return True

    def _show_rows(self) -> None:
        self._left = self._arranged.left(self._task_list, self._filters)
        self.table.show_rows(
            self._left.rows, empty=Empty("no task is like that", "X takes all filters away")
        )

    def fold(self, opened: bool) -> None:
        """Open the row under the cursor or close it, from the next ``show_left`` on."""
        row = self.table.cursor_row
        if row is not None:
            self._arranged.fold(row, opened)

    def move_to(self, task: Task) -> bool:
        """Put the cursor on a task. Returns whether the filters leave it."""
        if self.table.move_to_key(task.task):
            return True
        key = self._arranged.uncover(task.task, self._left, self._filters)
        if key is None:
            return False
        self._show_rows()
        return self.table.move_to_key(key)

    @property
    def counts(self) -> tuple[int, int]:
        """How many tasks are shown, of how many."""
        found = self._by_stack.stacks if self.by_stack else self.found
        if found is None:
            return 0, 0
        return self._left.tasks, found.tasks if isinstance(found, Stacks) else len(found.tasks)

    def _show_counts(self) -> None:
        found = self._by_stack.stacks if self.by_stack else self.found
        if found is None:
            return
        shown, total = self.counts
        spans = [Span(f"{shown:,} of {total:,}" if shown != total else f"{total:,} tasks")]
        if not found.total:
            spans.append(Span(" so far"))
        if self.by_stack:
            groups = sum(isinstance(row, GroupRow) for row in self._left.rows)
            spans.append(Span(f" · {groups:,} stack{'s' if groups != 1 else ''}"))
        elif found.total:
            spans += line(" · RSS ", *line(size(self._left.resident_bytes)))
        if self._marked:
            spans.append(Span(f" · {len(self._marked):,} marked"))
        self.show_title(self._arranged.TITLE)
        self.show_subtitle(spans)

    def _sign(self, row: Row) -> Span:
        if self._marked:
            addresses = row.addresses
            if self._marked.issuperset(addresses):
                return Span("*", "accent strong")
            if not self._marked.isdisjoint(addresses):
                return Span("+", "accent")
        if isinstance(row, GroupRow):
            return Span(" ")
        task = self._task_list.task(row.address)
        if task is not None and task.panicked:
            return Span("!", "critical strong")
        return Span(">" if task is not None and task.active else " ", "accent")

    # The task under the cursor.

    @property
    def task_at_cursor(self) -> Task | None:
        """The task under the cursor; of a group the one that has not run for the longest."""
        row = self.table.cursor_row
        return None if row is None else self._task_list.task(row.address)

    @property
    def link(self) -> TaskLink | None:
        """What leads to that task."""
        task = self.task_at_cursor
        return None if task is None else TaskLink(task.pid or 0, task.task)

    # Marks.

    @property
    def marked(self) -> Sequence[Task]:
        """The marked tasks, in the order of the list."""
        if not self._marked:
            return ()
        return [row.task for row in self._task_list.all.rows if row.key in self._marked]

    @property
    def marked_names(self) -> str:
        """What crash is told of them."""
        return ",".join(map(crash_name, self.marked))

    def mark(self) -> None:
        """Mark the task under the cursor, or all of the group; or take the mark away."""
        row = self.table.cursor_row
        if row is not None:
            self._mark(set(row.addresses))
            self.table.action_down()

    def mark_all(self) -> None:
        """Mark all that are shown, or none if they all are."""
        meant = (row for row in self._left.rows if not isinstance(row, TaskRow) or row.meant)
        self._mark({address for row in meant for address in row.addresses})

    def _mark(self, addresses: set[int]) -> None:
        if self._marked >= addresses:
            self._marked -= addresses
        else:
            self._marked |= addresses
        self._show_counts()
        self.table.refresh()

    def shown_query(self, filters: InForce) -> TasksQuery | StacksQuery:
        """What asks for the marked tasks if there are any, else for those that the filters leave,
        by stack or not."""
        query = filters.query
        if self._marked:
            # Exactly the marked ones, whatever the filters leave just now.
            query = TasksQuery(only=self.marked_names, sort=query.sort, reverse=query.reverse)
        if not self.by_stack:
            return query
        return StacksQuery(**{n: getattr(query, n) for n in StacksQuery.__struct_fields__})
