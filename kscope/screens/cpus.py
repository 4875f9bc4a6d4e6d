"""Screen 4: every CPU in a grid, and what the one under the cursor was doing."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input

from kscope.dialect.cpus import equivalent, remarks
from kscope.model.base import Query
from kscope.model.cpus import STATES, Cpu, Cpus, CpusQuery, lags, state_of
from kscope.screens.base import NARROW, DashboardScreen
from kscope.screens.cpu_grid import CpuGrid
from kscope.screens.cpu_lines import (
    backtrace_lines,
    health_lines,
    raw_stack_lines,
    runqueue_lines,
    timer_lines,
)
from kscope.screens.links import CpuLink, Link
from kscope.widgets.filter_bar import Chip, FilterBar
from kscope.widgets.line_view import LineView
from kscope.widgets.pane import Pane
from kscope.widgets.prompt import Prompt
from kscope.widgets.states import Empty, State
from kscope.widgets.text_view import TextView

_FILTERS: dict[str, Callable[[Cpu, int | None], bool]] = {
    "busy": lambda cpu, _: cpu.busy,
    "lagging": lags,
    "interrupts off": lambda cpu, _: cpu.irqs_off,
    "offline": lambda cpu, _: cpu.offline,
    "real-time": lambda cpu, _: cpu.runs_realtime,
}
_PANES = ("backtrace", "runqueue", "timers", "watchdog")
_SORTS: dict[str, Callable[[Cpu], Any]] = {
    "number": lambda cpu: cpu.cpu,
    "state": lambda cpu: list(STATES).index(state_of(cpu)),
    "lag": lambda cpu: 1 if cpu.offline else -(cpu.lag_ns or 0),
    "time on CPU": lambda cpu: -((cpu.current.running_ns or 0) if cpu.current else 0),
    "nr_running": lambda cpu: -(cpu.nr_running or 0),
}
_STACKS = ("backtrace", "full", "raw")
_STACK_TITLES = {"backtrace": "Backtrace", "full": "Frames' words", "raw": "Raw stack"}

_MANY = 17
"""With that many CPUs the filters are offered above the grid."""


class _Detail(TextView):
    """A pane's text. W folds lines here, since w is the watchdog's everywhere on this screen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("w", "watchdog", "watchdog", id="cpus.detail-watchdog"),
        Binding("W", "wrap", "fold long lines", show=False, id="cpus.wrap"),
    ]

    followers: Sequence[TextView] = ()
    """Panes filled by the same answer: they are loading, or fail, together with this one."""

    def show_state(self, state: State) -> None:
        super().show_state(state)
        if not isinstance(state, Empty):
            for follower in self.followers:
                follower.show_state(state)

    def action_watchdog(self) -> None:
        self.query_ancestor(CpusScreen).action_pane("watchdog")


