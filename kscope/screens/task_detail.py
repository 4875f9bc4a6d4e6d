"""The pane beside the list of tasks: all about the task under the cursor, a tab for each side."""

from functools import partial

from kscope.model.base import QueryError
from kscope.model.locks import Locks, LocksQuery
from kscope.model.task import TaskDetail, TaskQuery
from kscope.model.tasks import Task
from kscope.screens.base import DashboardScreen
from kscope.screens.task_lines import (
    files_lines,
    identity_lines,
    memory_lines,
    stack_lines,
    thread_lines,
    unreadable_lines,
)
from kscope.widgets.line import Line, Span, line
from kscope.widgets.one_line import OneLine
from kscope.widgets.pane import Pane
from kscope.widgets.states import Empty
from kscope.widgets.text_view import TextView
from kscope.widgets.work import start

TABS = ("stack", "identity", "files", "memory", "threads")
_FRAMES = ("", "words", "variables")
"""What is shown of each frame below it."""
_DELAY_SECONDS = 0.03
"""How long the cursor rests on a task before its details are asked for."""


class TaskDetailPane(Pane):
    """One task. Each tab is read when it is opened, and fails alone."""

    def __init__(self, screen: DashboardScreen) -> None:
        """:param screen: whose session is asked."""
        self._of = screen
        self.tab = TABS[0]
        self._frames = _FRAMES[0]
        self._shown_task: Task | None = None
        self._detail: TaskDetail | None = None
        self._locks: Locks | None = None
        self._tabs = OneLine(id="tasks-tabs")
        self.text = TextView(wrapped=True, id="tasks-detail")
        self.text.wrap_indent = 5
        super().__init__("", self._tabs, self.text, id="tasks-detail-pane")

    def on_mount(self) -> None:
        """Show which tabs there are."""
        self._show_tabs()

    # Which task.

    def show_task(self, task: Task | None) -> None:
        """Show this task, as soon as it has been shown for a moment."""
        if task is None:
            self._shown_task = self._detail = None
            self.show_title("")
            self.show_subtitle("")
            self.text.show_state(Empty("no task"))
            return
        if self._shown_task is not None and task.task == self._shown_task.task:
            return
        self._shown_task, self._detail, self._locks = task, None, None
        comm, pid = (("?" if value is None else str(value)) for value in (task.comm, task.pid))
        self.show_title(f"{comm} {pid}")
        self.show_subtitle(str(task.task))
        self.set_timer(_DELAY_SECONDS, partial(self._ask_if_still, task))

    def _ask_if_still(self, task: Task) -> None:
        if self._shown_task is task and self.is_attached:
            self._ask()

    def _ask(self) -> None:
        task = self._shown_task
        if task is None:
            return
        query = self._query_by_address(task)
        what = "unwinding its stack" if self.tab == "stack" else f"reading its {self.tab}"
        self._of.ask(query, partial(self._take, query), into=self.text, what=what,
                     group="task-detail")  # fmt: skip

    def _query_by_address(self, task: Task) -> TaskQuery:
        return self.query_for(f"{task.task:#x}", symbols=True)

    def query_for(self, name: str, *, symbols: bool = False) -> TaskQuery:
        """What the open tab asks about a task.

        :param name: its PID or address.
        :param symbols: whether to ask for functions named on its raw stack.
        """
        match self.tab:
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
                    variables=self._frames == "variables", symbols=symbols,
                )  # fmt: skip

    def _take(self, query: TaskQuery, detail: TaskDetail) -> None:
        task = self._shown_task
        if task is None or query != self._query_by_address(task):
            return
        self._detail = detail
        self.show_detail()
        if self.tab == "stack" and self._locks is None and task.state == "UN" and task.pid:
            start(
                self, partial(self._ask_locks, task, task.pid), group="task-locks", exclusive=True
            )

    async def _ask_locks(self, task: Task, pid: int) -> None:
        """What it waits for comes below its stack, when it is known."""
        try:
            locks = await self._of.dashboard.session.ask(LocksQuery(pid=pid))
        except QueryError:
            return
        if self._shown_task is task:
            self._locks = locks
            self.show_detail()

    # What of it.

    def show_detail(self) -> None:
        """Lay out what is known, for the width there is now."""
        if self._detail is None:
            return
        same = self.text.state is None and self.text.has_focus
        self.text.show_lines(self._lines(self._detail), keep_place=same,
                             empty=Empty("there is nothing to show"))  # fmt: skip

    def _lines(self, detail: TaskDetail) -> list[Line]:
        cells = max(self.text.size.width, 20)
        lines: list[Line] = []
        if detail.stack is not None:
            whole = self._frames == "words"
            lines = stack_lines(detail.stack, detail.row, self._locks, cells, all_symbols=whole)
            if self._frames == "variables" and not detail.stack.variables:
                lines = [self._why_no_variables(), (), *lines]
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

    def _why_no_variables(self) -> Line:
        types = self._of.dashboard.debug_info
        if types is not None and types.types != "dwarf":
            return line(("variables need DWARF: name the vmlinux with -s VMLINUX", "warning"))
        return line(("DWARF knows no variables of these frames", "dim"))

    def next_tab(self, by: int) -> None:
        """Another tab."""
        self.open_tab(TABS[(TABS.index(self.tab) + by) % len(TABS)])

    def open_tab(self, tab: str) -> None:
        """This tab."""
        self.tab = tab
        self._show_tabs()
        self._ask()
        self._of.equivalent_changed()

    def next_frames(self) -> None:
        """With the frames' words, with their variables, with neither."""
        self._frames = _FRAMES[(_FRAMES.index(self._frames) + 1) % len(_FRAMES)]
        self.open_tab("stack")

    def _show_tabs(self) -> None:
        spans: list[Span] = []
        for tab in TABS:
            role = "chip strong" if tab == self.tab else "dim"
            spans += [Span(f" {tab} ", role, partial(self.open_tab, tab)), Span(" ")]
        self._tabs.show(spans)
