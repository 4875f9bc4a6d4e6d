"""Screen 3: every task, by stack, as a tree or flat, and all about the one under the cursor."""

import contextlib
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, ClassVar

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Input

from kscope.model.base import Address, Query, QueryError
from kscope.model.stacks import Stacks, StacksQuery
from kscope.model.tasks import Task, Tasks, TasksQuery, parse_cpus, select, sort
from kscope.screens.base import NARROW, DashboardScreen
from kscope.screens.column_chooser import ColumnChooser
from kscope.screens.links import Link, TaskLink
from kscope.screens.remembered import keep, recall
from kscope.screens.task_columns import BY_NAME, DEFAULT, columns, size, stack_columns
from kscope.screens.task_detail import TABS, TaskDetailPane
from kscope.screens.task_filters import TaskFilters
from kscope.screens.task_rows import GroupRow, MemberRow, Row, TaskList, TaskRow, stack_rows
from kscope.screens.task_tree import Tree
from kscope.widgets.filter_bar import Chip, Chips, FilterBar, chip_spans
from kscope.widgets.line import Span, line, width
from kscope.widgets.line_view import LineView
from kscope.widgets.one_line import OneLine
from kscope.widgets.overlay import toggle
from kscope.widgets.pane import Pane
from kscope.widgets.prompt import Prompt
from kscope.widgets.states import Empty
from kscope.widgets.table import VirtualTable

ARRANGEMENTS = ("stacks", "tree", "flat")
_TITLES = {"stacks": "Tasks by stack", "tree": "Tasks as a tree", "flat": "Tasks"}


