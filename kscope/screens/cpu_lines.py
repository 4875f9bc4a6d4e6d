"""What the CPUs screen shows of one CPU, as lines: stacks, runqueue, timers, health."""

from collections.abc import Iterable, Iterator, Sequence

from kscope.dialect.cpu.watchdog import PENDING_SHOWN, pending_words, rcu_facts, watchdog_facts
from kscope.model.base import Address, Unreadable, may_be_kernel_address
from kscope.model.cpus import (
    Cpu,
    CpuFrame,
    CpuRegister,
    CpuSegment,
    Function,
    Health,
    Ipi,
    OnCpu,
    Queued,
    Spinning,
    Timer,
    TimerBase,
    WorkPool,
    rflags_names,
)
from kscope.model.durations import in_words
from kscope.screens.cpu_grid import lag_span
from kscope.screens.links import AddressLink, CpuLink, LockLink, SymbolLink, TaskLink
from kscope.widgets.facts import facts, rule
from kscope.widgets.line import Cell, Line, Span, line, wrap
from kscope.widgets.text_view import link

_KINDS = {
    "nmi": "NMI", "irq": "IRQ", "softirq": "softirq", "exception": "exception", "task": "task",
    "user": "user space", "unknown": "stack",
}  # fmt: skip

# Backtrace.


def backtrace_lines(cpu: Cpu, cells: int) -> list[Line]:
    """Its stacks, innermost first, then the registers of each."""
    lines: list[Line] = list(_trouble_lines(cpu, cells))
    number = 0
    for index, segment in enumerate(cpu.segments):
        frames = [frame for frame in cpu.backtrace if frame.segment == index]
        note = _segment_note(cpu, segment)
        lines.append(rule(_title(cpu, index), cells, line((note, "dim")) if note else ""))
        for position, frame in enumerate(frames):
            if segment.kind == "user":
                lines.append(
                    line(f"#{number:<3} ", link(str(frame.address), AddressLink(frame.address)))
                )
            else:
                # The one that says what the CPU was doing.
                telling = position == 0 and not segment.stopped
                lines.append(_frame_line(number, frame, telling))
            lines += _word_lines(frame)
            number += 1
    if not cpu.segments:
        lines.append(line((_why_no_backtrace(cpu), "warning")))
    for index, segment in enumerate(cpu.segments):
        if segment.rflags is not None:
            title = f"registers {_KINDS[segment.kind]}" if len(cpu.segments) > 1 else "registers"
            left = line(("as panic() left them", "dim")) if segment.stopped else ""
            lines += [(), rule((title, "dim"), cells, left)]
            lines += _register_lines(cpu, index, segment, cells)
    lines += [(), line(("registers from ", "dim"), _provenance(cpu))]
    if cpu.registers_note:
        lines.append(line((cpu.registers_note, "warning")))
    return lines + unreadable_lines(cpu.unreadable)


def _trouble_lines(cpu: Cpu, cells: int) -> Iterator[Line]:
    if cpu.lockup is not None:
        evidence = line((f"{cpu.lockup.kind} lockup: ", "critical"), cpu.lockup.evidence)
        yield from wrap(evidence, cells, indent=2)
    if cpu.spinning is not None:
        yield line(("spins ", "warning"), *_awaited(cpu.spinning), *_lock(cpu.spinning))


def _title(cpu: Cpu, index: int) -> str:
    segment = cpu.segments[index]
    kind = _KINDS[segment.kind]
    if index == 0:
        return kind
    return f"interrupted {kind}" if segment.kind != "user" else kind


def _segment_note(cpu: Cpu, segment: CpuSegment) -> str:
    if not segment.stopped:
        return f"softirq {segment.softirq}" if segment.softirq else ""
    return "it panicked here" if cpu.panicked else "stopped here by the crash"


def _why_no_backtrace(cpu: Cpu) -> str:
    for missing in cpu.unreadable:
        if missing.what == "backtrace":
            return missing.why
    if cpu.offline:
        return "offline: there is nothing that it ran"
    return cpu.registers_note or "its registers were not saved"


