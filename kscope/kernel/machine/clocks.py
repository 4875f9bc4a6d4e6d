"""What time it was in the kernel, to say how long ago or how soon a time in memory is."""

from functools import cached_property

from drgn import Program
from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.percpu import per_cpu
from drgn.helpers.linux.timekeeping import ktime_get_coarse_boottime_ns, ktime_get_coarse_ns

from kscope.kernel.access.reading import READ_ERRORS

_SECOND = 1_000_000_000

_HZ_SHIFT = 8
"""``JIFFIES_SHIFT`` of kernel/time/jiffies.c."""


def jiffy_ns(program: Program) -> int:
    """The length of a jiffy: the kernel's HZ is a constant that only its debug info's macros have,
    but the clock source made of jiffies is scaled by it."""
    return int(program["clocksource_jiffies"].mult.value_()) >> _HZ_SHIFT


class Clocks:
    """A target's clocks, each read when it is first needed; ``None`` where one cannot be read."""

    def __init__(self, program: Program) -> None:
        self._program = program

    @cached_property
    def jiffies(self) -> int | None:
        """``jiffies_64`` as it stood."""
        try:
            return int(self._program["jiffies_64"].value_())
        except READ_ERRORS:
            return None

    @cached_property
    def ticks_per_second(self) -> int | None:
        """CONFIG_HZ."""
        try:
            return round(_SECOND / jiffy_ns(self._program))
        except (*READ_ERRORS, ZeroDivisionError):
            return None

    @cached_property
    def scheduler_ns(self) -> int | None:
        """The latest that any runqueue's clock shows: ``sched_clock()``'s time."""
        try:
            runqueues = self._program["runqueues"]
            return max(
                int(per_cpu(runqueues, cpu).clock) for cpu in for_each_possible_cpu(self._program)
            )
        except READ_ERRORS:
            return None

    @cached_property
    def monotonic_ns(self) -> int | None:
        """CLOCK_MONOTONIC at the last tick."""
        try:
            return int(ktime_get_coarse_ns(self._program))
        except READ_ERRORS:
            return None

    @cached_property
    def boottime_ns(self) -> int | None:
        """CLOCK_BOOTTIME."""
        try:
            return int(ktime_get_coarse_boottime_ns(self._program))
        except READ_ERRORS:
            return None


def duration(nanoseconds: int) -> str:
    """``350 ns``, ``12.5 ms``, ``41.118 s``, ``9 m 41 s``, ``3 d 4 h``."""
    size = abs(nanoseconds)
    if size < 1_000:
        return f"{nanoseconds} ns"
    if size < 1_000_000:
        return f"{nanoseconds / 1_000:.3g} µs"
    if size < _SECOND:
        return f"{nanoseconds / 1_000_000:.3g} ms"
    sign = "-" if nanoseconds < 0 else ""
    seconds = size // _SECOND
    if seconds < 60:
        return f"{sign}{size / _SECOND:.3f} s"
    if seconds < 3600:
        return f"{sign}{seconds // 60} m {seconds % 60} s"
    if seconds < 86400:
        return f"{sign}{seconds // 3600} h {seconds % 3600 // 60} m"
    return f"{sign}{seconds // 86400} d {seconds % 86400 // 3600} h"


def relative(nanoseconds: int) -> str:
    """``9 m 41 s ago`` of what is past, ``in 3.2 s`` of what is to come."""
    if nanoseconds > 0:
        return f"{duration(nanoseconds)} ago"
    return f"in {duration(-nanoseconds)}" if nanoseconds else "now"
