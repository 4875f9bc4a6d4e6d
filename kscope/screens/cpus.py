"""Screen 4: every CPU in a grid, and what the one under the cursor was doing."""

from collections.abc import Callable
from typing import Any, ClassVar

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input

from kscope.dialect.cpus import remarks
from kscope.model.base import Query
from kscope.model.cpus import STATES, Cpu, Cpus, CpusQuery, lags, state_of
from kscope.screens.base import NARROW, DashboardScreen
from kscope.screens.cpu_grid import CpuGrid
from kscope.screens.cpu_panes import (
    BacktracePane,
    CpuPane,
    RunqueuePane,
    TimersPane,
    WatchdogPane,
    WatchdogWanted,
)
from kscope.screens.links import CpuLink, Link
from kscope.widgets.filter_bar import Chip, FilterBar
from kscope.widgets.line_view import LineView
from kscope.widgets.pane import Pane
from kscope.widgets.prompt import Prompt
from kscope.widgets.states import Empty

_FILTERS: dict[str, Callable[[Cpu, int | None], bool]] = {
    "busy": lambda cpu, _: cpu.busy,
    "lagging": lags,
    "interrupts off": lambda cpu, _: cpu.irqs_off,
    "offline": lambda cpu, _: cpu.offline,
    "real-time": lambda cpu, _: cpu.runs_realtime,
}
_SORTS: dict[str, Callable[[Cpu], Any]] = {
    "number": lambda cpu: cpu.cpu,
    "state": lambda cpu: list(STATES).index(state_of(cpu)),
    "lag": lambda cpu: 1 if cpu.offline else -(cpu.lag_ns or 0),
    "time on CPU": lambda cpu: -((cpu.current.running_ns or 0) if cpu.current else 0),
    "nr_running": lambda cpu: -(cpu.nr_running or 0),
}
_MANY = 17
"""With that many CPUs the grid gets more room, and filters are offered above it."""


class CpusAsLeft(msgspec.Struct, frozen=True):
    """What is kept of this screen from one run to the next."""

    cpu: int | None = None
    """The one under the cursor."""
    pane: str = "backtrace"
    state: str = ""
    """The filter by state."""
    match: str = ""
    sort: str = "number"