class CpusScreen(DashboardScreen):
    """The grid and its panes."""

    DIGIT: ClassVar[str] = "4"
    NAME: ClassVar[str] = "CPUs"
    OPENS: ClassVar[tuple[type[Any], ...]] = (CpuLink,)
    HELP_HEADING: ClassVar[str] = "On the CPUs screen"
    DEFAULT_CSS = """
    CpusScreen > Horizontal { height: 1fr; }
    CpusScreen #cpus-left { width: 9fr; }
    CpusScreen #cpus-right { width: 11fr; }
    CpusScreen #cpus-grid-pane { height: 2fr; }
    CpusScreen #cpus-runqueue-pane { height: 3fr; }
    CpusScreen #cpus-backtrace-pane { height: 4fr; }
    CpusScreen #cpus-timers-pane, CpusScreen #cpus-watchdog-pane { height: 11; }
    CpusScreen.-narrow > Horizontal { layout: vertical; }
    CpusScreen.-narrow #cpus-left { width: 100%; height: auto; }
    CpusScreen.-narrow #cpus-right { width: 100%; height: 1fr; }
    CpusScreen.-narrow #cpus-grid-pane { height: 9; }
    CpusScreen.-narrow #cpus-runqueue-pane { height: 11; }
    CpusScreen.-narrow #cpus-right Pane { height: 1fr; }
    CpusScreen .-hidden { display: none; }
    CpusScreen #cpus-grid-pane Prompt { display: none; }
    CpusScreen.-jumping #cpus-grid-pane Prompt { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("b", "backtrace", "backtrace", id="cpus.backtrace",
                tooltip="backtrace; again: with the frames' words (bt -f), the raw stack (bt -r)"),
        Binding("r", "pane('runqueue')", "runqueue", id="cpus.runqueue"),
        Binding("t", "pane('timers')", "timers", id="cpus.timers"),
        Binding("w", "pane('watchdog')", "watchdog", id="cpus.watchdog",
                tooltip="lockup detectors, tick, RCU, IPIs, work pools"),
        Binding("f", "filter_state", "filter", id="cpus.filter-state",
                tooltip="only busy CPUs, lagging ones, with interrupts off, offline, real-time"),
        Binding("slash", "filter", "find", show=False, id="cpus.filter",
                tooltip="only CPUs whose task or state matches"),
        Binding("s", "sort", "sort", show=False, id="cpus.sort",
                tooltip="sort by number, state, lag, time on CPU, nr_running"),
        Binding("c", "jump", "CPU number", show=False, id="cpus.jump",
                tooltip="go to a CPU by its number"),
        Binding("escape", "leave_jump", "stay", show=False, id="cpus.leave-jump"),
    ]  # fmt: skip

    def compose(self) -> ComposeResult:
        self._cpus: Cpus | None = None
        self._detail: Cpu | None = None
        self._filter = ""
        self._sort = "number"
        self._stack = "backtrace"
        self._pane = "backtrace"
        self._wanted: int | None = None
        self._asked: int | None = None
        self._grid = CpuGrid(id="cpus-grid")
        self._bar = FilterBar(self._grid)
        self._jump = Prompt("c", self._grid, placeholder="number of a CPU")
        self._views = {name: _Detail(id=f"cpus-{name}") for name in _PANES}
        for name, indent in (("runqueue", 11), ("watchdog", 21)):
            self._views[name].wrapped = True
            self._views[name].wrap_indent = indent
        self._panes = {
            name: Pane(name.capitalize(), view, id=f"cpus-{name}-pane")
            for name, view in self._views.items()
        }
        self._grid_pane = Pane("CPUs", self._jump, self._grid, id="cpus-grid-pane")
        yield self._bar
        with Horizontal():
            with Vertical(id="cpus-left"):
                yield self._grid_pane
                yield self._panes["runqueue"]
            with Vertical(id="cpus-right"):
                yield self._panes["backtrace"]
                yield self._panes["timers"]
                yield self._panes["watchdog"]

    def on_mount(self) -> None:
        """Ask for the grid; the panes follow the cursor."""
        self._show_and_hide()
        self.ask(CpusQuery(), self._show, into=self._grid, what="reading the CPUs")

    def on_resize(self) -> None:
        self.set_class(self.size.width < NARROW, "-narrow")
        self._show_and_hide()
        self.call_after_refresh(self._fill_panes)

    def focus_first(self) -> None:
        """The grid."""
        self._grid.focus(scroll_visible=False)

    # What is shown.

    def query_in_focus(self) -> Query[Any] | None:
        """What the focused pane shows of the CPU under the cursor."""
        focused = self.screen.focused
        for name, view in self._views.items():
            if focused is view and self._detail is not None:
                return self._query(str(self._detail.cpu), name)
        return CpusQuery(busy=self._filter == "busy")

    def _query(self, cpu: str, pane: str) -> CpusQuery:
        if pane == "backtrace":
            return CpusQuery(cpu=cpu, **{self._stack: True})
        return CpusQuery(cpu=cpu, **{pane: True})

    def _show(self, cpus: Cpus) -> None:
        self._cpus = cpus
        online = "" if cpus.online is None else f" · {cpus.online} online"
        self._grid_pane.show_title(f"CPUs  {cpus.possible} possible{online}")
        if self._wanted is None:
            self._wanted = _most_telling(cpus)
        self._arrange()

    def _arrange(self) -> None:
        """Show the CPUs that the filters leave; stay on the one under the cursor."""
        cpus = self._cpus
        if cpus is None:
            return
        at = self._wanted
        if at is None and self._grid.selected is not None:
            at = self._grid.selected.cpu
        self._wanted = None
        threshold = cpus.watchdog_threshold_seconds
        chosen = _FILTERS.get(self._filter)
        shown = [
            cpu
            for cpu in cpus.cpus
            if (chosen is None or chosen(cpu, threshold))
            and self._bar.filter.matches(_search_text(cpu))
        ]
        shown.sort(key=lambda cpu: (_SORTS[self._sort](cpu), cpu.cpu))
        numbers = [cpu.cpu for cpu in shown]
        self._grid.show_cpus(shown, threshold, numbers.index(at) if at in numbers else 0)
        if not shown:
            self._grid.show_state(Empty("no CPU is like that", "f changes the filter"))
        self._grid_pane.show_subtitle(f"sorted by {self._sort}")
        chips = self._chips(cpus)
        self._bar.show_chips([("", chips)] if chips else [])
        self._bar.show_count(len(shown), len(cpus.cpus))
        self.equivalent_changed()

    def _chips(self, cpus: Cpus) -> list[Chip]:
        if not self._filter and len(cpus.cpus) < _MANY:
            return []
        threshold = cpus.watchdog_threshold_seconds
        return [
            Chip(
                name,
                sum(1 for cpu in cpus.cpus if test(cpu, threshold)),
                active=name == self._filter,
            )
            for name, test in _FILTERS.items()
        ]

    @on(LineView.CursorMoved, "#cpus-grid")
    def _moved(self, _message: LineView.CursorMoved) -> None:
        cpu = self._grid.selected
        if cpu is not None and cpu.cpu != self._asked:
            self._ask_for(cpu.cpu)

    def _ask_for(self, cpu: int) -> None:
        self._asked = cpu
        self._stack = "backtrace"
        self._views["backtrace"].followers = [self._views[name] for name in _PANES[1:]]
        for name, pane in self._panes.items():
            pane.show_title(f"{name.capitalize()} of CPU {cpu}")
            pane.show_subtitle("")
        self.ask(
            CpusQuery(cpu=str(cpu), backtrace=True, runqueue=True, timers=True, watchdog=True),
            self._show_detail,
            into=self._views["backtrace"],
            what=f"reading CPU {cpu}",
            group="cpus-detail",
        )

    def _show_detail(self, cpus: Cpus) -> None:
        self._detail = cpus.cpus[0]
        self._fill_panes()

    def _fill_panes(self) -> None:
        cpu, cpus = self._detail, self._cpus
        if cpu is None or cpus is None:
            return
        number = cpu.cpu
        self._fill_stack(cpu)
        runqueue = runqueue_lines(cpu, cpus.watchdog_threshold_seconds, cpus.clock_cpu)
        self._views["runqueue"].show_lines(runqueue)
        self._panes["runqueue"].show_subtitle("" if cpu.runqueue is None else str(cpu.runqueue))
        cells = self._cells("timers")
        self._views["timers"].show_lines(timer_lines(cpu, cells), empty=Empty("no timers"))
        self._panes["timers"].show_subtitle(f"timer -C {number}")
        self._views["watchdog"].show_lines(health_lines(cpu), empty=Empty("nothing is known"))
        self.equivalent_changed()

    def _cells(self, pane: str) -> int:
        width = self._views[pane].size.width
        if not width:  # while it is hidden
            beside = self._grid if self.has_class("-narrow") else self._views["backtrace"]
            width = beside.size.width
        return max(width, 36)

    def _fill_stack(self, cpu: Cpu) -> None:
        lines = (
            raw_stack_lines(cpu)
            if self._stack == "raw"
            else backtrace_lines(cpu, self._cells("backtrace"))
        )
        self._views["backtrace"].show_lines(lines, empty=Empty("there is no stack"))
        if self._stack == "raw":
            self._views["backtrace"].move_to(self._in_use(cpu))
        pane = self._panes["backtrace"]
        pane.show_title(f"{_STACK_TITLES[self._stack]} of CPU {cpu.cpu}")
        pane.show_subtitle(equivalent(self._query(str(cpu.cpu), "backtrace")).crash)

    def _in_use(self, cpu: Cpu) -> int:
        """Which word of the raw stack is the first that a frame uses."""
        frames = self._detail.backtrace if self._detail is not None else ()
        first = cpu.raw_stack[0].address if cpu.raw_stack else 0
        used = [
            (frame.sp - first) // 8
            for frame in frames
            if frame.sp is not None and 0 <= frame.sp - first < 8 * len(cpu.raw_stack)
        ]
        return min(used, default=0)

    def _show_and_hide(self) -> None:
        """Beside the grid there is room for three panes, below it for one."""
        narrow = self.has_class("-narrow")
        bottom = self._pane if self._pane in ("timers", "watchdog") else "watchdog"
        shown = {self._pane} if narrow else {"backtrace", "runqueue", bottom}
        for name, pane in self._panes.items():
            pane.set_class(name not in shown, "-hidden")

    # Keys.

    def action_pane(self, name: str) -> None:
        """Go to a pane; in a narrow terminal it takes the place of another."""
        self._pane = name
        self._show_and_hide()
        self._views[name].focus(scroll_visible=False)

    def action_backtrace(self) -> None:
        """To the backtrace; from there to its frames' words, the raw stack, and back."""
        if not self._views["backtrace"].has_focus:
            self.action_pane("backtrace")
            return
        if self._detail is None:
            return
        self._stack = _STACKS[(_STACKS.index(self._stack) + 1) % len(_STACKS)]
        if self._stack == "backtrace":
            self._ask_for(self._detail.cpu)
            return
        self._views["backtrace"].followers = ()
        self.ask(
            self._query(str(self._detail.cpu), "backtrace"),
            self._show_stack,
            into=self._views["backtrace"],
            what="reading the stack",
            group="cpus-detail",
        )

    def _show_stack(self, cpus: Cpus) -> None:
        self._fill_stack(cpus.cpus[0])
        self.equivalent_changed()

    def action_filter(self) -> None:
        """Type a filter."""
        self._bar.open()

    @on(FilterBar.Changed)
    def _filter_typed(self, _message: FilterBar.Changed) -> None:
        self._arrange()

    def action_filter_state(self) -> None:
        """The next of the filters by state."""
        names = ["", *_FILTERS]
        self._filter = names[(names.index(self._filter) + 1) % len(names)]
        self._arrange()

    def action_sort(self) -> None:
        """The next order."""
        names = list(_SORTS)
        self._sort = names[(names.index(self._sort) + 1) % len(names)]
        self._arrange()

    def action_jump(self) -> None:
        """Type the number of a CPU."""
        self.add_class("-jumping")
        self._jump.begin("")

    @on(Input.Submitted)
    def _jumped(self, event: Input.Submitted) -> None:
        event.stop()
        if event.value.isdecimal():
            self.follow(CpuLink(int(event.value)))
        self.action_leave_jump()

    def action_leave_jump(self) -> None:
        """Back to the grid."""
        self.remove_class("-jumping")
        self._grid.focus(scroll_visible=False)

    @on(LineView.Chosen, "#cpus-grid")
    def _chosen(self, _message: LineView.Chosen) -> None:
        self.action_pane("backtrace")

    # Links and places.

    def follow(self, link: Link) -> None:
        """Go to a CPU."""
        if not isinstance(link, CpuLink):
            return
        self._wanted = link.cpu
        if self._cpus is None:
            return
        if not any(cpu.cpu == link.cpu for cpu in self._cpus.cpus):
            self._wanted = None
            self.app.bell()
            return
        shown = self._grid.numbers
        if link.cpu not in shown:
            self._filter = ""
            self._bar.apply("")
        self._arrange()

    def place(self) -> object:
        """The CPU under the cursor and the pane that was open."""
        selected = self._grid.selected
        return (None if selected is None else selected.cpu, self._pane)

    def go_to(self, place: object) -> None:
        """Back to a CPU."""
        if isinstance(place, tuple):
            cpu, pane = place
            self._pane = pane
            self._show_and_hide()
            if cpu is not None:
                self.follow(CpuLink(cpu))

    def go_back_within(self) -> bool:
        """From a pane back to the grid."""
        if self._grid.has_focus:
            return False
        self.action_leave_jump()
        return True


def _search_text(cpu: Cpu) -> str:
    current = cpu.current
    task = f"{current.comm} {current.pid}" if current else ""
    return f"{cpu.cpu} {STATES[state_of(cpu)]} {task} {' '.join(remarks(cpu))}"


def _most_telling(cpus: Cpus) -> int | None:
    """The CPU to begin with: the one whose state says most."""
    order = list(STATES)
    found = min(cpus.cpus, key=lambda cpu: (order.index(state_of(cpu)), cpu.cpu), default=None)
    return None if found is None else found.cpu
