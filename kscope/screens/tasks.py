"""Screen 3: every task, by stack, as a tree or flat, and all about the one under the cursor."""

from collections.abc import Sequence
from functools import partial
from operator import attrgetter
from typing import Any, ClassVar

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Input

from kscope.model.base import Address, Query, QueryError
from kscope.model.locks import Locks, LocksQuery
from kscope.model.stacks import Stacks, StacksQuery
from kscope.model.task import TaskDetail, TaskQuery
from kscope.model.tasks import (
    POLICIES,
    STATES,
    Task,
    Tasks,
    TasksQuery,
    count_by,
    parse_cpus,
)
from kscope.screens.base import NARROW, DashboardScreen
from kscope.screens.column_chooser import ColumnChooser
from kscope.screens.links import Link, TaskLink
from kscope.screens.remembered import keep, recall
from kscope.screens.task_columns import BY_NAME, DEFAULT, columns, stack_columns, state_role
from kscope.screens.task_lines import (
    files_lines,
    identity_lines,
    memory_lines,
    stack_lines,
    thread_lines,
    unreadable_lines,
)
from kscope.screens.task_rows import (
    GroupRow,
    MemberRow,
    Row,
    TaskList,
    TaskRow,
    Tree,
    stack_rows,
)
from kscope.widgets.filter_bar import Chip, Chips, FilterBar
from kscope.widgets.line import Line, Span
from kscope.widgets.line_view import LineView
from kscope.widgets.one_line import OneLine
from kscope.widgets.overlay import toggle
from kscope.widgets.pane import Pane
from kscope.widgets.prompt import Prompt
from kscope.widgets.states import Empty
from kscope.widgets.table import VirtualTable
from kscope.widgets.text_filter import TextFilter
from kscope.widgets.text_view import TextView

ARRANGEMENTS = ("stacks", "tree", "flat")
_TITLES = {"stacks": "Tasks by stack", "tree": "Tasks as a tree", "flat": "Tasks"}
TABS = ("stack", "identity", "files", "memory", "threads")
_KINDS = ("", "user", "kernel")
_LONGER_THAN = ("", "1s", "10s", "30s", "2m", "10m", "1h")
_DETAIL_DELAY = 0.03
"""Seconds the cursor rests on a task before its details are asked for."""


class Arrangement(msgspec.Struct, frozen=True):
    """What is kept from one run to the next."""

    arrangement: str = ARRANGEMENTS[0]
    columns: tuple[str, ...] = DEFAULT