class Arrangement(msgspec.Struct, frozen=True):
    """What is kept from one run to the next."""

    arrangement: str = ARRANGEMENTS[0]
    columns: tuple[str, ...] = DEFAULT


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
    TasksScreen #tasks-cpu { display: none; padding: 0 1; }
    TasksScreen.-asking-cpu #tasks-cpu { display: block; }
    TasksScreen.-narrow > Horizontal { layout: vertical; }
    TasksScreen.-narrow #tasks-pane { width: 100%; height: 1fr; }
    TasksScreen #tasks-policies { display: none; padding: 0 1; }
    TasksScreen.-two-rows #tasks-policies { display: block; }
    TasksScreen.-narrow #tasks-detail-pane { width: 100%; height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter", id="tasks.filter",
                tooltip="command, PID, address; by stack also functions"),
        Binding("s", "state", "state", id="tasks.state", tooltip="only one state, the next"),
        Binding("p", "policy", "policy", id="tasks.policy",
                tooltip="only one scheduling policy, the next"),
        Binding("v", "arrangement", "stacks·tree·flat", id="tasks.arrangement",
                tooltip="by stack, as a tree, flat"),
        Binding("space", "mark", "mark", id="tasks.mark"),
        Binding("t", "sort_by('time')", "time", id="tasks.by-time",
                tooltip="sort by the time since tasks last ran"),
        Binding("S", "arrange('stacks')", "by stack", show=False, id="tasks.stacks"),
        Binding("T", "arrange('tree')", "as a tree", show=False, id="tasks.tree"),
        Binding("F", "arrange('flat')", "flat", show=False, id="tasks.flat"),
        Binding("u", "kind", "user or kernel", show=False, id="tasks.kind",
                tooltip="user tasks only, kernel threads only, both"),
        Binding("c", "cpu", "CPU", show=False, id="tasks.cpu", tooltip="only tasks of these CPUs"),
        Binding("L", "leaders", "thread leaders", show=False, id="tasks.leaders",
                tooltip="only thread group leaders, as ps -G"),
        Binding("m", "longer_than", "longer than", show=False, id="tasks.longer-than",
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
        self._remembered = recall("tasks", Arrangement())
        if self._remembered.arrangement not in ARRANGEMENTS or not (
            set(self._remembered.columns) <= set(BY_NAME) and "comm" in self._remembered.columns
        ):
            self._remembered = Arrangement()
        self._tasks: Tasks | None = None
        self._stacks: Stacks | None = None
        self._task_list = TaskList(())
        self._all_resident: int | None = None
        self._tree: Tree | None = None
        self._folding: dict[int, bool] = {}
        """Rows of the tree that were opened or closed, by address."""
        self._opened: set[object] = set()
        """Groups that were opened, by key."""
        self._filters = TaskFilters(self._filters_changed)
        self._shown = 0
        """How many tasks the filters leave."""
        self._resident: int | None = None
        """What those have in memory together."""
        self._marked: set[int] = set()
        self._wanted: TaskLink | None = None
        self._list = VirtualTable[Row](
            key=attrgetter("key"), fold=lambda row: row.fold,
            margin=self._margin, id="tasks-list",
        )  # fmt: skip
        self._bar = FilterBar(self._list)
        self._policies = Chips(id="tasks-policies")
        self._pane = Pane("Tasks", self._list, id="tasks-pane")
        self._cpu_prompt = Prompt("c", self._list, placeholder="CPUs, as in 0,2-3; empty for all")
        self._cpu_prompt.id = "tasks-cpu"
        self._detail = TaskDetailPane(self)
        yield self._bar
        yield self._policies
        yield self._cpu_prompt
        with Horizontal():
            yield self._pane
            yield self._detail

    def on_mount(self) -> None:
        """Ask for all tasks once; filters and orders are applied here."""
        self.ask(TasksQuery(), self._show, into=self._list, what="reading tasks", parts=True)
        self._arrange_list()

    def on_resize(self) -> None:
        """One pane below the other where there is no room beside."""
        self.set_class(self.size.width < NARROW, "-narrow")
        if self._tasks is not None:
            self._show_chips()
        self.call_after_refresh(self._detail.show_detail)

    def focus_first(self) -> None:
        """The list."""
        self._list.focus(scroll_visible=False)

    @property
    def _in_detail(self) -> bool:
        return self.screen.focused is self._detail.text

    def _focus(self, view: LineView) -> None:
        # At once: a widget's own focus() waits its turn behind keys that are already typed.
        self.screen.set_focus(view, scroll_visible=False)

    # The list.

    @property
    def _arrangement(self) -> str:
        return self._remembered.arrangement

    def _show(self, tasks: Tasks) -> None:
        """Take in the tasks found so far; there are more as long as there is no total."""
        self._tasks = tasks
        selection = self._filters.selection
        self._task_list = TaskList(tasks.tasks, selection.sort, reverse=selection.reverse)
        self._tree = None
        self._all_resident = self._task_list.all.resident_bytes
        self._filters.count(tasks.tasks)
        self._show_columns()
        self._show_order()
        self._show_rows()

    def _show_columns(self) -> None:
        if self._tasks is not None and self._arrangement != "stacks":
            in_tree = self._arrangement == "tree"
            self._list.show_columns(columns(self._remembered.columns, self._tasks, tree=in_tree))

    def _show_stacks(self, stacks: Stacks) -> None:
        self._stacks = stacks
        if self._arrangement == "stacks":
            self._list.show_columns(stack_columns(stacks))
            self._show_rows()

    def _sort(self) -> None:
        by, reverse = self._filters.selection.sort, self._filters.selection.reverse
        if (by, reverse) != self._task_list.sorted_by:
            self._task_list.sort(by, reverse=reverse)

    def _arrange_list(self) -> None:
        """Show the arrangement that is chosen, once what it needs is there."""
        if self._arrangement == "stacks":
            self._list.show_sorted_by("", descending=False)
            self.ask(StacksQuery(), self._show_stacks, into=self._list, what="reading stacks",
                     group="stacks", parts=True)  # fmt: skip
            return
        self.workers.cancel_group(self, "stacks")
        self._show_columns()
        self._show_order()
        self._show_rows()

    def _show_order(self) -> None:
        if self._arrangement == "stacks":
            return
        sort, reverse = self._task_list.sorted_by
        names = self._remembered.columns
        by = next((BY_NAME[name] for name in names if BY_NAME[name].sort == sort), None)
        self._list.show_sorted_by(
            by.title if by else "", descending=bool(by and by.largest_first) is not reverse
        )

    def _filters_changed(self) -> None:
        self._sort()
        self._show_order()
        self._show_rows()

    def _show_rows(self) -> None:
        """Show the rows that the filters leave; stay on the row under the cursor."""
        if self._tasks is None or (self._arrangement == "stacks" and self._stacks is None):
            return
        rows = self._rows()
        self._list.show_rows(rows, empty=Empty("no task is like that", "X takes all filters away"))
        self._show_counts(self._tasks)
        if self._wanted is not None:
            self._go_to_task(self._wanted)
        self._detail.show_task(self._task_at_cursor)
        self.equivalent_changed()

    def _rows(self) -> list[Row]:
        if self._arrangement == "stacks":
            return self._stack_rows()
        tree = self._as_tree() if self._arrangement == "tree" else None
        if not self._filter_anything:
            self._shown, self._resident = len(self._task_list.by_pid), self._all_resident
            return list(self._task_list.all.rows) if tree is None else tree.rows()
        every = self._task_list.all if tree is None else tree.all
        chosen = every.selected(self._filters.selection).matching(self._bar.filter)
        self._shown, self._resident = len(chosen.rows), chosen.resident_bytes
        return list(chosen.rows) if tree is None else tree.rows_of(chosen.places)

    def _stack_rows(self) -> list[Row]:
        assert self._stacks is not None
        text = self._bar.filter
        left = self._task_list.all.selected(self._filters.selection)
        selected = left.addresses if self._filters.leave_out else None
        matching = left.matching(text).addresses if text.active else set()
        rows = stack_rows(self._stacks.groups, selected, text, matching, opened=self._opened)
        self._shown = sum(len(row.members) for row in rows if isinstance(row, GroupRow))
        return rows

    def _as_tree(self) -> Tree:
        if self._tree is None:
            self._tree = Tree(self._task_list, self._folding)
        elif self._tree.sorted_by != self._task_list.sorted_by:
            self._tree.sort()
        return self._tree

    def _show_counts(self, tasks: Tasks) -> None:
        by_stack = self._stacks if self._arrangement == "stacks" else None
        total = len(tasks.tasks) if by_stack is None else by_stack.tasks
        complete = bool((by_stack or tasks).total)
        shown = self._shown
        spans = [Span(f"{shown:,} of {total:,}" if shown != total else f"{total:,} tasks")]
        if not complete:
            spans.append(Span(" so far"))
        if by_stack is not None:
            groups = sum(isinstance(row, GroupRow) for row in self._list.rows)
            spans.append(Span(f" · {groups:,} stack{'s' if groups != 1 else ''}"))
        elif complete:
            spans += line(" · RSS ", *line(size(self._resident)))
        if self._marked:
            spans.append(Span(f" · {len(self._marked):,} marked"))
        self._pane.show_title(_TITLES[self._arrangement])
        self._pane.show_subtitle(spans)
        self._show_chips()
        self._bar.show_count(shown, total)

    @property
    def _filter_anything(self) -> bool:
        return self._bar.filter.active or self._filters.leave_out

    def _show_chips(self) -> None:
        """States and policies in one row, or in two where there is no room."""
        states, policies = self._filters.chips()
        typed = len(self._bar.filter.source) + 6 if self._bar.filter.source else 0
        two_rows = typed + _cells([*states, *policies]) > self.size.width
        self.set_class(two_rows, "-two-rows")
        if two_rows:
            self._bar.show_chips(states)
            self._policies.show_groups(policies)
        else:
            self._bar.show_chips([*states, *policies])

    def _margin(self, row: Row) -> Span:
        if self._marked:
            addresses = _addresses(row)
            if self._marked.issuperset(addresses):
                return Span("*", "accent strong")
            if not self._marked.isdisjoint(addresses):
                return Span("+", "accent")
        if isinstance(row, GroupRow):
            return Span(" ")
        task = self._task_list.task(_first_address(row))
        if task is not None and task.panicked:
            return Span("!", "critical strong")
        return Span(">" if task is not None and task.active else " ", "accent")

    # Choosing.

    @on(FilterBar.Changed)
    def _filter_typed(self, _message: FilterBar.Changed) -> None:
        self._show_rows()

    def filter_by(self, source: str) -> None:
        """Filter by a text, as if it had been typed."""
        self._bar.apply(source)
        self._show_rows()

    @on(OneLine.Clicked)
    def _chip_clicked(self, message: OneLine.Clicked) -> None:
        if callable(message.target):
            message.stop()
            message.target()

    def action_filter(self) -> None:
        """Type a filter."""
        self._bar.open()

    def action_state(self) -> None:
        """The next of the states that there are."""
        self._filters.next_state()

    def action_policy(self) -> None:
        """The next of the policies that there are."""
        self._filters.next_policy()

    def action_kind(self) -> None:
        """User tasks, kernel threads, both."""
        self._filters.next_kind()

    def action_leaders(self) -> None:
        """Thread group leaders only, or all."""
        self._filters.choose(leaders=not self._filters.selection.leaders)

    def action_longer_than(self) -> None:
        """Only tasks that last ran longer ago than so long."""
        self._filters.next_longer_than()

    def action_no_filters(self) -> None:
        """All tasks again."""
        self._bar.apply("")
        self._filters.clear()

    def action_cpu(self) -> None:
        """Ask for which CPUs."""
        self.add_class("-asking-cpu")
        self._cpu_prompt.begin(self._filters.selection.cpu)

    @on(Input.Submitted, "#tasks-cpu PromptInput")
    def _cpus_given(self, message: Input.Submitted) -> None:
        message.stop()
        text = message.value.strip()
        try:
            if text:
                parse_cpus(text)
        except QueryError as error:
            self._cpu_prompt.remark.show([Span(error.sentence, "critical")])
            return
        self.action_leave_prompt()
        self._filters.choose(cpu=text)

    def action_leave_prompt(self) -> None:
        """Back to the list."""
        self._cpu_prompt.remark.show(())
        self.remove_class("-asking-cpu")
        self._focus(self._list)

    # Arrangements, order, columns.

    def action_arrangement(self) -> None:
        """The next arrangement."""
        at = ARRANGEMENTS.index(self._arrangement)
        self.action_arrange(ARRANGEMENTS[(at + 1) % len(ARRANGEMENTS)])

    def action_arrange(self, arrangement: str) -> None:
        """Show tasks by stack, as a tree or flat; stay on the task under the cursor."""
        task = self._task_at_cursor
        if task is not None:
            self._wanted = _link_to(task)
        self._remember(arrangement=arrangement)
        self._arrange_list()

    def _remember(self, **changes: Any) -> None:
        self._remembered = msgspec.structs.replace(self._remembered, **changes)
        keep("tasks", self._remembered)

    def action_sort_by(self, by: str) -> None:
        """Sort by something; again, the other way round."""
        if self._arrangement == "stacks":
            self.action_arrange("flat")
        selection = self._filters.selection
        again = selection.sort == by
        self._filters.choose(sort=by, reverse=again and not selection.reverse)

    def action_sort_column(self, by: int) -> None:
        """Sort by the next column that can be sorted by."""
        if self._arrangement == "stacks":
            self.app.bell()
            return
        sorts = list(dict.fromkeys(BY_NAME[name].sort for name in self._remembered.columns))
        now = self._filters.selection.sort
        at = sorts.index(now) if now in sorts else -1
        self._filters.choose(sort=sorts[(at + by) % len(sorts)], reverse=False)

    def action_reverse(self) -> None:
        """The other way round."""
        self._filters.choose(reverse=not self._filters.selection.reverse)

    async def action_columns(self) -> None:
        """Choose columns."""
        if self._arrangement == "stacks":
            self.action_arrange("flat")
        await toggle(self.screen, ColumnChooser(self._remembered.columns, self.show_columns))

    def show_columns(self, names: tuple[str, ...]) -> None:
        """Show these columns, now and next time."""
        self._remember(columns=names)
        self._arrange_list()

    # Folding.

    def on_virtual_table_fold_requested(self, message: VirtualTable.FoldRequested) -> None:
        """Open a row or close it."""
        self._fold(message.opened)

    def _fold(self, opened: bool) -> None:
        row = self._list.cursor_row
        if isinstance(row, GroupRow):
            (self._opened.add if opened else self._opened.discard)(row.key)
        elif isinstance(row, TaskRow) and self._tree is not None:
            self._tree.fold(row.task, opened)
        self._show_rows()

    @on(LineView.Chosen, "#tasks-list")
    def _row_chosen(self, _message: LineView.Chosen) -> None:
        row = self._list.cursor_row
        if isinstance(row, GroupRow):
            self._fold(not row.is_open)
        elif row is not None:
            self._focus(self._detail.text)

    # Marks.

    def action_mark(self) -> None:
        """Mark the task under the cursor, or all of the group; or take the mark away."""
        row = self._list.cursor_row
        if row is None:
            return
        addresses = set(_addresses(row))
        if self._marked >= addresses:
            self._marked -= addresses
        else:
            self._marked |= addresses
        self._marks_changed()
        self._list.action_down()

    def action_mark_all(self) -> None:
        """Mark all that are shown, or none if they all are."""
        addresses = {
            address
            for row in self._list.rows
            if not isinstance(row, TaskRow) or row.meant
            for address in _addresses(row)
        }
        if self._marked >= addresses:
            self._marked -= addresses
        else:
            self._marked |= addresses
        self._marks_changed()

    def _marks_changed(self) -> None:
        if self._tasks is not None:
            self._show_counts(self._tasks)
        self._list.refresh()
        self.equivalent_changed()

    def action_marked_stacks(self) -> None:
        """Only the marked tasks, by stack: crash's foreach on exactly this set."""
        if not self._marked:
            self.app.bell()
            return
        self._filters.choose(only=self._marked_names)
        self.action_arrange("stacks")

    @property
    def _marked_names(self) -> str:
        return ",".join(_name(task) for task in self._marked_tasks)

    @property
    def _marked_tasks(self) -> list[Task]:
        """In the order of the list."""
        return [row.task for row in self._task_list.all.rows if row.key in self._marked]

    # The task under the cursor.

    @property
    def _task_at_cursor(self) -> Task | None:
        row = self._list.cursor_row
        return None if row is None else self._task_list.task(_first_address(row))

    @on(LineView.CursorMoved, "#tasks-list")
    def _cursor_moved(self, _message: LineView.CursorMoved) -> None:
        self._detail.show_task(self._task_at_cursor)

    def action_tab(self, by: int) -> None:
        """Another tab."""
        self._detail.next_tab(by)

    def action_frames(self) -> None:
        """With the frames' words, with their variables, with neither."""
        self._detail.next_frames()

    # What the app asks.

    def query_in_focus(self) -> Query[Any] | None:
        """The list as filtered, or the tab of the task under the cursor."""
        task = self._task_at_cursor
        if self._in_detail and task is not None:
            return self._detail.query_for(_name(task))
        chosen = self._filters.selection
        if self._marked:
            # Exactly the marked ones, whatever the filters leave just now.
            query = TasksQuery(only=self._marked_names, sort=chosen.sort, reverse=chosen.reverse)
        else:
            query = msgspec.structs.replace(chosen, match=self._bar.filter.source)
        if self._arrangement != "stacks":
            return query
        fields = {n: getattr(query, n) for n in StacksQuery.__struct_fields__}
        return StacksQuery(**fields)

    def task_in_focus(self) -> TaskLink | None:
        """The task under the cursor."""
        task = self._task_at_cursor
        return super().task_in_focus() if task is None else _link_to(task)

    def text_in_focus(self) -> str:
        """The marked rows where there are marks, else the focused pane."""
        if not self._marked or self.screen.focused is not self._list:
            return super().text_in_focus()
        from kscope.dialect.tasks import line_with_time

        return "\n".join(map(line_with_time, self._marked_tasks))

    def follow(self, link: Link) -> None:
        """Go to a task."""
        if isinstance(link, TaskLink):
            self._wanted = link
            self._show_rows()

    def _go_to_task(self, link: TaskLink) -> None:
        assert self._tasks is not None
        task = self._find(link)
        if task is None:
            if self._tasks.total:
                self._wanted = None
                self.app.bell()
            return
        if self._move_to(task):
            self._wanted = None
        elif self._filter_anything:
            # It is filtered away. The way back here is shorter once it is shown.
            self._bar.apply("")
            self._filters.clear()
        elif self._tasks.total:
            self._wanted = None

    def _find(self, link: TaskLink) -> Task | None:
        if link.task is not None:
            return self._task_list.task(link.task)
        return next(
            (row.task for row in self._task_list.all.rows if row.task.pid == link.pid), None
        )

    def _move_to(self, task: Task) -> bool:
        if self._arrangement == "stacks":
            for row in self._list.rows:
                if isinstance(row, GroupRow) and task.task in row.addresses:
                    if not row.is_open and row.addresses[0] != task.task:
                        self._opened.add(row.key)
                        self._list.show_rows(self._rows())
                    return self._list.move_to_key(task.task) or self._list.move_to_key(row.key)
            return False
        if self._list.move_to_key(task.task):
            return True
        if self._arrangement == "tree" and not self._filter_anything:
            self._as_tree().open_to(task.task)
            self._list.show_rows(self._rows())
            return self._list.move_to_key(task.task)
        return False

    def place(self) -> object:
        """The task under the cursor, the tab and the pane."""
        task = self._task_at_cursor
        return (None if task is None else _link_to(task), self._detail.tab, self._in_detail)

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
        if self._tasks is None:
            return None
        task = self._task_at_cursor
        return TasksAsLeft(
            query=msgspec.structs.replace(self._filters.selection, match=self._bar.filter.source),
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
            self._filters.selection = msgspec.structs.replace(query, match="")
            self._bar.apply(query.match)
        if remembered.tab in TABS:
            self._detail.open_tab(remembered.tab)
        # On a running machine it may be gone, which is no news then.
        identity = self.dashboard.identity
        if remembered.task is not None and identity is not None and not identity.live:
            self._wanted = TaskLink(0, remembered.task)
        if self._tasks is not None:
            self._show(self._tasks)

    def go_back_within(self) -> bool:
        """From the details to the list, from a chosen set to all."""
        if self._in_detail:
            self._focus(self._list)
            return True
        if self._filters.selection.only:
            self._filters.choose(only="")
            return True
        return False


def _cells(groups: Iterable[tuple[str, Sequence[Chip]]]) -> int:
    """How wide chips are, at most."""
    return sum(
        len(name) + 4 + sum(width(chip_spans(chip)) + 2 for chip in chips) for name, chips in groups
    )


def _addresses(row: Row) -> Sequence[Address]:
    if isinstance(row, GroupRow):
        return row.addresses
    return (_first_address(row),)


def _first_address(row: Row) -> Address:
    """Of the task that stands for the row; for a group the longest blocked one."""
    if isinstance(row, GroupRow):
        return row.group.addresses[row.members[0]]
    return row.key if isinstance(row, MemberRow) else row.task.task


def _name(task: Task) -> str:
    """What crash is told: a PID, or the address of one of the idle tasks."""
    return str(task.pid) if task.pid else f"{task.task:x}"


def _link_to(task: Task) -> TaskLink:
    return TaskLink(task.pid or 0, task.task)
