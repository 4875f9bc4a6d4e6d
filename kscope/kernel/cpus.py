"""The CPUs: what each ran, whether it took interrupts, how far its clock was behind."""

import struct
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field

import msgspec
from drgn import Object, Program
from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.sched import cpu_rq
from drgn.helpers.linux.timekeeping import ktime_get_coarse_ns

from kscope.kernel.access.lists import collect
from kscope.kernel.access.page_tables import address_bits
from kscope.kernel.access.reading import READ_ERRORS, Readings
from kscope.kernel.death.panic import panic_cpu
from kscope.kernel.machine.clocks import jiffy_ns
from kscope.kernel.objects.identify_address import addresses_of
from kscope.kernel.processor.cpu_spinning import spinning
from kscope.kernel.processor.cpu_stacks import (
    Stretch,
    interrupt_handled,
    irqs_enabled,
    softirq_handled,
    stretches,
)
from kscope.kernel.processor.cpu_tasks import on_cpu
from kscope.kernel.processor.ipis import current_csd, ipis
from kscope.kernel.processor.rcu import rcu
from kscope.kernel.processor.registers import RegisterSources, cpu_mask
from kscope.kernel.processor.runqueues import Runqueue
from kscope.kernel.processor.timers import timers
from kscope.kernel.processor.watchdog import lockup, threshold_seconds, tick, watchdog
from kscope.kernel.processor.work_pools import work_pools
from kscope.kernel.unwinding.stack_words import stack_words
from kscope.model.base import Address, Part, Progress, QueryError
from kscope.model.cpus import (
    INTERRUPT_FLAG,
    Cpu,
    CpuFrame,
    CpuRegister,
    Cpus,
    CpuSegment,
    CpusQuery,
    Health,
    StackWord,
)
from kscope.model.tasks import parse_cpus
from kscope.model.text import printable
from kscope.target.target import Target

_SLICE = 8
"""CPUs whose stacks are unwound before the worker may look for other work."""


@dataclass
class _Seen:
    """What is read of a CPU in the first round, before the clocks can be compared."""

    cpu: int
    rq: Object | None
    clock_ns: int | None = None
    nr_running: int | None = None
    current: Object | None = None
    idle: bool | None = None
    readings: Readings = field(default_factory=Readings)


def cpus(target: Target, query: CpusQuery) -> Generator[Progress | Part[Cpus], None, Cpus]:
    """Answer a CpusQuery."""
    target.need_types("CPUs")
    answer = _Answer(target, query)
    yield Progress(0, len(answer.wanted), "reading the CPUs")
    found: list[Cpu] = []
    for number, seen in enumerate(answer.wanted):
        if number and number % _SLICE == 0:
            yield Progress(number, len(answer.wanted), "unwinding the CPUs' stacks")
        cpu = answer.cpu(seen)
        if cpu.busy or not query.busy:
            found.append(cpu)
    return answer.result(found)