class CpusScreen(DashboardScreen):
    """The grid and its panes."""

    DIGIT: ClassVar[str] = "4"
    NAME: ClassVar[str] = "CPUs"
    OPENS: ClassVar[tuple[type[Any], ...]] = (CpuLink,)
    REMEMBERS: ClassVar[CpusAsLeft] = CpusAsLeft()
    HELP_HEADING: ClassVar[str] = "On the CPUs screen"
    DEFAULT_CSS = """
    CpusScreen > Horizontal { height: 1fr; }
    CpusScreen #cpus-left { width: 9fr; }
    CpusScreen #cpus-right { width: 11fr; }
    CpusScreen #cpus-grid-pane { height: 2fr; }
    CpusScreen #cpus-runqueue-pane { height: 3fr; }
    CpusScreen #cpus-backtrace-pane { height: 4fr; }
    CpusScreen #cpus-timers-pane, CpusScreen #cpus-watchdog-pane { height: 3fr; }
    CpusScreen.-many #cpus-grid-pane { height: 3fr; }
    CpusScreen.-many #cpus-runqueue-pane { height: 2fr; }
    CpusScreen.-narrow > Horizontal { layout: vertical; }
    CpusScreen.-narrow #cpus-left { width: 100%; height: auto; }
    CpusScreen.-narrow #cpus-right { width: 100%; height: 1fr; }
    CpusScreen.-narrow #cpus-grid-pane { height: 9; }
    CpusScreen.-narrow.-many #cpus-grid-pane { height: 11; }
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
        self._pane = "backtrace"
        self._wanted: int | None = None
        self._asked: int | None = None
        self._grid = CpuGrid(id="cpus-grid")
        self._bar = FilterBar(self._grid)
        self._jump = Prompt("c", self._grid, placeholder="number of a CPU")
        self._grid_pane = Pane("CPUs", self._jump, self._grid, id="cpus-grid-pane")
        self._backtrace = BacktracePane()
        panes: list[CpuPane] = [self._backtrace, RunqueuePane(), TimersPane(), WatchdogPane()]
        self._panes = {pane.NAME: pane for pane in panes}
        yield self._bar
        with Horizontal():
            with Vertical(id="cpus-left"):
                yield self._grid_pane
                yield self._panes["runqueue"]
            with Vertical(id="cpus-right"):
                yield self._backtrace
                yield self._panes["timers"]
                yield self._panes["watchdog"]

    def on_mount(self) -> None:
        """Ask for the grid; the panes follow the cursor."""
        self._show_and_hide()
        self.ask(CpusQuery(), self._show, into=self._grid, what="reading the CPUs")

    def on_resize(self) -> None:
        self.set_class(self.size.width < NARROW, "-narrow")
        self._show_and_hide()
        self.call_after_refresh(self._fit_panes)

    def focus_first(self) -> None:
        """The grid."""
        self._grid.focus(scroll_visible=False)

    # What is shown.

    def query_in_focus(self) -> Query[Any] | None:
        """What the focused pane shows of the CPU under the cursor."""
        focused = self.screen.focused
        for pane in self._panes.values():
            if focused is pane.view and self._detail is not None:
                return pane.question(self._detail.cpu)
        return CpusQuery(busy=self._filter == "busy")

    def _show(self, cpus: Cpus) -> None:
        self._cpus = cpus
        self.set_class(len(cpus.cpus) >= _MANY, "-many")
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
        self._backtrace.face = "backtrace"
        for pane in self._panes.values():
            pane.begin(cpu)
        self.ask(
            CpusQuery(cpu=str(cpu), backtrace=True, runqueue=True, timers=True, watchdog=True),
            self._show_detail,
            into=[pane.view for pane in self._panes.values()],
            what=f"reading CPU {cpu}",
            group="cpus-detail",
        )

    def _show_detail(self, cpus: Cpus) -> None:
        if self._cpus is None:
            return
        self._detail = cpus.cpus[0]
        for pane in self._panes.values():
            pane.show(self._detail, self._cpus, self._cells)
        self.equivalent_changed()

    @property
    def _cells(self) -> int:
        """How wide a pane that is hidden would be."""
        beside = self._grid if self.has_class("-narrow") else self._backtrace.view
        return beside.size.width

    def _fit_panes(self) -> None:
        for pane in self._panes.values():
            pane.show_again(self._cells)

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
        self._panes[name].view.focus(scroll_visible=False)

    @on(WatchdogWanted)
    def _watchdog_wanted(self, message: WatchdogWanted) -> None:
        message.stop()
        self.action_pane("watchdog")

    def action_backtrace(self) -> None:
        """To the backtrace; from there to its frames' words, the raw stack, and back."""
        if not self._backtrace.view.has_focus:
            self.action_pane("backtrace")
            return
        if self._detail is None:
            return
        self._backtrace.next_face()
        self.ask(
            self._backtrace.question(self._detail.cpu),
            self._show_stack,
            into=self._backtrace.view,
            what="reading the stack",
            group="cpus-detail",
        )

    def _show_stack(self, cpus: Cpus) -> None:
        (cpu,) = cpus.cpus
        self._backtrace.show(cpu, cpus, self._cells)
        if self._detail is not None:
            self._backtrace.move_to_used(cpu, self._detail)
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

    def remembered(self) -> CpusAsLeft:
        """Filters, order, CPU and pane."""
        selected = self._grid.selected
        return CpusAsLeft(
            cpu=None if selected is None else selected.cpu,
            pane=self._pane,
            state=self._filter,
            match=self._bar.filter.source,
            sort=self._sort,
        )

    def restore(self, remembered: CpusAsLeft) -> None:
        """Filter and sort as the last time, and go to the CPU."""
        if remembered.state in _FILTERS:
            self._filter = remembered.state
        if remembered.sort in _SORTS:
            self._sort = remembered.sort
        if remembered.pane in self._panes:
            self._pane = remembered.pane
        self._bar.apply(remembered.match)
        self._wanted = remembered.cpu
        self._show_and_hide()
        self._arrange()

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
