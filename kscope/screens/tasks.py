"""Screen 3: every task, by stack, as a tree or flat, and all about the one under the cursor."""

import contextlib
from typing import Any, ClassVar

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal

from kscope.dialect.tasks import crash_name, line_with_time
from kscope.model.base import Address, Query, QueryError
from kscope.model.stacks import Stacks, StacksQuery
from kscope.model.tasks import Tasks, TasksQuery, select, sort
from kscope.screens.base import NARROW, DashboardScreen
from kscope.screens.column_chooser import ColumnChooser
from kscope.screens.links import Link, TaskLink
from kscope.screens.task_columns import BY_NAME
from kscope.screens.task_detail import TABS, TaskDetailPane
from kscope.screens.task_filter_bar import TaskFilterBar
from kscope.screens.task_list_pane import ARRANGEMENTS, TaskListPane
from kscope.screens.task_rows import GroupRow
from kscope.widgets.filter_bar import FilterBar
from kscope.widgets.line_view import LineView
from kscope.widgets.one_line import OneLine
from kscope.widgets.overlay import toggle
from kscope.widgets.table import VirtualTable


class TasksAsLeft(msgspec.Struct, frozen=True):
    """What is kept for one dump; how the list is arranged is kept for all of them."""

    query: TasksQuery = TasksQuery()
    """Filters and order."""
    task: Address | None = None
    """The one under the cursor."""
    tab: str = TABS[0]


