"""CPUs, as crash's ``bt -a``, ``runq``, ``timer`` and ``timer -r``.

Without options a table of what each CPU did: crash spreads that over ``runq -m``, ``runq -T`` and
the RFLAGS in ``bt -a``.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from kscope.dialect.stacks import register_lines
from kscope.dialect.views import Equivalent
from kscope.model.base import Address
from kscope.model.cpus import (
    STATES,
    Cpu,
    CpuFrame,
    Cpus,
    CpusQuery,
    FairEntity,
    Function,
    Health,
    OnCpu,
    Queued,
    Timer,
    TimerBase,
    WorkPool,
    state_of,
)
from kscope.model.durations import in_words
from kscope.model.stacks import Frame

QUERY = CpusQuery

_NO_TASKS = "     [no tasks queued]"


# Equivalents.


def equivalent(query: CpusQuery) -> Equivalent:
    """The command for the first thing that is asked for."""
    cpus = query.cpu.replace(" ", ",")
    select = f" -c {cpus}" if cpus else ""
    if query.raw:
        return Equivalent(f"bt -r{select or ' -a'}", _code(query, _DRGN_RAW))
    if query.full:
        return Equivalent(f"bt -f{select or ' -a'}", _code(query, _DRGN_BACKTRACE))
    if query.backtrace:
        return Equivalent(f"bt{select or ' -a'}", _code(query, _DRGN_BACKTRACE))
    if query.runqueue:
        return Equivalent(
            f"runq{select}",
            _code(query, _DRGN_RUNQUEUE),
            "crash shows no deadline tasks, no waiting times and no virtual times; groups: runq -g",
        )
    if query.timers:
        return Equivalent(
            f"timer{f' -C {cpus}' if cpus else ''}",
            _code(query, _DRGN_TIMERS),
            f"hrtimers: timer -r{f' -C {cpus}' if cpus else ''}",
        )
    if query.watchdog:
        which = cpus or "a"
        return Equivalent(
            f"p watchdog_touch_ts:{which}",
            _code(query, _DRGN_WATCHDOG),
            f"and p hrtimer_interrupts:{which}, p rcu_data:{which}, p call_single_queue:{which}, "
            f"p cpu_worker_pools:{which}",
        )
    note = "what each runs: runq -m; whether interrupts were on: RFLAGS in bt -a"
    if cpus:
        note += "; crash's -T takes no -c"
    return Equivalent("runq -T", _code(query, _DRGN_GRID), note)


def _code(query: CpusQuery, body: str) -> str:
    if not query.cpu:
        imports = "from drgn.helpers.linux.cpumask import for_each_possible_cpu\n"
        return imports + body.replace("CPUS", "for_each_possible_cpu(prog)")
    numbers: list[int] = []
    for part in query.cpu.replace(",", " ").split():
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return body.replace("CPUS", repr(numbers))


_DRGN_GRID = """\
from drgn.helpers.linux.sched import cpu_curr, cpu_rq

clocks = {cpu: cpu_rq(prog, cpu).clock.value_() for cpu in CPUS}
for cpu, clock in clocks.items():
    task = cpu_curr(prog, cpu)
    print(
        cpu, (max(clocks.values()) - clock) / 1e9, cpu_rq(prog, cpu).nr_running.value_(),
        task.pid.value_(), task.comm.string_(),
    )
"""
_DRGN_BACKTRACE = """\
from drgn.helpers.common.stack import print_registers
from drgn.helpers.linux.sched import cpu_curr
from drgn.helpers.linux.stack import kernel_stack_trace

for cpu in CPUS:
    task = cpu_curr(prog, cpu)
    print("CPU", cpu, "PID", task.pid.value_(), task.comm.string_())
    try:
        trace = kernel_stack_trace(task)
    except LookupError as error:
        print(error)
        continue
    for segment in trace.segments:
        print("---", segment.kind.name)
        print_registers(prog, segment.frames[0].registers())
        for frame in segment.frames:
            print(frame)
"""
_DRGN_RAW = """\
from drgn.helpers.common.memory import print_annotated_memory
from drgn.helpers.linux.sched import cpu_curr

for cpu in CPUS:
    print_annotated_memory(prog, cpu_curr(prog, cpu).stack.value_(), prog["THREAD_SIZE"].value_())
"""
_DRGN_RUNQUEUE = """\
from drgn.helpers.linux.sched import (
    cfs_rq_for_each_entity, cpu_rq, rq_for_each_rt_task, sched_entity_to_task,
)