class _Answer:
    """What all CPUs have in common, and each of them."""

    def __init__(self, target: Target, query: CpusQuery) -> None:
        self._target = target
        self._query = query
        program = self._program = target.program
        self._readings = readings = Readings()
        read = readings.read
        nothing: list[int] = []
        self._possible = read(
            "possible CPUs", lambda: list(for_each_possible_cpu(program)), nothing
        )
        if not self._possible:
            raise QueryError(
                f"Which CPUs there are cannot be read: {readings.unreadable[0].why}.",
                kind="unreadable",
            )
        wanted = parse_cpus(query.cpu) if query.cpu else frozenset(self._possible)
        if missing := sorted(wanted.difference(self._possible)):
            raise QueryError(
                f"There is no CPU {missing[0]}.", f"There are {_numbers(self._possible)}."
            )
        self._online = read("online CPUs", lambda: cpu_mask(program, "online"), None)
        self._active = read("active CPUs", lambda: cpu_mask(program, "active"), None)
        self._sources = RegisterSources.read(target, self._possible)
        self._panic_cpu = read("panic CPU", lambda: panic_cpu(program), None)
        self._threshold = read("watchdog_thresh", lambda: threshold_seconds(program), None)
        self._jiffy_ns = read("HZ", lambda: jiffy_ns(program), None)
        self._monotonic_ns = read(
            "monotonic clock", lambda: int(ktime_get_coarse_ns(program).value_()), None
        )
        seen = [self._see(cpu) for cpu in self._possible]
        clocks = [(s.clock_ns, -s.cpu) for s in seen if s.clock_ns is not None]
        newest = max(clocks, default=None)
        self._now_ns = newest[0] if newest else None
        self._clock_cpu = -newest[1] if newest else None
        self.wanted = [s for s in seen if s.cpu in wanted]

    def _see(self, cpu: int) -> _Seen:
        seen = _Seen(cpu, None)
        read = seen.readings.read
        rq = read("runqueue", lambda: cpu_rq(self._program, cpu), None)
        if rq is None:
            return seen
        seen.rq = rq
        seen.clock_ns = read("clock", lambda: int(rq.clock.value_()), None)
        seen.nr_running = read("nr_running", lambda: int(rq.nr_running.value_()), None)
        seen.current = read("current task", lambda: rq.curr.read_() or None, None)
        if seen.current is not None:
            seen.idle = read("idle task", lambda: bool(seen.current == rq.idle), None)
        return seen

    def result(self, found: Sequence[Cpu]) -> Cpus:
        return Cpus(
            cpus=tuple(found),
            possible=len(self._possible),
            online=None if self._online is None else len(self._online),
            clock_ns=self._now_ns,
            clock_cpu=self._clock_cpu,
            panic_cpu=self._panic_cpu,
            watchdog_threshold_seconds=self._threshold,
            unreadable=self._readings.unreadable,
        )

    def cpu(self, seen: _Seen) -> Cpu:
        """Everything about one CPU that was asked for."""
        program, cpu, readings = self._program, seen.cpu, seen.readings
        read = readings.read
        online = None if self._online is None else cpu in self._online
        active = None if self._active is None else cpu in self._active
        source, note = self._sources.of(cpu)
        found: list[Stretch] = []
        task = seen.current
        if task is not None and source != "none":
            found = read(
                "backtrace",
                lambda: stretches(
                    self._target,
                    cpu,
                    task,
                    saved=source == "crash note",
                    panicked=cpu == self._panic_cpu,
                ),
                [],
            )
        irqs = irqs_enabled(found)
        interrupt = interrupt_handled(found)
        softirq = softirq_handled(found)
        lag = None
        if seen.clock_ns is not None and self._now_ns is not None:
            lag = self._now_ns - seen.clock_ns
        current = task.value_() if task is not None else 0
        # The watchdog's stamps are read for every CPU, since they decide what it is shown as; what
        # of them is unreadable is noted where they are asked for.
        quiet = Readings()
        known = watchdog(program, cpu, self._now_ns, quiet)
        ticked = tick(program, cpu, self._monotonic_ns, self._jiffy_ns, quiet)
        at_work = bool(online or active)
        tick_ago = ticked.last_ago_ns if at_work and ticked.stopped is False else None
        rq = seen.rq
        queues = None if rq is None else Runqueue(rq, current, self._now_ns, readings)
        busy = queues is not None and seen.nr_running != 0
        result = Cpu(
            cpu=cpu,
            online=online,
            active=active,
            idle=seen.idle,
            current=(
                None
                if task is None
                else read("current task", lambda: on_cpu(task, self._now_ns), None)
            ),
            runqueue=None if rq is None else Address(rq.value_()),
            nr_running=seen.nr_running,
            clock_ns=seen.clock_ns,
            lag_ns=lag,
            tick_ago_ns=tick_ago,
            irqs_enabled=irqs,
            interrupt=interrupt,
            softirq=softirq,
            panicked=cpu == self._panic_cpu,
            registers=source,
            registers_note=note,
            lockup=lockup(
                known,
                tick_ago_ns=tick_ago,
                irqs_off=irqs is False or bool(interrupt),
                # An idle CPU may be stuck in an interrupt or a softirq, too.
                idle=seen.idle and not (interrupt or softirq),
                at_work=at_work,
            ),
            spinning=read("spinning", lambda: spinning(program, cpu, found), None),
            rt=queues.realtime() if queues and busy else (),
            fair=queues.fair() if queues and busy else (),
            dl=queues.deadline() if queues and busy else (),
        )
        result = self._with_details(result, seen, found, queues)
        return msgspec.structs.replace(result, unreadable=readings.unreadable)

    def _with_details(
        self, result: Cpu, seen: _Seen, found: Sequence[Stretch], queues: Runqueue | None
    ) -> Cpu:
        query, program, cpu, readings = self._query, self._program, seen.cpu, seen.readings
        task = seen.current
        if query.backtrace or query.full:
            result = msgspec.structs.replace(
                result,
                backtrace=tuple(_frames(program, found, query.full)),
                segments=tuple(_segment(self._target, stretch) for stretch in found),
            )
        if query.raw and task is not None:
            words = collect(readings, "stack", lambda: _raw_stack(program, task, readings))
            result = msgspec.structs.replace(result, raw_stack=words)
        if query.timers:
            result = msgspec.structs.replace(result, timers=timers(program, cpu, readings))
        if not (query.runqueue or query.watchdog):
            return result
        current = task.value_() if task is not None else 0
        waiting = ipis(program, cpu, current, self._now_ns, readings)
        if query.runqueue and queues is not None:
            waking = tuple(ipi.task for ipi in waiting if ipi.task is not None)
            result = msgspec.structs.replace(result, queues=queues.whole(waking))
        if query.watchdog:
            health = Health(
                watchdog=watchdog(program, cpu, self._now_ns, readings),
                tick=tick(program, cpu, self._monotonic_ns, self._jiffy_ns, readings),
                rcu=rcu(program, cpu, self._jiffy_ns, readings),
                ipis=waiting,
                current_csd=readings.read("cur_csd", lambda: current_csd(program, cpu), None),
                pools=work_pools(program, cpu, self._jiffy_ns, readings),
            )
            result = msgspec.structs.replace(result, health=health)
        return result