class TasksScreen(DashboardScreen):
    """The list of tasks and the details of one."""

    DIGIT: ClassVar[str] = "3"
    NAME: ClassVar[str] = "Tasks"
    OPENS: ClassVar[tuple[type[Any], ...]] = (TaskLink,)
    HELP_HEADING: ClassVar[str] = "On the tasks screen"
    DEFAULT_CSS = """
    TasksScreen > Horizontal { height: 1fr; }
    TasksScreen #tasks-pane { width: 13fr; }
    TasksScreen #tasks-detail-pane { width: 12fr; }
    TasksScreen #tasks-tabs { margin: 0 0 1 0; }
    TasksScreen #tasks-cpu { display: none; padding: 0 1; }
    TasksScreen.-asking-cpu #tasks-cpu { display: block; }
    TasksScreen.-narrow > Horizontal { layout: vertical; }
    TasksScreen.-narrow #tasks-pane { width: 100%; height: 1fr; }
    TasksScreen #tasks-policies { display: none; padding: 0 1; }
    TasksScreen.-narrow #tasks-policies { display: block; }
    TasksScreen.-narrow #tasks-detail-pane { width: 100%; height: 1fr; }
    TasksScreen.-narrow #tasks-tabs { margin: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter", id="tasks.filter",
                tooltip="command, PID, address; by stack also functions"),
        Binding("s", "state(1)", "state", id="tasks.state", tooltip="only one state, the next"),
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
        self._by_address: dict[int, Task] = {}
        self._stacks: Stacks | None = None
        self._all: TaskList | None = None
        self._counts: dict[str, dict[str, int]] = {}
        self._tree: Tree | None = None
        self._opened: set[object] = set()
        self._selection = TasksQuery()
        """What the keys chose; the typed text is the bar's."""
        self._shown = 0
        """How many tasks the filters leave."""
        self._marked: set[int] = set()
        self._tab = TABS[0]
        self._frames = ""
        self._detailed: Task | None = None
        self._detail: TaskDetail | None = None
        self._locks: Locks | None = None
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
        self._tabs = OneLine(id="tasks-tabs")
        self._text = TextView(wrapped=True, id="tasks-detail")
        self._text.wrap_indent = 5
        self._detail_pane = Pane("", self._tabs, self._text, id="tasks-detail-pane")
        yield self._bar
        yield self._policies
        yield self._cpu_prompt
        with Horizontal():
            yield self._pane
            yield self._detail_pane

    def on_mount(self) -> None:
        """Ask for all tasks once; filters and orders are applied here."""
        self._show_tabs()
        self.ask(TasksQuery(), self._show, into=self._list, what="reading tasks", parts=True)

    def on_resize(self) -> None:
        """One pane below the other where there is no room beside."""
        self.set_class(self.size.width < NARROW, "-narrow")
        if self._tasks is not None:
            self._show_chips()
        self.call_after_refresh(self._show_detail)

    def focus_first(self) -> None:
        """The list."""
        self._list.focus(scroll_visible=False)

    @property
    def _in_detail(self) -> bool:
        return self.screen.focused is self._text

    def _focus(self, view: LineView) -> None:
        # At once: a widget's own focus() waits its turn behind keys that are already typed.
        self.screen.set_focus(view, scroll_visible=False)

    # The list.

    @property
    def _arrangement(self) -> str:
        return self._remembered.arrangement

    def _show(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._by_address = {task.task: task for task in tasks.tasks}
        self._counts = {
            "state": count_by(tasks.tasks, "state", _FIRST_UNINTERRUPTIBLE),
            "policy": count_by(tasks.tasks, "policy", POLICIES),
        }
        self._all = TaskList(tasks.tasks)
        self._sort()
        self._arrange_list()

    def _show_stacks(self, stacks: Stacks) -> None:
        self._stacks = stacks
        self._list.show_columns(stack_columns(stacks))
        self._show_rows()

    def _sort(self) -> None:
        if self._all is not None:
            self._all.sort(self._selection.sort, reverse=self._selection.reverse)
            self._tree = None

    def _arrange_list(self) -> None:
        """Show the arrangement that is chosen, once what it needs is there."""
        if self._tasks is None:
            return
        if self._arrangement == "stacks":
            self._list.show_sorted_by("", descending=False)
            self.ask(StacksQuery(), self._show_stacks, into=self._list, what="reading stacks")
            return
        names = self._remembered.columns
        self._list.show_columns(columns(names, self._tasks))
        by = next((BY_NAME[n] for n in names if BY_NAME[n].sort == self._selection.sort), None)
        self._list.show_sorted_by(
            by.title if by else "",
            descending=bool(by and by.largest_first) is not self._selection.reverse,
        )
        self._show_rows()

    def _show_rows(self) -> None:
        """Show the rows that the filters leave; stay on the row under the cursor."""
        if self._all is None or (self._arrangement == "stacks" and self._stacks is None):
            return
        rows = self._rows(self._all)
        self._list.show_rows(rows, empty=Empty("no task is like that", "X takes all filters away"))
        self._show_counts(rows)
        if self._wanted is not None:
            self._go_to_task(self._wanted)
        self._moved()
        self.equivalent_changed()

    def _rows(self, tasks: TaskList) -> list[Row]:
        text, selection = self._bar.filter, self._selection
        if self._arrangement == "stacks":
            assert self._stacks is not None
            selected = None
            if self._keys_filter:
                selected = set(tasks.choose(selection, TextFilter()))
            matching = set(tasks.choose(TasksQuery(), text)) if text.active else ()
            rows = stack_rows(self._stacks.groups, selected, text, matching, opened=self._opened)
            self._shown = sum(len(row.members) for row in rows if isinstance(row, GroupRow))
            return rows
        if not self._filters_anything:
            self._shown = len(tasks.rows)
            return tasks.rows if self._arrangement == "flat" else self._tree_of(tasks).rows(None)
        chosen = tasks.choose(selection, text)
        self._shown = len(chosen)
        if self._arrangement == "flat":
            return tasks.rows_of(chosen)
        return self._tree_of(tasks).rows(set(chosen))

    def _tree_of(self, tasks: TaskList) -> Tree:
        if self._tree is None:
            self._tree = Tree(tasks.tasks)
        return self._tree

    def _show_counts(self, rows: Sequence[Row]) -> None:
        assert self._tasks is not None
        total, shown, stacks = len(self._tasks.tasks), self._shown, ""
        if self._arrangement == "stacks":
            groups = sum(isinstance(row, GroupRow) for row in rows)
            stacks = f" · {groups:,} stack{'s' if groups != 1 else ''}"
        marked = f" · {len(self._marked):,} marked" if self._marked else ""
        of = f"{shown:,} of {total:,}" if shown != total else f"{total:,} tasks"
        self._pane.show_title(_TITLES[self._arrangement])
        self._pane.show_subtitle(of + stacks + marked)
        self._show_chips()
        self._bar.show_count(shown, total)

    @property
    def _keys_filter(self) -> bool:
        """Whether a filter other than the typed one leaves something out."""
        plain = TasksQuery(sort=self._selection.sort, reverse=self._selection.reverse)
        return self._selection != plain

    @property
    def _filters_anything(self) -> bool:
        return self._bar.filter.active or self._keys_filter

    def _show_chips(self) -> None:
        """States and policies in one row, or in two where there is no room."""
        states, policies = self._chips()
        if self.has_class("-narrow"):
            self._bar.show_chips(states)
            self._policies.show_groups(policies)
        else:
            self._bar.show_chips([*states, *policies])

    def _chips(self) -> tuple[list[tuple[str, list[Chip]]], list[tuple[str, list[Chip]]]]:
        selection = self._selection
        others: list[Chip] = []

        def other(label: str, **without: Any) -> None:
            others.append(Chip(label, active=True, target=partial(self._choose, **without)))

        if selection.only:
            other(f"{len(selection.only.split(','))} chosen", only="")
        if selection.user:
            other("user", user=False)
        if selection.kthreads:
            other("kernel", kthreads=False)
        if selection.leaders:
            other("leaders", leaders=False)
        if selection.cpu:
            other(f"CPU {selection.cpu}", cpu="")
        if selection.longer_than:
            other(f"> {selection.longer_than}", longer_than="")
        states = [
            Chip(
                state, count, active=state == selection.state,
                role=state_role(state).replace("dim", "") or "accent",
                target=partial(self._choose, state="" if state == selection.state else state),
            )
            for state, count in self._counts["state"].items()
        ]  # fmt: skip
        policies = [
            Chip(
                policy, count, active=policy == selection.policy,
                target=partial(self._choose, policy="" if policy == selection.policy else policy),
            )
            for policy, count in self._counts["policy"].items()
        ]  # fmt: skip
        groups = [("", others)] if others else []
        return [*groups, ("", states)], [("policy", policies)]

    def _margin(self, row: Row) -> Span:
        if self._marked:
            addresses = _addresses(row)
            if self._marked.issuperset(addresses):
                return Span("*", "accent strong")
            if not self._marked.isdisjoint(addresses):
                return Span("+", "accent")
        if isinstance(row, GroupRow):
            return Span(" ")
        task = self._by_address.get(_first_address(row))
        if task is not None and task.panicked:
            return Span("!", "critical strong")
        return Span(">" if task is not None and task.active else " ", "accent")

    # Choosing.

    def _choose(self, **changes: Any) -> None:
        """Change what the filters choose."""
        self._selection = msgspec.structs.replace(self._selection, **changes)
        if "sort" in changes or "reverse" in changes:
            self._sort()
            self._arrange_list()
        else:
            self._show_rows()

    @on(FilterBar.Changed)
    def _filter_typed(self, _message: FilterBar.Changed) -> None:
        self._show_rows()

    @on(OneLine.Clicked)
    def _chip_clicked(self, message: OneLine.Clicked) -> None:
        if callable(message.target):
            message.stop()
            message.target()

    def action_filter(self) -> None:
        """Type a filter."""
        self._bar.open()

    def action_state(self, by: int) -> None:
        """The next of the states that there are."""
        self._next("state", by)

    def action_policy(self) -> None:
        """The next of the policies that there are."""
        self._next("policy", 1)

    def _next(self, member: str, by: int) -> None:
        if self._counts:
            present = ["", *self._counts[member]]
            at = present.index(getattr(self._selection, member))
            self._choose(**{member: present[(at + by) % len(present)]})

    def action_kind(self) -> None:
        """User tasks, kernel threads, both."""
        selection = self._selection
        now = "user" if selection.user else "kernel" if selection.kthreads else ""
        following = _KINDS[(_KINDS.index(now) + 1) % len(_KINDS)]
        self._choose(user=following == "user", kthreads=following == "kernel")

    def action_leaders(self) -> None:
        """Thread group leaders only, or all."""
        self._choose(leaders=not self._selection.leaders)

    def action_longer_than(self) -> None:
        """Only tasks that last ran longer ago than so long."""
        at = _LONGER_THAN.index(self._selection.longer_than)
        self._choose(longer_than=_LONGER_THAN[(at + 1) % len(_LONGER_THAN)])

    def action_no_filters(self) -> None:
        """All tasks again."""
        self._bar.apply("")
        self._choose(
            **{
                name: getattr(TasksQuery(), name)
                for name in TasksQuery.__struct_fields__
                if name not in ("sort", "reverse")
            }
        )

    def action_cpu(self) -> None:
        """Ask for which CPUs."""
        self.add_class("-asking-cpu")
        self._cpu_prompt.begin(self._selection.cpu)

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
        self._choose(cpu=text)

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
        again = self._selection.sort == by
        self._choose(sort=by, reverse=again and not self._selection.reverse)

    def action_sort_column(self, by: int) -> None:
        """Sort by the next column that can be sorted by."""
        if self._arrangement == "stacks":
            self.app.bell()
            return
        sorts = list(dict.fromkeys(BY_NAME[name].sort for name in self._remembered.columns))
        now = self._selection.sort
        at = sorts.index(now) if now in sorts else -1
        self._choose(sort=sorts[(at + by) % len(sorts)], reverse=False)

    def action_reverse(self) -> None:
        """The other way round."""
        self._choose(reverse=not self._selection.reverse)

    def action_columns(self) -> None:
        """Choose columns."""
        if self._arrangement == "stacks":
            self.action_arrange("flat")
        toggle(self.screen, ColumnChooser(self._remembered.columns, self.show_columns))

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
            self._tree.toggle(row.task, opened)
        self._show_rows()

    @on(LineView.Chosen, "#tasks-list")
    def _row_chosen(self, _message: LineView.Chosen) -> None:
        row = self._list.cursor_row
        if isinstance(row, GroupRow):
            self._fold(not row.is_open)
        elif row is not None:
            self._focus(self._text)

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
        self._show_counts(self._list.rows)
        self._list.refresh()
        self.equivalent_changed()

    def action_marked_stacks(self) -> None:
        """Only the marked tasks, by stack: crash's foreach on exactly this set."""
        if not self._marked:
            self.app.bell()
            return
        self._selection = msgspec.structs.replace(self._selection, only=self._marked_names)
        self.action_arrange("stacks")

    @property
    def _marked_names(self) -> str:
        return ",".join(_name(task) for task in self._marked_tasks)

    @property
    def _marked_tasks(self) -> list[Task]:
        """In the order of the list."""
        tasks = self._all.tasks if self._all is not None else ()
        return [task for task in tasks if task.task in self._marked]

    # The task under the cursor.

    @property
    def _task_at_cursor(self) -> Task | None:
        row = self._list.cursor_row
        if row is None:
            return None
        return self._by_address.get(_first_address(row))

    @on(LineView.CursorMoved, "#tasks-list")
    def _cursor_moved(self, _message: LineView.CursorMoved) -> None:
        self._moved()

    def _moved(self) -> None:
        task = self._task_at_cursor
        if task is None:
            self._detailed = self._detail = None
            self._detail_pane.show_title("")
            self._detail_pane.show_subtitle("")
            self._text.show_state(Empty("no task"))
            return
        if self._detailed is not None and task.task == self._detailed.task:
            return
        self._detailed, self._detail, self._locks = task, None, None
        self._detail_pane.show_title(f"{_shown(task.comm)} {_shown(task.pid)}")
        self._detail_pane.show_subtitle(str(task.task))
        self.set_timer(_DETAIL_DELAY, partial(self._ask_if_still, task))

    def _ask_if_still(self, task: Task) -> None:
        if self._detailed is task and self.is_attached:
            self._ask_detail()

    def _ask_detail(self) -> None:
        task = self._detailed
        if task is None:
            return
        query = self._detail_query(task, by_address=True)
        what = {"stack": "unwinding its stack"}.get(self._tab, f"reading its {self._tab}")
        self.ask(query, partial(self._take_detail, query), into=self._text, what=what,
                 group="task-detail")  # fmt: skip

    def _detail_query(self, task: Task, *, by_address: bool = False) -> TaskQuery:
        name = f"{task.task:#x}" if by_address else _name(task)
        match self._tab:
            case "identity":
                return TaskQuery(task=name, identity=True)
            case "files":
                return TaskQuery(task=name, files=True)
            case "memory":
                return TaskQuery(task=name, vm=True)
            case "threads":
                return TaskQuery(task=name, threads=True)
            case _:
                return TaskQuery(
                    task=name, stack=True, raw=self._frames == "words",
                    variables=self._frames == "variables", symbols=by_address,
                )  # fmt: skip

    def _take_detail(self, query: TaskQuery, detail: TaskDetail) -> None:
        task = self._detailed
        if task is None or detail.row.task != task.task:
            return
        if query != self._detail_query(task, by_address=True):
            return
        self._detail = detail
        self._show_detail()
        if self._tab == "stack" and self._locks is None and task.state == "UN" and task.pid:
            self.run_worker(self._ask_locks(task), group="task-locks", exclusive=True)

    async def _ask_locks(self, task: Task) -> None:
        """What it waits for comes below its stack, when it is known."""
        try:
            locks = await self.dashboard.session.ask(LocksQuery(pid=task.pid or 0))
        except QueryError:
            return
        if self._detailed is task:
            self._locks = locks
            self._show_detail()

    def _show_detail(self) -> None:
        detail = self._detail
        if detail is None:
            return
        same = self._text.state is None and self._in_detail
        self._text.show_lines(self._detail_lines(detail), keep_place=same,
                              empty=Empty("there is nothing to show"))  # fmt: skip

    def _detail_lines(self, detail: TaskDetail) -> list[Line]:
        cells = max(self._text.size.width, 20)
        lines: list[Line] = []
        if detail.stack is not None:
            lines = stack_lines(detail.stack, detail.row, self._locks, cells)
        elif detail.identity is not None:
            lines = identity_lines(detail.row, detail.identity)
        elif detail.files is not None:
            lines = files_lines(detail.files)
        elif detail.memory is not None:
            lines = memory_lines(detail.memory)
        elif detail.threads is not None:
            lines = thread_lines(detail.threads)
        missing = unreadable_lines(detail.unreadable)
        return [*lines, *([()] if lines and missing else []), *missing]

    def action_tab(self, by: int) -> None:
        """Another tab."""
        self._tab = TABS[(TABS.index(self._tab) + by) % len(TABS)]
        self._show_tabs()
        self._ask_detail()
        self.equivalent_changed()

    def _open_tab(self, tab: str) -> None:
        self._tab = tab
        self.action_tab(0)

    def _show_tabs(self) -> None:
        spans: list[Span] = []
        for tab in TABS:
            role = "chip strong" if tab == self._tab else "dim"
            spans += [Span(f" {tab} ", role, partial(self._open_tab, tab)), Span(" ")]
        self._tabs.show(spans)

    def action_frames(self) -> None:
        """With the frames' words, with their variables, with neither."""
        choices = ("", "words", "variables")
        self._frames = choices[(choices.index(self._frames) + 1) % len(choices)]
        self._open_tab("stack")

    # What the app asks.

    def query_in_focus(self) -> Query[Any] | None:
        """The list as filtered, or the tab of the task under the cursor."""
        task = self._task_at_cursor
        if self._in_detail and task is not None:
            return self._detail_query(task)
        changes: dict[str, Any] = {"match": self._bar.filter.source}
        if self._marked:
            changes["only"] = self._marked_names
        query = msgspec.structs.replace(self._selection, **changes)
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
        task = self._find(link)
        if task is None:
            self._wanted = None
            self.app.bell()
            return
        if self._move_to(task):
            self._wanted = None
        elif self._filters_anything:
            # It is filtered away. The way back here is shorter once it is shown.
            self._selection = TasksQuery(sort=self._selection.sort)
            self._bar.apply("")
            self._show_rows()
        else:
            self._wanted = None

    def _find(self, link: TaskLink) -> Task | None:
        if link.task is not None:
            return self._by_address.get(link.task)
        return next((t for t in self._by_address.values() if t.pid == link.pid), None)

    def _move_to(self, task: Task) -> bool:
        if self._arrangement == "stacks":
            for row in self._list.rows:
                if isinstance(row, GroupRow) and task.task in row.addresses:
                    if not row.is_open and row.addresses[0] != task.task:
                        self._opened.add(row.key)
                        assert self._all is not None
                        self._list.show_rows(self._rows(self._all))
                    return self._list.move_to_key(task.task) or self._list.move_to_key(row.key)
            return False
        if self._list.move_to_key(task.task):
            return True
        if self._arrangement == "tree" and self._tree is not None and not self._filters_anything:
            self._tree.open_to(task.task)
            self._list.show_rows(self._tree.rows(None))
            return self._list.move_to_key(task.task)
        return False

    def place(self) -> object:
        """The task under the cursor, the tab and the pane."""
        task = self._task_at_cursor
        return (None if task is None else _link_to(task), self._tab, self._in_detail)

    def go_to(self, place: object) -> None:
        """Back to a task and tab."""
        if isinstance(place, tuple):
            link, tab, in_detail = place
            if link is not None:
                self.follow(link)
            if tab != self._tab:
                self._open_tab(tab)
            if in_detail:
                self._focus(self._text)

    def go_back_within(self) -> bool:
        """From the details to the list, from a chosen set to all."""
        if self._in_detail:
            self._focus(self._list)
            return True
        if self._selection.only:
            self._choose(only="")
            return True
        return False


_FIRST_UNINTERRUPTIBLE = ("UN", *(state for state in STATES if state != "UN"))
"""The order of the chips."""


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


def _shown(value: int | str | None) -> str:
    return "?" if value is None else str(value)