for cpu in CPUS:
    rq = cpu_rq(prog, cpu)
    print("CPU", cpu, "current", rq.curr.pid.value_(), rq.curr.comm.string_())
    for task in rq_for_each_rt_task(rq):
        print("  rt", task.prio.value_(), task.pid.value_(), task.comm.string_())
    for se, depth, is_curr, is_task in cfs_rq_for_each_entity(rq.cfs.address_of_()):
        if is_task:
            task = sched_entity_to_task(se)
            print("  fair", task.prio.value_(), task.pid.value_(), task.comm.string_())
"""
_DRGN_TIMERS = """\
from drgn.helpers.linux.percpu import per_cpu
from drgn.helpers.linux.timekeeping import ktime_get_coarse_ns, ktime_to_ns
from drgn.helpers.linux.timer import hrtimer_clock_base_for_each, timer_base_for_each

jiffies = prog["jiffies"].value_()
now = ktime_get_coarse_ns(prog).value_()
for cpu in CPUS:
    for base in per_cpu(prog["timer_bases"], cpu):
        for timer in timer_base_for_each(base.address_of_()):
            print(cpu, timer.expires.value_() - jiffies, hex(timer), timer.function)
    for clock in per_cpu(prog["hrtimer_bases"], cpu).clock_base:
        for timer in hrtimer_clock_base_for_each(clock.address_of_()):
            expires = ktime_to_ns(timer.node.expires) - ktime_to_ns(clock.offset)
            print(cpu, (expires.value_() - now) / 1e9, hex(timer), timer.function)
"""
_DRGN_WATCHDOG = """\
from drgn.helpers.linux.percpu import per_cpu

for cpu in CPUS:
    for name in (
        "watchdog_touch_ts", "watchdog_report_ts", "hrtimer_interrupts", "hrtimer_interrupts_saved",
        "tick_cpu_sched", "rcu_data", "call_single_queue",
    ):
        print(cpu, name, per_cpu(prog[name], cpu))