def _frame_line(number: int, frame: CpuFrame, telling: bool) -> Line:
    role = "strong" if telling else "dim" if frame.inline else ""
    name = frame.function or str(frame.address)
    if frame.function and frame.offset is not None:
        name += f"+{frame.offset:#x}"
    return line(
        (f"#{number:<3} ", "" if telling else "dim"),
        Span(name, role, SymbolLink(frame.function, frame.offset or 0)),
        (" (inline)" if frame.inline else "", "dim"),
        (f" [{frame.module}]" if frame.module else "", "dim"),
        (f"  {frame.source}" if frame.source else "", "dim"),
    )


def _word_lines(frame: CpuFrame) -> Iterator[Line]:
    if frame.sp is None:
        return
    for start in range(0, len(frame.words), 2):
        words = [_word(word) for word in frame.words[start : start + 2]]
        yield line("     ", (f"{frame.sp + 8 * start:016x}  ", "dim"),
                   *(part for word in words for part in (word, " ")))  # fmt: skip


def _word(word: Address) -> Span:
    if may_be_kernel_address(word):
        return Span(str(word), "", AddressLink(word))
    return Span(str(word), "dim")


def _awaited(spinning: Spinning) -> list[Span]:
    """What it spins for; the CPUs are links."""
    rest = f"for {spinning.what} "
    spans: list[Span] = []
    for cpu in spinning.cpus:
        before, _, rest = rest.partition(str(cpu))
        spans += [Span(before), link(str(cpu), CpuLink(cpu))]
    return [*spans, Span(rest)]


def _lock(spinning: Spinning) -> list[Span]:
    spans: list[Span] = []
    if spinning.lock is not None:
        spans = [link(spinning.name or str(spinning.lock), LockLink(spinning.lock)), Span(" ")]
    if spinning.caller:
        spans += [Span("in ", "dim"), link(spinning.caller, SymbolLink(spinning.caller))]
    return spans


def _register_lines(cpu: Cpu, index: int, segment: CpuSegment, cells: int) -> Iterator[Line]:
    rflags = segment.rflags
    assert rflags is not None
    frame = next(frame for frame in cpu.backtrace if frame.segment == index)
    values = {register.name: register for register in segment.registers}
    flags = " ".join(name for name in rflags_names(rflags) if name != "IF")
    yield line(
        ("RFLAGS ", "dim"), f"{rflags:08x}  ", _interrupts(cpu, segment), (f"  {flags}", "dim")
    )
    if "rip" in values:
        name = f" {frame.function}+{frame.offset or 0:#x}" if frame.function else ""
        yield [*_register(values["rip"]), Span(name, "dim")]
    names = ("rsp", "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8", "r9", "r10", "r11",
             "r12", "r13", "r14", "r15", "cs", "ss")  # fmt: skip
    row: list[Span] = []
    for name in names:
        if name not in values:
            continue
        cell = _register(values[name])
        if row and _length(row) + _length(cell) + 2 > cells:
            yield row
            row = []
        row += [*([Span("  ")] if row else []), *cell]
    if row:
        yield row


def _interrupts(cpu: Cpu, segment: CpuSegment) -> tuple[str, str]:
    if segment.irqs_enabled:
        return "IF interrupts on", "good"
    # A handler runs with interrupts off by itself.
    own_doing = cpu.irqs_off and not segment.stopped
    return "IF clear, interrupts off", "critical" if own_doing else "dim"


def _length(spans: Sequence[Span]) -> int:
    return sum(len(span.text) for span in spans)


def _register(register: CpuRegister) -> list[Span]:
    value = register.value
    width = 4 if register.name in ("cs", "ss") else 16
    text = f"{value:0{width}x}"
    spans = [Span(f"{register.name.upper():<3} ", "dim")]
    if may_be_kernel_address(value):
        spans.append(link(text, AddressLink(value)))
    else:
        spans.append(Span(text))
    if register.target and register.name not in ("rsp", "rip"):
        spans.append(Span(f" {register.target}", "dim"))
    return spans


