"""CPUs, as crash's ``bt -a``, ``runq``, ``timer`` and ``timer -r``.

Without options a table of what each CPU did: crash spreads that over ``runq -m``, ``runq -T`` and
the RFLAGS in ``bt -a``.
"""

from collections.abc import Iterator

from kscope.dialect.cpu import bt, runq, timer, watchdog
from kscope.dialect.views import Equivalent
from kscope.model.cpus import STATES, Cpu, Cpus, CpusQuery, state_of
from kscope.model.durations import in_words

QUERY = CpusQuery

# Equivalents.


def equivalent(query: CpusQuery) -> Equivalent:
    """The command for the first thing that is asked for."""
    cpus = query.cpu.replace(" ", ",")
    select = f" -c {cpus}" if cpus else ""
    if query.raw:
        return Equivalent(f"bt -r{select or ' -a'}", code(query, bt.DRGN_RAW))
    if query.full:
        return Equivalent(f"bt -f{select or ' -a'}", code(query, bt.DRGN))
    if query.backtrace:
        return Equivalent(f"bt{select or ' -a'}", code(query, bt.DRGN))
    if query.runqueue:
        return Equivalent(
            f"runq{select}",
            code(query, runq.DRGN),
            "crash shows no deadline tasks, no waiting times and no virtual times; groups: runq -g",
        )
    if query.timers:
        return Equivalent(
            f"timer{f' -C {cpus}' if cpus else ''}",
            code(query, timer.DRGN),
            f"hrtimers: timer -r{f' -C {cpus}' if cpus else ''}",
        )
    if query.watchdog:
        which = cpus or "a"
        return Equivalent(
            f"p watchdog_touch_ts:{which}",
            code(query, watchdog.DRGN),
            f"and p hrtimer_interrupts:{which}, p rcu_data:{which}, p call_single_queue:{which}, "
            f"p cpu_worker_pools:{which}",
        )
    note = "what each runs: runq -m; whether interrupts were on: RFLAGS in bt -a"
    if cpus:
        note += "; crash's -T takes no -c"
    return Equivalent("runq -T", code(query, _DRGN_GRID), note)


def code(query: CpusQuery, body: str) -> str:
    """``body`` for the CPUs that are asked for."""
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


# Text.


def text(query: CpusQuery, result: Cpus) -> str:
    """What was asked for, one part after the other."""
    parts: list[str] = []
    if query.raw:
        parts += [bt.raw_stack(cpu) for cpu in result.cpus]
    if query.backtrace or query.full:
        parts += [bt.backtrace(cpu, full=query.full) for cpu in result.cpus]
    if query.runqueue:
        parts += [runq.runqueue(cpu) for cpu in result.cpus]
        parts.append(runq.lag(result.cpus))
        parts += [runq.groups(cpu) for cpu in result.cpus if cpu.queues is not None]
    if query.timers:
        parts.append(timer.wheels(result.cpus))
        parts += [timer.hrtimers(cpu) for cpu in result.cpus if cpu.timers is not None]
    if query.watchdog:
        parts += [watchdog.health(cpu) for cpu in result.cpus]
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