"""


# Text.


def text(query: CpusQuery, result: Cpus) -> str:
    """What was asked for, one part after the other."""
    parts: list[str] = []
    if query.raw:
        parts += [raw_stack(cpu) for cpu in result.cpus]
    if query.backtrace or query.full:
        parts += [backtrace(cpu, full=query.full) for cpu in result.cpus]
    if query.runqueue:
        parts += [runqueue(cpu) for cpu in result.cpus]
        parts.append(lag(result.cpus))
        parts += [groups(cpu) for cpu in result.cpus if cpu.queues is not None]
    if query.timers:
        parts.append(wheels(result.cpus))
        parts += [hrtimers(cpu) for cpu in result.cpus if cpu.timers is not None]
    if query.watchdog:
        parts += [health(cpu) for cpu in result.cpus]
    if not parts:
        parts.append(table(result))
    missing = unreadable(result)
    return "\n\n".join([*parts, missing] if missing else parts)


def table(result: Cpus) -> str:
    """One line for each CPU."""
    lines = ["CPU  STATE              IRQ  NR      LAG    ON CPU  PID      COMMAND"]
    lines += [_row(cpu) for cpu in result.cpus]
    return "\n".join(lines)


def _row(cpu: Cpu) -> str:
    letter = state_of(cpu)
    current = cpu.current
    running = current.running_ns if current else None
    line = (
        f"{cpu.cpu:>3}  {letter} {STATES[letter]:<15}  {irqs(cpu):<3}"
        f"{_or_dash(cpu.nr_running):>4}  {'-' if cpu.offline else _lag(cpu.lag_ns):>7}"
        f"  {'-' if running is None else in_words(running):>8}"
        f"  {'-' if current is None else current.pid:<7}  {current.comm if current else '-'}"
    )
    return "  ".join([line.rstrip(), *remarks(cpu)])


def irqs(cpu: Cpu) -> str:
    """Whether interrupts were on, in a word."""
    return "?" if cpu.irqs_enabled is None else "on" if cpu.irqs_enabled else "off"


def _or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)


def _lag(lag_ns: int | None) -> str:
    return "-" if lag_ns is None else f"{lag_ns / 10**9:.2f} s"


def remarks(cpu: Cpu) -> Iterator[str]:
    """What is wrong with a CPU, a few words each."""
    letter = state_of(cpu)
    if cpu.lockup is not None:
        yield f"{cpu.lockup.kind} lockup {cpu.lockup.seconds} s"
    if cpu.spinning is not None:
        lock = cpu.spinning.name or ("" if cpu.spinning.lock is None else str(cpu.spinning.lock))
        yield f"spins for {cpu.spinning.what}{f' {lock}' if lock else ''}"
    if letter == "X" and cpu.tick_ago_ns is not None:
        yield f"no tick for {in_words(cpu.tick_ago_ns)}"
    if cpu.interrupt:
        yield f"in {cpu.interrupt}"
    if cpu.softirq:
        yield f"in softirq {cpu.softirq}"
    if cpu.stopped:
        yield "stopped by panic()"
    if cpu.registers_note and not cpu.offline:
        yield cpu.registers_note


def unreadable(result: Cpus) -> str:
    """What could not be read, by CPU."""
    lines = [f"  {u.what}: {u.why}" for u in result.unreadable]
    lines += [f"  CPU {cpu.cpu} {u.what}: {u.why}" for cpu in result.cpus for u in cpu.unreadable]
    return "\n".join(["UNREADABLE", *lines]) if lines else ""


# bt.


def title(cpu: Cpu) -> str:
    """The line above a backtrace."""
    current = cpu.current
    if current is None:
        return f"PID: ?        TASK: ?                 CPU: {cpu.cpu}"
    return (
        f'PID: {current.pid:<7}  TASK: {current.task}  CPU: {cpu.cpu:<3}  COMMAND: "{current.comm}"'
    )


def backtrace(cpu: Cpu, *, full: bool = False, sources: bool = False, offsets: str = "") -> str:
    """``bt -c``, with ``full`` ``bt -f -c``. crash leaves inline frames out.

    :param sources: with source lines, as ``bt -l``.
    :param offsets: ``d`` or ``x``: with the offset into each function, as ``bt -s`` and ``-sx``.
    """
    lines = [title(cpu)]
    if not cpu.backtrace:
        why = next((u.why for u in cpu.unreadable if u.what == "backtrace"), "")
        lines.append(f"    ({why or cpu.registers_note or 'no registers were saved'})")
        return "\n".join(lines)
    number = 0
    for index, segment in enumerate(cpu.segments):
        frames = [f for f in cpu.backtrace if f.segment == index and not f.inline]
        before = cpu.segments[index - 1] if index else None
        if segment.kind == "user":
            lines += register_lines(segment.registers)
            break
        interrupted = before is not None and before.kind not in ("nmi", "exception")
        if interrupted and not segment.registers and frames[0].sp is not None:
            # The handler has not saved them yet: crash takes the interrupt for a call.
            frames[0] = msgspec.structs.replace(frames[0], sp=_interrupt_frame(frames[0].sp))
        elif interrupted:
            # What was interrupted is not counted as a frame: the exception RIP stands for it.
            lines.append(exception_rip(frames[0]))
            lines += register_lines(segment.registers)
            frames = frames[1:]
        elif before is not None:
            lines.append(exception_rip(frames[0]))
            lines += register_lines(segment.registers)
            lines.append(f"--- <{'NMI ' if before.kind == 'nmi' else ''}exception stack> ---")
        switched = False
        for frame, following in zip(frames, [*frames[1:], None], strict=True):
            lines.append(_frame(number, frame, offsets, switched=switched))
            number += 1
            if sources and frame.source:
                lines.append("    " + ": ".join(frame.source.rsplit(":", 1)))
            if full:
                lines += _words(frame)
            switched = following is not None and _on_other_stack(frame, following)
            if switched and segment.kind == "irq":
                lines.append("--- <IRQ stack> ---")
    return "\n".join(lines)


def _interrupt_frame(rsp: Address) -> Address:
    """Where x86-64 saves RIP, CS, RFLAGS, RSP and SS of what it interrupts on the same stack."""
    return Address((rsp & -16) - 5 * 8)


def _on_other_stack(frame: CpuFrame, following: CpuFrame) -> bool:
    if frame.sp is None or following.sp is None:
        return False
    return not 0 <= following.sp - frame.sp < 0x8000


def _frame(number: int, frame: CpuFrame, offsets: str, *, switched: bool) -> str:
    where = "?" * 16
    if frame.sp is not None:
        # crash shows where the return address lies, unless that is on another stack.
        where = f"{frame.sp if frame.interrupted or switched else frame.sp - 8:016x}"
    module = f" [{frame.module}]" if frame.module else ""
    name = frame.function or "(unknown)"
    if offsets and frame.offset is not None:
        name += f"+{frame.offset:#x}" if offsets == "x" else f"+{frame.offset}"
    return f"{f'#{number}':>3} [{where}] {name} at {frame.address:x}{module}"


def _words(frame: CpuFrame) -> Iterator[str]:
    for start in range(0, len(frame.words), 2):
        words = " ".join(str(word) for word in frame.words[start : start + 2])
        assert frame.sp is not None
        yield f"    {frame.sp + 8 * start:016x}: {words} "


def exception_rip(frame: Frame) -> str:
    """What stands for a frame that was interrupted."""
    name = f"{frame.function}+{frame.offset}" if frame.function else f"{frame.address:016x}"
    return f"    [exception RIP: {name}]"


def raw_stack(cpu: Cpu) -> str:
    """``bt -r``: the whole stack of the current task."""
    lines = [title(cpu)]
    for start in range(0, len(cpu.raw_stack), 2):
        pair = cpu.raw_stack[start : start + 2]
        words = " ".join(
            f"{f'{word.symbol}+{word.offset}' if word.symbol else str(word.value):<16}"
            for word in pair
        )
        lines.append(f"{pair[0].address}:  {words} ")
    return "\n".join(lines)


# runq.


def _task(task: Queued | OnCpu) -> str:
    pid = "?" if task.pid is None else str(task.pid)
    if task.task is None:
        return f"({task.comm})"
    return f'PID: {pid:<5}  TASK: {task.task}  COMMAND: "{task.comm}"'


def _queued(task: Queued) -> str:
    prio = "  ?" if task.prio is None else f"{task.prio:3d}"
    return f"     [{prio}] {_task(task)}"


def runqueue(cpu: Cpu) -> str:
    """``runq``; deadline tasks and pending wakeups, which crash does not show, only if any."""
    queues = cpu.queues
    if cpu.runqueue is None or queues is None:
        return f"CPU {cpu.cpu} RUNQUEUE: (unreadable)"
    lines = [
        f"CPU {cpu.cpu} RUNQUEUE: {cpu.runqueue:x}",
        f"  CURRENT: {_task(cpu.current) if cpu.current else '(unreadable)'}",
    ]
    if queues.stop is not None:
        lines += ["  STOP TASK:", _queued(queues.stop)]
    if cpu.dl:
        lines += ["  DL TASKS:", *map(_queued, cpu.dl)]
    throttled = "  (THROTTLED)" if queues.rt_throttled else ""
    lines.append(f"  RT PRIO_ARRAY: {_hex(queues.rt_array)}{throttled}")
    lines += [*map(_queued, cpu.rt)] or [_NO_TASKS]
    lines.append(f"  CFS RB_ROOT: {_hex(queues.fair_tree)}")
    lines += [*map(_queued, cpu.fair)] or [_NO_TASKS]
    if queues.wake_list:
        lines += ["  WAKE LIST:", *map(_queued, queues.wake_list)]
    return "\n".join(lines)


def _hex(address: int | None) -> str:
    return "(unreadable)" if address is None else f"{address:x}"


def lag(cpus: Iterable[Cpu]) -> str:
    """``runq -T``: the most advanced clock first."""
    known = sorted((cpu.lag_ns, cpu.cpu) for cpu in cpus if cpu.lag_ns is not None)
    width = max((len(str(number)) for _, number in known), default=0)
    return "\n".join(
        f"  {f'CPU {number}':>{width + 4}}: {lag_ns / 10**9:.2f} secs" for lag_ns, number in known
    )


def groups(cpu: Cpu) -> str:
    """``runq -g``."""
    queues = cpu.queues
    assert queues is not None
    lines = [
        f"CPU {cpu.cpu}",
        f"  CURRENT: {_task(cpu.current) if cpu.current else '(unreadable)'}",
        f"  ROOT_TASK_GROUP: {_hex(queues.root_group)}  CFS_RQ: {_hex(queues.cfs_rq)}",
    ]
    lines += [_entity(entity) for entity in queues.fair_entities] or [_NO_TASKS]
    return "\n".join(lines)


def _entity(entity: FairEntity) -> str:
    if entity.task is not None:
        mark = " [CURRENT]" if entity.current else ""
        return "   " * entity.depth + _queued(entity.task) + mark
    name = f"  <{entity.name}>" if entity.name else ""
    throttled = " (THROTTLED)" if entity.throttled else ""
    indent = " " * (2 + 3 * (entity.depth + 1))
    return (
        f"{indent}TASK_GROUP: {_hex(entity.group)}  CFS_RQ: {_hex(entity.cfs_rq)}{name}{throttled}"
    )


# timer.


def wheels(cpus: Iterable[Cpu]) -> str:
    """``timer``."""
    lines: list[str] = []
    for cpu in cpus:
        if cpu.timers is None:
            continue
        if not lines:
            jiffies = "(unreadable)" if cpu.timers.jiffies is None else str(cpu.timers.jiffies)
            lines += ["JIFFIES   ", jiffies]
        lines.append("")
        for base in cpu.timers.wheels:
            lines.append(f"TIMER_BASES[{cpu.cpu}][{base.name}]: {base.base:x}")
            lines += _timer_table(("EXPIRES", "TTE", "TIMER_LIST", "FUNCTION"), base, _wheel_row)
    return "\n".join(lines)


def hrtimers(cpu: Cpu) -> str:
    """``timer -r``."""
    timers = cpu.timers
    assert timers is not None
    blocks = []
    for number, clock in enumerate(timers.clocks):
        lines = [
            f"  CLOCK: {number}  HRTIMER_CLOCK_BASE: {clock.base:x}  [{clock.name}]",
        ]
        if clock.timers:
            width = len(str(clock.now))
            lines += [f"  {'CURRENT':^{width}}", f"  {clock.now}"]
            lines += _timer_table(
                ("SOFTEXPIRES", "EXPIRES", "TTE", "HRTIMER", "FUNCTION"), clock, _hrtimer_row
            )
        else:
            lines.append("  (empty)")
        blocks.append("\n".join(lines))
    return f"CPU: {cpu.cpu}  HRTIMER_CPU_BASE: {_hex(timers.hrtimer_base)}\n" + "\n\n".join(blocks)


def _function(function: Function) -> str:
    name = f"  <{function.name}>" if function.name else ""
    return f"{function.address}{name}"


def _wheel_row(timer: Timer) -> tuple[str, ...]:
    return str(timer.expires), str(timer.tte), str(timer.timer), _function(timer.function)


def _hrtimer_row(timer: Timer) -> tuple[str, ...]:
    return (
        str(timer.soft_expires), str(timer.expires), str(timer.tte), str(timer.timer),
        _function(timer.function),
    )  # fmt: skip


def _timer_table(
    heads: Sequence[str], base: TimerBase, row: Callable[[Timer], tuple[str, ...]]
) -> Iterator[str]:
    rows = [row(timer) for timer in base.timers]
    *numbers, _ = zip(heads, *rows, strict=True)
    widths = [max(map(len, column)) for column in numbers]
    # The address has its head in the middle, as crash writes it; numbers are on the right.
    widths[-1] = max(widths[-1], 16)
    for number, cells in enumerate([tuple(heads), *rows]):
        laid_out = [
            f"{cell:^{width}}" if number == 0 else f"{cell:>{width}}"
            for cell, width in zip(cells, widths, strict=False)
        ]
        yield "  " + "  ".join([*laid_out, cells[-1]])
    if not rows:
        yield "  (none)"
    for missing in base.unreadable:
        yield f"  ({missing.what}: {missing.why})"


# Watchdog, tick, RCU, IPIs, work pools: crash has no command for them.


def health(cpu: Cpu) -> str:
    """What each CPU must do, and when this one last did."""
    found = cpu.health
    if found is None:
        return f"CPU {cpu.cpu}"
    rows = [*watchdog_facts(found), *rcu_facts(found), *ipi_facts(found), *pool_facts(found)]
    width = max(len(label) for label, _, _ in rows)
    return f"CPU {cpu.cpu}\n" + "\n".join(
        f"  {label:<{width}}  {value}" for label, value, _ in rows
    )


Fact = tuple[str, str, str]
"""A label, its value, and how bad that is: ``critical``, ``warning``, or nothing."""


def watchdog_facts(found: Health) -> Iterator[Fact]:
    """The lockup detectors and the tick."""
    dog, tick = found.watchdog, found.tick
    if dog.softlockup_enabled is False:
        yield "softlockup", "the detector is switched off", "warning"
    elif dog.touched_ago_ns is not None:
        limit = 2 * (dog.threshold_seconds or 10)
        late = dog.touched_ago_ns > limit * 10**9
        yield (
            "softlockup touched",
            f"{in_words(dog.touched_ago_ns)} ago, threshold {limit} s",
            "critical" if late else "",
        )
    elif dog.touched_seconds == 0:
        yield "softlockup touched", "not yet: its watchdog has never been scheduled", ""
    if dog.hardlockup_detector is not None:
        detector = {"none": "none active", "perf": "performance counters"}.get(
            dog.hardlockup_detector, dog.hardlockup_detector
        )
        yield "hardlockup detector", detector, ""
    if dog.hrtimer_interrupts is not None:
        saved = dog.hrtimer_interrupts_saved
        known = f", {saved} when the detector last looked" if saved else ""
        yield "watchdog timer", f"ran {_times(dog.hrtimer_interrupts)}{known}", ""
    if dog.hardlockup_warned:
        yield "hardlockup", "reported by the detector", "critical"
    if tick.stopped:
        ago = "" if tick.last_ago_ns is None else f", last {in_words(tick.last_ago_ns)} ago"
        yield "tick", f"stopped{ago}", ""
    elif tick.last_ago_ns is not None:
        late = tick.next_in_ns is not None and tick.next_in_ns < -(10**9)
        overdue = f", overdue for {in_words(-tick.next_in_ns)}" if late and tick.next_in_ns else ""
        yield (
            "tick",
            f"last {in_words(tick.last_ago_ns)} ago{overdue}",
            "critical" if late else "",
        )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def rcu_facts(found: Health) -> Iterator[Fact]:
    """RCU's grace period and this CPU's part in it."""
    rcu = found.rcu
    if rcu.gp_seq is None:
        return
    if not rcu.in_progress:
        yield "RCU", "no grace period in progress", ""
    else:
        age = "" if rcu.gp_age_ns is None else f", {in_words(rcu.gp_age_ns)} old"
        if rcu.holds_up:
            ticks = f", {rcu.ticks_this_gp} ticks here" if rcu.ticks_this_gp is not None else ""
            old = rcu.gp_age_ns is not None and rcu.gp_age_ns > 10**9
            yield (
                "RCU",
                f"holds up grace period {rcu.gp_seq}{age}{ticks}",
                "warning" if old else "",
            )
        else:
            yield "RCU", f"grace period {rcu.gp_seq}{age}, not waiting for this CPU", ""
    if rcu.callbacks:
        yield "RCU callbacks", str(rcu.callbacks), ""


def ipi_facts(found: Health) -> Iterator[Fact]:
    """Cross-CPU calls that wait."""
    if found.current_csd is not None:
        yield "IPI handled", found.current_csd.name or str(found.current_csd.address), ""
    if not found.ipis:
        yield "IPIs pending", "none", ""
    for number, ipi in enumerate(found.ipis):
        what: str = ipi.kind
        if ipi.function is not None:
            what = f"{ipi.function.name or ipi.function.address} ({ipi.kind})"
        elif ipi.task is not None:
            what = f"wakeup of {ipi.task.comm} {ipi.task.pid}"
        sender = "" if ipi.from_cpu is None else f" from CPU {ipi.from_cpu}"
        yield "IPIs pending" if not number else "", what + sender, "warning"


def pool_facts(found: Health) -> Iterator[Fact]:
    """Work that waits and work that is being done; pools without either are left out."""
    for pool in found.pools:
        label = f"work pool {pool.id}"
        for worker in pool.busy:
            for_ns = worker.since_last_arrival_ns
            ago = "" if for_ns is None else f", last on a CPU {in_words(for_ns)} ago"
            name = worker.function.name or worker.function.address
            yield label, f"{worker.comm} {worker.pid} does {name}{ago}", ""
            label = ""
        if pool.pending:
            names = ", ".join(f.name or str(f.address) for f in pool.pending[:PENDING_SHOWN])
            more = len(pool.pending) - PENDING_SHOWN
            rest = f" and {more} more" if more > 0 else ""
            yield label, f"{pending_words(pool)}: {names}{rest}", "critical" if pool.stuck else ""


PENDING_SHOWN = 4
"""Functions that are named of those that wait in a pool."""


def pending_words(pool: WorkPool) -> str:
    """How much work waits in a pool, and how long nothing has happened there."""
    stalled = "" if pool.stalled_ns is None else f", no progress for {in_words(pool.stalled_ns)}"
    return f"{'stuck: ' if pool.stuck else ''}{len(pool.pending)} pending{stalled}"
