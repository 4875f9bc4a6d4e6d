"""The kernel's lockup detectors and the tick of a CPU: kernel/watchdog.c, kernel/time/tick-sched.c.

The soft-lockup detector's work runs as the stop task of each CPU every two fifths of the threshold,
and leaves a time stamp: if nothing else than the current task was scheduled for long, the stamp is
old. The hard-lockup detector compares how often the timer interrupt came that starts that work.
"""

from drgn import Program
from drgn.helpers.linux.percpu import per_cpu

from kscope.kernel.access.members import number, value_of, variable
from kscope.kernel.access.reading import Readings
from kscope.model.cpus import Lockup, Tick, Watchdog

# Bits of watchdog_enabled.
_HARD = 1 << 0
_SOFT = 1 << 1

_TS_SHIFT = 30
"""``get_timestamp()`` takes 2^30 ns for a second."""

_RESET = (1 << 64) - 1
"""``SOFTLOCKUP_RESET`` until v5.12: somebody had told the detector to begin anew."""

_TICK_STOPPED = 1 << 1
"""``TS_FLAG_STOPPED``."""


def threshold_seconds(program: Program) -> int | None:
    """``kernel.watchdog_thresh``; ``None`` if the kernel has no lockup detectors."""
    return _setting(program, "watchdog_thresh")


def _setting(program: Program, *names: str) -> int | None:
    found = variable(program, *names)
    return None if found is None else value_of(found)


def watchdog(program: Program, cpu: int, now_ns: int | None, readings: Readings) -> Watchdog:
    """What the lockup detectors knew about a CPU.

    :param now_ns: the most advanced runqueue clock.
    """

    def per(*names: str) -> int | None:
        """The first of these per-CPU variables that this kernel has."""
        found = variable(program, *names)
        return None if found is None else value_of(per_cpu(found, cpu))

    read = readings.read
    enabled = read("watchdog_enabled", lambda: _setting(program, "watchdog_enabled"), None)
    touched = read("watchdog_touch_ts", lambda: per("watchdog_touch_ts"), None)
    if touched == _RESET:
        touched = None
    interrupts = read("hrtimer_interrupts", lambda: per("hrtimer_interrupts"), None)
    # 0 where it was never started, and until there was watchdog_report_ts (in v5.13) also after
    # touch_softlockup_watchdog(). Otherwise 0 is the first second after boot.
    is_a_time = interrupts and variable(program, "watchdog_report_ts") is not None
    warned = read(
        "watchdog_hardlockup_warned",
        # Renamed in Linux 6.5, when the buddy detector came.
        lambda: per("watchdog_hardlockup_warned", "hard_watchdog_warn"),
        None,
    )
    return Watchdog(
        threshold_seconds=read("watchdog_thresh", lambda: threshold_seconds(program), None),
        softlockup_enabled=None if enabled is None else bool(enabled & _SOFT),
        touched_seconds=touched,
        touched_ago_ns=_ago(touched, now_ns) if touched or is_a_time else None,
        hardlockup_detector=read("hard-lockup detector", lambda: _detector(program, enabled), None),
        hrtimer_interrupts=interrupts,
        hrtimer_interrupts_saved=read(
            "hrtimer_interrupts_saved", lambda: per("hrtimer_interrupts_saved"), None
        ),
        hardlockup_warned=None if warned is None else bool(warned),
    )


def _ago(touched: int | None, now_ns: int | None) -> int | None:
    if touched is None or now_ns is None:
        return None
    return max((now_ns >> _TS_SHIFT) - touched, 0) << _TS_SHIFT


def _detector(program: Program, enabled: int | None) -> str | None:
    if enabled is None:
        return None
    # The old name before Linux 6.5.
    available = _setting(program, "watchdog_hardlockup_available", "nmi_watchdog_available")
    if not enabled & _HARD or not available:
        return "none"
    # Since Linux kernel commit 1f423c905a6b ("watchdog/hardlockup: detect hard lockups using
    # secondary (buddy) CPUs") (in v6.5).
    try:
        program.symbol("watchdog_buddy_check_hardlockup")
    except LookupError:
        return "perf"
    return "buddy"


def lockup(
    found: Watchdog,
    *,
    tick_ago_ns: int | None,
    irqs_off: bool,
    idle: bool | None,
    at_work: bool,
) -> Lockup | None:
    """Whether a CPU was locked up: by the kernel's own measure, or because no tick came in.

    :param at_work: whether it was online, be it until panic() stopped it.
    :param irqs_off: whether interrupts are off, by a task's doing or in an interrupt's handler.
    :param tick_ago_ns: how long ago its last tick was handled. The tick is an interrupt; the
        runqueue's clock would not do, since other CPUs move it on when they wake tasks there.
    """
    if not at_work or idle is not False:
        return None
    if found.hardlockup_warned:
        return Lockup("hard", (tick_ago_ns or 0) // 10**9, "the hard-lockup detector reported it")
    limit = found.threshold_seconds or 10
    if irqs_off and tick_ago_ns is not None and tick_ago_ns > limit * 10**9:
        return Lockup(
            "hard",
            tick_ago_ns // 10**9,
            f"interrupts are off, and no tick was handled for {tick_ago_ns / 10**9:.1f} s",
        )
    if found.touched_ago_ns is None or found.softlockup_enabled is False:
        return None
    seconds = found.touched_ago_ns >> _TS_SHIFT
    # is_softlockup(): now > stamp + 2 * watchdog_thresh.
    if seconds > 2 * limit:
        return Lockup(
            "soft",
            seconds,
            f"its watchdog was last scheduled {seconds} s ago; the kernel allows {2 * limit} s",
        )
    return None


def tick(
    program: Program, cpu: int, now_ns: int | None, jiffy_ns: int | None, readings: Readings
) -> Tick:
    """The tick of a CPU.

    :param now_ns: the coarse monotonic clock.
    """
    sched = readings.read("tick", lambda: per_cpu(program["tick_cpu_sched"], cpu), None)
    if sched is None:
        return Tick(stopped=None, last_ago_ns=None, next_in_ns=None)

    def is_stopped() -> bool:
        # Bits of flags since Linux kernel commit a478ffb2ae23 ("tick: Move individual bit features
        # to debuggable mask accesses") (in v6.9).
        flags = number(sched, "flags")
        return bool(number(sched, "tick_stopped") if flags is None else flags & _TICK_STOPPED)

    stopped = readings.read("tick", is_stopped, None)

    def times() -> tuple[int | None, int | None]:
        if now_ns is None or jiffy_ns is None:
            return None, None
        # A stopped tick has its timer set to whatever the CPU must wake up for, and remembers when
        # the next tick would have been.
        due = sched.last_tick if stopped else sched.sched_timer.node.expires
        due_ns = int(due.value_())
        if not due_ns:
            return None, None
        # The coarse clock is itself only as late as the last tick of the CPU that keeps the time.
        return max(now_ns - (due_ns - jiffy_ns), 0), None if stopped else due_ns - now_ns

    nothing: tuple[int | None, int | None] = (None, None)
    last, following = readings.read("tick", times, nothing)
    return Tick(stopped=stopped, last_ago_ns=last, next_in_ns=following)