def _provenance(cpu: Cpu) -> str:
    if cpu.registers == "none":
        return "nowhere"
    return f"{cpu.registers} of CPU {cpu.cpu}"


def raw_stack_lines(cpu: Cpu) -> list[Line]:
    """The whole stack of its task, words that lie in symbols named."""
    lines: list[Line] = []
    for word in cpu.raw_stack:
        name = f"{word.symbol}+{word.offset:#x}" if word.symbol else ""
        lines.append(
            line(
                (f"{word.address}  ", "dim"), _word(word.value), "  ",
                Span(name, "", SymbolLink(word.symbol, word.offset) if name else None),
            )
        )  # fmt: skip
    return lines


# Runqueue.


def runqueue_lines(cpu: Cpu, threshold_seconds: int | None, clock_cpu: int | None) -> list[Line]:
    """Who runs and who waits, by scheduling class."""
    rows: list[tuple[str, Cell]] = []
    queues = cpu.queues
    rows.append(("current", _current(cpu.current, cpu)))
    if queues is not None and queues.stop is not None:
        rows.append(("stop", _queued(queues.stop)))
    rows += [
        ("" if number else "deadline", _deadline(task, cpu)) for number, task in enumerate(cpu.dl)
    ]
    throttled = queues is not None and bool(queues.rt_throttled)
    if throttled:
        rows.append(("RT", ("throttled: it used up its share of the time", "critical")))
    rows += _class_rows("" if throttled else "RT", cpu.rt, show_empty=not throttled)
    rows += _class_rows("fair", cpu.fair, show_empty=True)
    if cpu.lag_ns is not None and not cpu.offline:
        rows.append(("clock", _clock(cpu, threshold_seconds, clock_cpu)))
    if queues is not None:
        rows += _class_rows("wake list", queues.wake_list, show_empty=True)
        if queues.rt_runtime_ns and queues.rt_time_ns is not None:
            share = f"{in_words(queues.rt_time_ns)} of {in_words(queues.rt_runtime_ns)}"
            rows.append(("RT time", (share, "critical" if throttled else "dim")))
        rows += _group_rows(cpu)
    return [*facts(rows, gap=2), *unreadable_lines(cpu.unreadable)]


def _current(current: OnCpu | None, cpu: Cpu) -> Cell:
    if current is None:
        return ("unreadable", "warning")
    spans = [_task(current.comm, current.pid, current.task)]
    if cpu.idle:
        return [*spans, Span("  idle", "dim")]
    if current.prio is not None:
        policy = f" {current.policy}" if current.policy not in (None, "NORMAL") else ""
        spans += [Span("  prio ", "dim"), Span(f"{current.prio}{policy}")]
    if current.running_ns is not None:
        spans += [Span("  on CPU ", "dim"), Span(in_words(current.running_ns))]
    return spans


def _task(comm: str, pid: int | None, task: Address | None) -> Span:
    if pid is None or task is None:
        return Span(f"({comm})", "dim")
    return link(f"{comm} {pid}", TaskLink(pid, task))


def _class_rows(
    label: str, tasks: Sequence[Queued], *, show_empty: bool
) -> Iterator[tuple[str, Cell]]:
    if not tasks and show_empty:
        yield label, ("empty", "dim")
    for index, task in enumerate(tasks):
        yield (label if not index else "", _queued(task))
        if task.vruntime_ns is not None:
            yield "", _virtual_times(task)


def _deadline(task: Queued, cpu: Cpu) -> Cell:
    """A task of the deadline class: its deadline by this CPU's clock, and what it may still run."""
    spans = _queued(task)
    if task.deadline_ns is not None and cpu.clock_ns is not None:
        left = task.deadline_ns - cpu.clock_ns
        when = f"in {_short(left)}" if left >= 0 else f"missed by {_short(-left)}"
        spans += [Span("  deadline ", "dim"), Span(when, "warning" if left < 0 else "")]
    if task.slice_ns is not None:
        spans += [Span(" may run ", "dim"), Span(f"{task.slice_ns / 10**6:.1f} ms")]
    return spans