def _numbers(cpus: Sequence[int]) -> str:
    return f"CPUs {cpus[0]} to {cpus[-1]}" if len(cpus) > 1 else "only CPU 0"


def _frames(program: Program, found: Sequence[Stretch], full: bool) -> Iterable[CpuFrame]:
    frames = [frame for stretch in found for frame in stretch.frames]
    if not full:
        return frames
    return [
        msgspec.structs.replace(frame, words=_words(program, frame, following))
        for frame, following in zip(frames, [*frames[1:], None], strict=False)
    ]


def _words(program: Program, frame: CpuFrame, following: CpuFrame | None) -> tuple[Address, ...]:
    """What the frame holds. A frame at the end of its stack has no end that is known."""
    if frame.inline or frame.sp is None or following is None or following.sp is None:
        return ()
    size = following.sp - frame.sp
    if frame.stack == "user" or not 0 < size <= 0x4000:
        return ()
    try:
        data = program.read(frame.sp, size)
    except READ_ERRORS:
        return ()
    return tuple(Address(word) for word in struct.unpack(f"<{len(data) // 8}Q", data))


def _segment(target: Target, stretch: Stretch) -> CpuSegment:
    rflags = stretch.rflags
    return CpuSegment(
        kind=stretch.kind,
        stopped=stretch.stopped,
        registers=(
            ()
            if rflags is None
            else tuple(
                CpuRegister(name, Address(value), _target(target, name, value))
                for name, value in stretch.registers.items()
            )
        ),
        rflags=rflags,
        irqs_enabled=None if rflags is None else bool(rflags & INTERRUPT_FLAG),
        softirq=stretch.softirq,
    )


def _target(target: Target, name: str, value: int) -> str:
    """What a register points at, if that is in the kernel."""
    if value < (1 << 64) - (1 << address_bits(target)) or name in ("rflags", "gs.base", "fs.base"):
        return ""
    try:
        symbol = target.program.symbol(value)
        offset = value - symbol.address
        return printable(symbol.name) + (f"+{offset:#x}" if offset else "")
    except LookupError:
        pass
    return addresses_of(target).identify(value).text


def _raw_stack(program: Program, task: Object, readings: Readings) -> Iterable[StackWord]:
    start = task.stack.value_()
    words, why = stack_words(program, start, start + int(program["THREAD_SIZE"]))
    if why:
        readings.note("stack", why)
    first = program.symbol("_stext").address
    for address, word in words:
        name, offset = "", 0
        if word >= first:
            try:
                symbol = program.symbol(word)
                name, offset = printable(symbol.name), word - symbol.address
            except LookupError:
                pass
        yield StackWord(Address(address), Address(word), name, offset)


ANSWERS = {CpusQuery: cpus}