class TasksScreen(DashboardScreen):
    """The list of tasks and the details of one."""

    DIGIT: ClassVar[str] = "3"
    NAME: ClassVar[str] = "Tasks"
    OPENS: ClassVar[tuple[type[Any], ...]] = (TaskLink,)
    REMEMBERS: ClassVar[TasksAsLeft] = TasksAsLeft()
    HELP_HEADING: ClassVar[str] = "On the tasks screen"
    DEFAULT_CSS = """
    TasksScreen > Horizontal { height: 1fr; }
    TasksScreen #tasks-pane { width: 13fr; }
    TasksScreen #tasks-detail-pane { width: 12fr; }
    TasksScreen #tasks-tabs { margin: 0 0 1 0; }
    TasksScreen.-narrow #tasks-tabs { margin: 0; }
    TasksScreen.-narrow > Horizontal { layout: vertical; }
    TasksScreen.-narrow #tasks-pane { width: 100%; height: 1fr; }
    TasksScreen.-narrow #tasks-detail-pane { width: 100%; height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter", id="tasks.filter",
                tooltip="command, PID, address; by stack also functions"),
        Binding("s", "next('state')", "state", id="tasks.state",
                tooltip="only one state, the next"),
        Binding("p", "next('policy')", "policy", id="tasks.policy",
                tooltip="only one scheduling policy, the next"),
        Binding("v", "arrangement", "stacks·tree·flat", id="tasks.arrangement",
                tooltip="by stack, as a tree, flat"),
        Binding("space", "mark", "mark", id="tasks.mark"),
        Binding("t", "sort_by('time')", "time", id="tasks.by-time",
                tooltip="sort by the time since tasks last ran"),
        Binding("S", "arrange('stacks')", "by stack", show=False, id="tasks.stacks"),
        Binding("T", "arrange('tree')", "as a tree", show=False, id="tasks.tree"),
        Binding("F", "arrange('flat')", "flat", show=False, id="tasks.flat"),
        Binding("u", "next('kind')", "user or kernel", show=False, id="tasks.kind",
                tooltip="user tasks only, kernel threads only, both"),
        Binding("c", "cpu", "CPU", show=False, id="tasks.cpu", tooltip="only tasks of these CPUs"),
        Binding("L", "leaders", "thread leaders", show=False, id="tasks.leaders",
                tooltip="only thread group leaders, as ps -G"),
        Binding("m", "next('longer_than')", "longer than", show=False, id="tasks.longer-than",
                tooltip="only tasks that last ran longer ago than 1 s, 10 s, …"),
        Binding("X", "no_filters", "all tasks", show=False, id="tasks.no-filters",
                tooltip="take all filters away"),
        Binding("asterisk", "mark_all", "mark all shown", show=False, id="tasks.mark-all"),
        Binding("x", "marked_stacks", "stacks of the marked", show=False, id="tasks.marked-stacks",
                tooltip="only the marked tasks, by stack"),
        Binding("greater_than_sign", "sort_column(1)", "sort by the next column", show=False,
                id="tasks.sort-next"),
        Binding("less_than_sign", "sort_column(-1)", "sort by the column before", show=False,
                id="tasks.sort-previous"),
        Binding("R", "reverse", "reverse the order", show=False, id="tasks.reverse"),
        Binding("C", "columns", "columns", show=False, id="tasks.columns"),
        Binding("right_square_bracket", "tab(1)", "next tab", show=False, id="tasks.next-tab"),
        Binding("left_square_bracket", "tab(-1)", "tab before", show=False,
                id="tasks.previous-tab"),
        Binding("b", "frames", "words, variables", show=False, id="tasks.frames",
                tooltip="with each frame's words (bt -f), its variables, neither"),
        Binding("escape", "leave_prompt", "leave", show=False, id="tasks.leave-prompt"),
    ]  # fmt: skip

    def compose(self) -> ComposeResult:
        self._wanted: TaskLink | None = None
        """Where to go as soon as it is there."""
        self._list = TaskListPane()
        self._bar = TaskFilterBar(self._list.table, self._show_rows)
        self._detail = TaskDetailPane(self)
        yield self._bar
        with Horizontal():
            yield self._list
            yield self._detail

    def on_mount(self) -> None:
        """Ask for all tasks once; filters and orders are applied here."""
        self.ask(TasksQuery(), self._show, into=self._list.table, what="reading tasks", parts=True)
        self._arrange_list()

    def on_resize(self) -> None:
        """One pane below the other where there is no room beside."""
        self.set_class(self.size.width < NARROW, "-narrow")
        self.call_after_refresh(self._detail.show_detail)

    def focus_first(self) -> None:
        """The list."""
        self._list.table.focus(scroll_visible=False)

    @property
    def _in_detail(self) -> bool:
        return self.screen.focused is self._detail.text

    def _focus(self, view: LineView) -> None:
        # At once: a widget's own focus() waits its turn behind keys that are already typed.
        self.screen.set_focus(view, scroll_visible=False)

    # What is shown.

    def _show(self, tasks: Tasks) -> None:
        """Take in the tasks found so far; there are more as long as there is no total."""
        self._list.take(tasks, self._bar.in_force)
        self._bar.filters.count(tasks.tasks)
        self._show_rows()

    def _show_stacks(self, stacks: Stacks) -> None:
        self._list.take_stacks(stacks)
        if self._list.by_stack:
            self._show_rows()

    def _arrange_list(self) -> None:
        """Show the arrangement that is chosen, once what it needs is there."""
        if self._list.by_stack:
            self.ask(StacksQuery(), self._show_stacks, into=self._list.table,
                     what="reading stacks", group="stacks", parts=True)  # fmt: skip
        else:
            self.workers.cancel_group(self, "stacks")
            self._show_rows()

    def _show_rows(self) -> None:
        """Show the rows that the filters leave; stay on the row under the cursor."""
        if not self._list.show_left(self._bar.in_force):
            return
        self._bar.show_counts(*self._list.counts)
        if self._wanted is not None:
            self._go_to_task(self._wanted)
        self._detail.show_task(self._list.task_at_cursor)
        self.equivalent_changed()

    @on(LineView.CursorMoved, "#tasks-list")
    def _cursor_moved(self, _message: LineView.CursorMoved) -> None:
        self._detail.show_task(self._list.task_at_cursor)

    # Filters.

    @on(FilterBar.Changed)
    def _filter_typed(self, _message: FilterBar.Changed) -> None:
        self._show_rows()

    def filter_by(self, source: str) -> None:
        """Filter by a text, as if it had been typed."""
        self._bar.apply(source)
        self._show_rows()

    @on(OneLine.Clicked)
    def _chip_or_tab_clicked(self, message: OneLine.Clicked) -> None:
        if callable(message.target):
            message.stop()
            message.target()

    def action_filter(self) -> None:
        """Type a filter."""
        self._bar.open()

    def action_next(self, member: str) -> None:
        """The next of the states, policies, kinds or times that there are."""
        self._bar.filters.next(member)

    def action_leaders(self) -> None:
        """Thread group leaders only, or all."""
        self._bar.filters.choose(leaders=not self._bar.filters.selection.leaders)

    def action_no_filters(self) -> None:
        """All tasks again."""
        self._bar.clear()

    def action_cpu(self) -> None:
        """Ask for which CPUs."""
        self._bar.ask_cpus()

    def action_leave_prompt(self) -> None:
        """Back to the list."""
        self._bar.leave_cpus()

    # Arrangements, order, columns.

    def action_arrangement(self) -> None:
        """The next arrangement."""
        at = ARRANGEMENTS.index(self._list.arrangement)
        self.action_arrange(ARRANGEMENTS[(at + 1) % len(ARRANGEMENTS)])

    def action_arrange(self, arrangement: str) -> None:
        """Show tasks by stack, as a tree or flat; stay on the task under the cursor."""
        self._wanted = self._list.link or self._wanted
        self._list.show_as(arrangement)
        self._arrange_list()

    def action_sort_by(self, by: str) -> None:
        """Sort by something; again, the other way round."""
        if self._list.by_stack:
            self.action_arrange("flat")
        selection = self._bar.filters.selection
        again = selection.sort == by
        self._bar.filters.choose(sort=by, reverse=again and not selection.reverse)

    def action_sort_column(self, by: int) -> None:
        """Sort by the next column that can be sorted by."""
        if self._list.by_stack:
            self.app.bell()
            return
        sorts = list(dict.fromkeys(BY_NAME[name].sort for name in self._list.column_names))
        now = self._bar.filters.selection.sort
        at = sorts.index(now) if now in sorts else -1
        self._bar.filters.choose(sort=sorts[(at + by) % len(sorts)], reverse=False)

    def action_reverse(self) -> None:
        """The other way round."""
        self._bar.filters.choose(reverse=not self._bar.filters.selection.reverse)

    async def action_columns(self) -> None:
        """Choose columns."""
        if self._list.by_stack:
            self.action_arrange("flat")
        await toggle(self.screen, ColumnChooser(self._list.column_names, self._columns_chosen))

    def _columns_chosen(self, names: tuple[str, ...]) -> None:
        self._list.show_columns(names)
        self._arrange_list()

    # Folding.

    def on_virtual_table_fold_requested(self, message: VirtualTable.FoldRequested) -> None:
        """Open a row or close it."""
        self._fold(message.opened)

    def _fold(self, opened: bool) -> None:
        self._list.fold(opened)
        self._show_rows()

    @on(LineView.Chosen, "#tasks-list")
    def _row_chosen(self, _message: LineView.Chosen) -> None:
        row = self._list.table.cursor_row
        if isinstance(row, GroupRow):
            self._fold(not row.is_open)
        elif row is not None:
            self._focus(self._detail.text)

    # Marks.

    def action_mark(self) -> None:
        """Mark the task under the cursor, or all of the group; or take the mark away."""
        self._list.mark()
        self.equivalent_changed()

    def action_mark_all(self) -> None:
        """Mark all that are shown, or none if they all are."""
        self._list.mark_all()
        self.equivalent_changed()

    def action_marked_stacks(self) -> None:
        """Only the marked tasks, by stack: crash's foreach on exactly this set."""
        if not self._list.marked:
            self.app.bell()
            return
        self._bar.filters.choose(only=self._list.marked_names)
        self.action_arrange("stacks")

    # Details.

    def action_tab(self, by: int) -> None:
        """Another tab."""
        self._detail.next_tab(by)

    def action_frames(self) -> None:
        """With the frames' words, with their variables, with neither."""
        self._detail.next_frames()

    # Going to a task.

    def follow(self, link: Link) -> None:
        """Go to a task."""
        if isinstance(link, TaskLink):
            self._wanted = link
            self._show_rows()

    def _go_to_task(self, link: TaskLink) -> None:
        task = self._list.find(link)
        if task is None:
            if self._list.complete:
                self._wanted = None
                self.app.bell()
            return
        if self._list.move_to(task):
            self._wanted = None
        elif self._bar.in_force.leave_out:
            # It is filtered away. The way back here is shorter once it is shown.
            self._bar.clear()
        elif self._list.complete:
            self._wanted = None

    # What the app asks.

    def query_in_focus(self) -> Query[Any] | None:
        """The list as filtered, or the tab of the task under the cursor."""
        task = self._list.task_at_cursor
        if self._in_detail and task is not None:
            return self._detail.query_for(crash_name(task))
        return self._list.shown_query(self._bar.in_force)

    def task_in_focus(self) -> TaskLink | None:
        """The task under the cursor."""
        return self._list.link or super().task_in_focus()

    def text_in_focus(self) -> str:
        """The marked rows where there are marks, else the focused pane."""
        marked = self._list.marked
        if not marked or self.screen.focused is not self._list.table:
            return super().text_in_focus()
        return "\n".join(map(line_with_time, marked))

    def place(self) -> object:
        """The task under the cursor, the tab and the pane."""
        return (self._list.link, self._detail.tab, self._in_detail)

    def go_to(self, place: object) -> None:
        """Back to a task and tab."""
        if isinstance(place, tuple):
            link, tab, in_detail = place
            if link is not None:
                self.follow(link)
            if tab != self._detail.tab:
                self._detail.open_tab(tab)
            if in_detail:
                self._focus(self._detail.text)

    def remembered(self) -> TasksAsLeft | None:
        """Filters and order, task and tab."""
        if self._list.found is None:
            return None
        task = self._list.task_at_cursor
        return TasksAsLeft(
            query=self._bar.in_force.query,
            task=None if task is None else task.task,
            tab=self._detail.tab,
        )

    def restore(self, remembered: TasksAsLeft) -> None:
        """Filter and sort as the last time, and go to the task."""
        query = remembered.query
        with contextlib.suppress(QueryError):
            # A selection that means nothing is none that was kept by this version.
            select((), query)
            sort((), query.sort, reverse=query.reverse)
            self._bar.filters.selection = msgspec.structs.replace(query, match="")
            self._bar.apply(query.match)
        if remembered.tab in TABS:
            self._detail.open_tab(remembered.tab)
        # On a running machine it may be gone, which is no news then.
        identity = self.dashboard.identity
        if remembered.task is not None and identity is not None and not identity.live:
            self._wanted = TaskLink(0, remembered.task)
        if self._list.found is not None:
            self._show(self._list.found)

    def go_back_within(self) -> bool:
        """From the details to the list, from a chosen set to all."""
        if self._in_detail:
            self._focus(self._list.table)
            return True
        if self._bar.filters.selection.only:
            self._bar.filters.choose(only="")
            return True
        return False