def _queued(task: Queued) -> list[Span]:
    spans = [_task(task.comm, task.pid, task.task)]
    if task.prio is not None and task.prio != 120:
        spans += [Span("  prio ", "dim"), Span(str(task.prio))]
    if task.current:
        spans.append(Span("  runs", "dim"))
    elif task.delayed:
        spans.append(Span("  asleep, dequeued later", "dim"))
    elif task.waiting_ns is not None:
        role = "warning" if task.waiting_ns > 10**9 else ""
        spans += [Span("  waits ", "dim"), Span(in_words(task.waiting_ns), role)]
    return spans


def _virtual_times(task: Queued) -> Cell:
    """How a fair task stands against the others; all but the first are of EEVDF."""
    known = [
        ("vruntime", task.vruntime_ns, f"{(task.vruntime_ns or 0) / 10**9:.3f}"),
        ("deadline", task.deadline_ns, f"{(task.deadline_ns or 0) / 10**9:.3f}"),
        ("vlag", task.vlag_ns, f"{(task.vlag_ns or 0) / 10**6:+.1f} ms"),
        ("slice", task.slice_ns, f"{(task.slice_ns or 0) / 10**6:.1f} ms"),
    ]
    spans: list[Span] = []
    for label, value, text in known:
        if value is not None:
            spans += [Span(" " if spans else ""), Span(f"{label} ", "dim"), Span(text)]
    return spans


def _clock(cpu: Cpu, threshold_seconds: int | None, clock_cpu: int | None) -> Cell:
    if not cpu.lag_ns:
        return ("the most advanced", "dim")
    span = lag_span(cpu, threshold_seconds)
    behind = f"{cpu.lag_ns / 10**9:.3f} s behind"
    if clock_cpu is None:
        return Span(behind, span.role)
    return [Span(f"{behind} ", span.role), link(f"CPU {clock_cpu}", CpuLink(clock_cpu))]


def _group_rows(cpu: Cpu) -> Iterator[tuple[str, Cell]]:
    queues = cpu.queues
    assert queues is not None
    label = "groups"
    for entity in queues.fair_entities:
        if entity.group is None or entity.cfs_rq is None:
            continue
        name = entity.name or str(entity.group)
        indent = "  " * entity.depth
        yield (
            label,
            [
                Span(indent),
                link(name, AddressLink(entity.cfs_rq, "struct cfs_rq")),
                Span("  throttled", "critical") if entity.throttled else Span(""),
            ],
        )
        label = ""


# Timers.


def timer_lines(cpu: Cpu, cells: int) -> list[Line]:
    """The timer wheels and the clocks that have timers."""
    timers = cpu.timers
    if timers is None:
        return unreadable_lines(cpu.unreadable)
    lines: list[Line] = []
    for wheel in timers.wheels:
        lines += _base_lines(wheel, cells, "timer wheel")
    for clock in timers.clocks:
        if clock.timers or clock.unreadable:
            lines += _base_lines(clock, cells, "hrtimers")
    if timers.hang_detected:
        lines.append(line(("hrtimer interrupts took too long: hang detected", "critical")))
    elif timers.nr_hangs:
        lines.append(line((f"{timers.nr_hangs} hrtimer hangs so far", "warning")))
    return [*lines, *unreadable_lines(cpu.unreadable)]


def _base_lines(base: TimerBase, cells: int, what: str) -> list[Line]:
    lines: list[Line] = [rule([(what, ""), (f" {base.name}", "dim")], cells)]
    if not base.timers:
        lines.append(line(("empty", "dim")))
    lines += [_timer_line(timer) for timer in base.timers]
    return [*lines, *unreadable_lines(base.unreadable)]


