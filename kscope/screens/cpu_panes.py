"""The four panes about one CPU: what it ran, who waits for it, its timers, its health."""

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from kscope.dialect.cpus import equivalent
from kscope.model.cpus import Cpu, Cpus, CpusQuery
from kscope.screens.cpu_lines import (
    backtrace_lines,
    health_lines,
    raw_stack_lines,
    runqueue_lines,
    timer_lines,
)
from kscope.widgets.line import Line
from kscope.widgets.pane import Pane
from kscope.widgets.states import Empty
from kscope.widgets.text_view import TextView

_LEAST_CELLS = 36


class WatchdogWanted(Message):
    """The reader asks for the watchdog's pane in another one."""


class _Text(TextView):
    """A pane's text. W folds lines here, since w is the watchdog's everywhere on this screen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("w", "watchdog", "watchdog", id="cpus.detail-watchdog"),
        Binding("W", "wrap", "fold long lines", show=False, id="cpus.wrap"),
    ]

    def action_watchdog(self) -> None:
        self.post_message(WatchdogWanted())


class CpuPane(Pane):
    """One of the panes."""

    NAME: ClassVar[str]
    """Also the option of the Query that it shows."""
    NOTHING: ClassVar[str]
    """What it says where there is nothing to show."""
    FOLDED_TO: ClassVar[int] = 0
    """Lines that are too long are folded, and go on in this cell."""

    def __init__(self) -> None:
        self.view = _Text(id=f"cpus-{self.NAME}", wrapped=bool(self.FOLDED_TO))
        self.view.wrap_indent = self.FOLDED_TO
        self._shown: tuple[Cpu, Cpus] | None = None
        super().__init__(self.title, self.view, id=f"cpus-{self.NAME}-pane")

    @property
    def title(self) -> str:
        return self.NAME.capitalize()

    def question(self, cpu: int) -> CpusQuery:
        """What it shows of a CPU."""
        return CpusQuery(cpu=str(cpu), **{self.NAME: True})

    def begin(self, cpu: int) -> None:
        """It will be about that CPU."""
        self._shown = None
        self.show_title(f"{self.title} of CPU {cpu}")
        self.show_subtitle("")

    def show(self, cpu: Cpu, all_cpus: Cpus, cells: int) -> None:
        """
        :param cells: how wide it will be; while it is hidden it has no width.
        """
        self._shown = cpu, all_cpus
        self.view.show_lines(
            self.lines(cpu, all_cpus, max(self.view.size.width or cells, _LEAST_CELLS)),
            empty=Empty(self.NOTHING),
        )
        self.show_title(f"{self.title} of CPU {cpu.cpu}")
        self.show_subtitle(self.subtitle(cpu))

    def show_again(self, cells: int) -> None:
        """The same at another width."""
        if self._shown is not None:
            self.show(*self._shown, cells)

    def lines(self, cpu: Cpu, all_cpus: Cpus, cells: int) -> Sequence[Line]:
        raise NotImplementedError

    def subtitle(self, cpu: Cpu) -> str:
        return equivalent(self.question(cpu.cpu)).crash


class BacktracePane(CpuPane):
    """The stacks; on demand with the frames' words, or the raw stack."""

    NAME = "backtrace"
    NOTHING = "there is no stack"
    TITLES: ClassVar[dict[str, str]] = {
        "backtrace": "Backtrace", "full": "Frames' words", "raw": "Raw stack",
    }  # fmt: skip
    """By the option of the Query."""

    face = "backtrace"

    @property
    def title(self) -> str:
        return self.TITLES[self.face]

    def next_face(self) -> None:
        """The frames' words after the frames, then the raw stack, then the frames again."""
        faces = list(self.TITLES)
        self.face = faces[(faces.index(self.face) + 1) % len(faces)]

    def question(self, cpu: int) -> CpusQuery:
        return CpusQuery(cpu=str(cpu), **{self.face: True})

    def lines(self, cpu: Cpu, _all_cpus: Cpus, cells: int) -> Sequence[Line]:
        return raw_stack_lines(cpu) if self.face == "raw" else backtrace_lines(cpu, cells)

    def move_to_used(self, cpu: Cpu, backtrace: Cpu) -> None:
        """In the raw stack, go to the first word that a frame uses.

        :param backtrace: the same CPU with its frames.
        """
        first = cpu.raw_stack[0].address if cpu.raw_stack else 0
        used = [
            (frame.sp - first) // 8
            for frame in backtrace.backtrace
            if frame.sp is not None and 0 <= frame.sp - first < 8 * len(cpu.raw_stack)
        ]
        self.view.move_to(min(used, default=0))


class RunqueuePane(CpuPane):
    """The current task and the queue of each scheduling class."""

    NAME = "runqueue"
    NOTHING = "nothing is known of its queue"
    FOLDED_TO = 11

    def lines(self, cpu: Cpu, all_cpus: Cpus, _cells: int) -> Sequence[Line]:
        return runqueue_lines(cpu, all_cpus.watchdog_threshold_seconds, all_cpus.clock_cpu)

    def subtitle(self, cpu: Cpu) -> str:
        return "" if cpu.runqueue is None else str(cpu.runqueue)


class TimersPane(CpuPane):
    """The timer wheel and the hrtimers."""

    NAME = "timers"
    NOTHING = "no timers"

    def lines(self, cpu: Cpu, _all_cpus: Cpus, cells: int) -> Sequence[Line]:
        return timer_lines(cpu, cells)


class WatchdogPane(CpuPane):
    """Lockup detectors, tick, RCU, IPIs and work pools."""

    NAME = "watchdog"
    NOTHING = "nothing is known"
    FOLDED_TO = 21

    def lines(self, cpu: Cpu, _all_cpus: Cpus, _cells: int) -> Sequence[Line]:
        return health_lines(cpu)

    def subtitle(self, cpu: Cpu) -> str:  # noqa: ARG002
        return ""
