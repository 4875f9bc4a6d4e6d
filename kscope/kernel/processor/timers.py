"""A CPU's timers: the timer wheel and the hrtimers, with what each is for."""

import struct
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from drgn import Object, Program, container_of
from drgn.helpers.linux.list import hlist_for_each_entry
from drgn.helpers.linux.percpu import per_cpu
from drgn.helpers.linux.timekeeping import ktime_get_coarse_ns, ktime_to_ns
from drgn.helpers.linux.timer import hrtimer_clock_base_for_each, timer_base_names

from kscope.kernel.access.lists import collect
from kscope.kernel.access.members import number
from kscope.kernel.access.reading import READ_ERRORS, Readings
from kscope.kernel.machine.clocks import jiffy_ns
from kscope.model.base import Address
from kscope.model.cpus import Function, Timer, TimerBase, Timers
from kscope.model.text import printable

# enum hrtimer_base_type; the functions that read each clock, as crash names them.
_CLOCKS = ("ktime_get", "ktime_get_real", "ktime_get_boottime", "ktime_get_clocktai")


def function_at(program: Program, address: int) -> Function:
    """The function at ``address``."""
    try:
        name = printable(program.symbol(address).name)
    except LookupError:
        name = ""
    return Function(Address(address), name)


def timers(program: Program, cpu: int, readings: Readings) -> Timers:
    """All timers of a CPU that are pending."""
    jiffy = readings.read("HZ", lambda: jiffy_ns(program), None)
    jiffies = readings.read("jiffies", lambda: int(program["jiffies"].value_()), None)
    wheels: tuple[TimerBase, ...] = ()
    if jiffies is not None:
        wheels = collect(readings, "timer wheel", lambda: _wheels(program, cpu, jiffies, jiffy))
    base = readings.read("hrtimers", lambda: per_cpu(program["hrtimer_bases"], cpu), None)
    clocks: tuple[TimerBase, ...] = ()
    expires_next = hang = hangs = None
    if base is not None:
        clocks = collect(readings, "hrtimers", lambda: _clocks(program, base))
        expires_next, hang, hangs = (
            readings.read(name, partial(number, base, name), None)
            for name in ("expires_next", "hang_detected", "nr_hangs")
        )
    return Timers(
        jiffies=jiffies,
        hz=round(1_000_000_000 / jiffy) if jiffy else None,
        wheels=wheels,
        hrtimer_base=None if base is None else Address(base.address_),
        clocks=clocks,
        expires_next_ns=expires_next,
        hang_detected=None if hang is None else bool(hang),
        nr_hangs=hangs,
    )


def _wheels(program: Program, cpu: int, jiffies: int, jiffy: int | None) -> Iterator[TimerBase]:
    bases = per_cpu(program["timer_bases"], cpu)
    for name, base in zip(timer_base_names(program), bases, strict=True):
        readings = Readings()
        found = collect(readings, name, partial(_wheel, base, jiffies, jiffy))
        yield TimerBase(
            name=name,
            base=Address(base.address_),
            now=jiffies,
            timers=tuple(sorted(found, key=lambda timer: (timer.expires, timer.timer))),
            unreadable=readings.unreadable,
        )


def _wheel(base: Object, jiffies: int, jiffy: int | None) -> Iterator[Timer]:
    # Most of the wheel's 576 lists are empty: their heads are read in one piece.
    vectors = base.vectors
    program = base.prog_
    data = program.read(vectors.address_, 8 * len(vectors))
    for index, first in enumerate(struct.unpack(f"<{len(vectors)}Q", data)):
        if not first:
            continue
        head = vectors[index].address_of_()
        for timer in hlist_for_each_entry("struct timer_list", head, "entry"):
            expires = timer.expires.value_()
            # Jiffies wrap around.
            tte = (expires - jiffies + (1 << 63)) % (1 << 64) - (1 << 63)
            function = function_at(program, timer.function.value_())
            purpose = _wheel_purpose(timer, function.name)
            yield Timer(
                timer=Address(timer.value_()),
                expires=expires,
                tte=tte,
                tte_ns=tte * (jiffy or 0),
                function=function,
                about=purpose.about,
                task=purpose.task,
                pid=purpose.pid,
            )


def _clocks(program: Program, base: Object) -> Iterator[TimerBase]:
    now = int(ktime_get_coarse_ns(program).value_())
    for clock in base.clock_base:
        current = now + _ns(clock.offset)
        readings = Readings()
        index = clock.index.value_()
        yield TimerBase(
            name=_CLOCKS[index % len(_CLOCKS)],
            base=Address(clock.address_),
            now=current,
            timers=collect(readings, f"hrtimer clock {index}", partial(_clock, clock, current)),
            unreadable=readings.unreadable,
        )


def _clock(clock: Object, now: int) -> Iterator[Timer]:
    for timer in hrtimer_clock_base_for_each(clock.address_of_()):
        expires = _ns(timer.node.expires)
        function = function_at(timer.prog_, timer.function.value_())
        purpose = _hrtimer_purpose(timer, function.name)
        yield Timer(
            timer=Address(timer.value_()),
            expires=expires,
            soft_expires=_ns(timer._softexpires),
            tte=expires - now,
            tte_ns=expires - now,
            function=function,
            about=purpose.about,
            task=purpose.task,
            pid=purpose.pid,
        )


def _ns(time: Object) -> int:
    return int(ktime_to_ns(time).value_())


class _Purpose(NamedTuple):
    about: str = ""
    task: Address | None = None
    pid: int | None = None


def _wheel_purpose(timer: Object, function: str) -> _Purpose:
    try:
        if function == "delayed_work_timer_fn":
            work = container_of(timer, "struct delayed_work", "timer").work
            return _Purpose(f"work {function_at(timer.prog_, work.func.value_()).name}")
        if function == "process_timeout":
            return _sleeper(container_of(timer, "struct process_timer", "timer").task.read_())
    except READ_ERRORS:
        pass
    return _Purpose()


def _hrtimer_purpose(timer: Object, function: str) -> _Purpose:
    try:
        if function == "hrtimer_wakeup":
            return _sleeper(container_of(timer, "struct hrtimer_sleeper", "timer").task.read_())
    except READ_ERRORS:
        pass
    return _Purpose()


def _sleeper(task: Object) -> _Purpose:
    if not task:
        return _Purpose()
    pid = task.pid.value_()
    return _Purpose(f"wakes {printable(task.comm.string_())} {pid}", Address(task.value_()), pid)