def _timer_line(timer: Timer) -> Line:
    when = f"in {_short(timer.tte_ns)}" if not timer.overdue else f"overdue {_short(-timer.tte_ns)}"
    target = TaskLink(timer.pid or 0, timer.task) if timer.task is not None else None
    return line(
        (f"{when:>16}  ", "warning" if timer.overdue else ""),
        link(_function(timer.function), AddressLink(timer.function.address)), "  ",
        *([Span(timer.about, "", target), Span("  ")] if timer.about else []),
        Span(str(timer.timer), "dim", AddressLink(timer.timer)),
    )  # fmt: skip


def _short(nanoseconds: int) -> str:
    if nanoseconds < 10**9:
        return f"{nanoseconds / 10**6:.1f} ms"
    return in_words(nanoseconds)


def _function(function: Function) -> str:
    return function.name or str(function.address)


# Watchdog, tick, RCU, IPIs, work pools.


def health_lines(cpu: Cpu) -> list[Line]:
    """When it last did what every CPU must."""
    found = cpu.health
    if found is None:
        return unreadable_lines(cpu.unreadable)
    rows: list[tuple[str, Cell]] = [
        (label, (value, role)) for label, value, role in (*watchdog_facts(found), *rcu_facts(found))
    ]
    rows += _ipi_rows(found)
    for pool in found.pools:
        rows += _pool_rows(pool)
    lines = facts(rows, label_role="", gap=2)
    return [*lines, *unreadable_lines(cpu.unreadable)]


def _ipi_rows(found: Health) -> Iterator[tuple[str, Cell]]:
    if found.current_csd is not None:
        handled = found.current_csd
        yield "IPI handled", link(_function(handled), AddressLink(handled.address))
    if not found.ipis:
        yield "IPIs pending", "none"
    for number, ipi in enumerate(found.ipis):
        yield "" if number else "IPIs pending", _ipi(ipi)


_IPI_TYPES = {"irq work": "struct irq_work", "wakeup": "struct task_struct"}
"""Where an IPI is no ``call_single_data``."""


def _ipi(ipi: Ipi) -> Cell:
    if ipi.task is not None:
        return [Span("wakeup of ", "warning"), _task(ipi.task.comm, ipi.task.pid, ipi.task.task)]
    name = "?" if ipi.function is None else _function(ipi.function)
    type_name = _IPI_TYPES.get(ipi.kind, "struct __call_single_data")
    spans = [
        link(name, AddressLink(ipi.address, type_name), "warning"),
        Span(f"  {ipi.kind}", "dim"),
    ]
    if ipi.from_cpu is not None:
        spans += [Span(" from ", "dim"), link(f"CPU {ipi.from_cpu}", CpuLink(ipi.from_cpu))]
    return spans


def _pool_rows(pool: WorkPool) -> Iterator[tuple[str, Cell]]:
    label = f"work pool {pool.id}"
    for worker in pool.busy:
        spans = [
            link(f"{worker.comm} {worker.pid}", TaskLink(worker.pid, worker.task)),
            Span(" does ", "dim"),
            link(_function(worker.function), AddressLink(worker.work, "struct work_struct")),
        ]
        if worker.since_last_arrival_ns is not None:
            spans.append(Span(f", ran {in_words(worker.since_last_arrival_ns)} ago", "dim"))
        yield label, spans
        label = ""
    if pool.pending:
        yield label, _pending(pool)


def _pending(pool: WorkPool) -> Cell:
    role = "critical" if pool.stuck else ""
    spans = [Span(f"{pending_words(pool)}: ", role)]
    for function in pool.pending[:PENDING_SHOWN]:
        spans += [link(_function(function), AddressLink(function.address), role), Span(" ")]
    more = len(pool.pending) - PENDING_SHOWN
    return [*spans, Span(f"and {more} more", "dim")] if more > 0 else spans


def unreadable_lines(missing: Iterable[Unreadable]) -> list[Line]:
    """What could not be read, and why."""
    return [line((f"{one.what}: ", "warning"), (one.why, "dim")) for one in missing]
