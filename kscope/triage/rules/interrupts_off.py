"""CPUs that take no interrupts: what the hard-lockup detector looks for, where there is one."""

from collections.abc import Iterator

from kscope.model.cpus import Cpu
from kscope.model.durations import in_words
from kscope.model.survey import Evidence, Finding
from kscope.triage.cpu_facts import SECOND, inside, no_interrupts_ns, runs, to_blame, what_it_does
from kscope.triage.cpu_victims import victims_of
from kscope.triage.evidence import of_cpu, of_lock, of_per_cpu
from kscope.triage.facts import Facts
from kscope.triage.rule import Rule

_LONG_NS = 1 * SECOND
"""The kernel keeps interrupts off for microseconds, a slow virtual CPU for tens of milliseconds."""

_DEFAULT_THRESHOLD = 10


def _check(facts: Facts) -> Iterator[Finding]:
    for cpu in facts.online_cpus:
        for_ns = no_interrupts_ns(cpu)
        if for_ns >= _LONG_NS:
            yield _finding(facts, cpu, for_ns)


def _finding(facts: Facts, cpu: Cpu, for_ns: int) -> Finding:
    threshold = facts.all_cpus.watchdog_threshold_seconds or _DEFAULT_THRESHOLD
    functions = inside(cpu)
    evidence = [of_cpu(cpu.cpu, what_it_does(cpu)), *_evidence(cpu), *victims_of(facts, cpu)]
    locks = []
    waiting = []
    for lock in facts.locks.locks:
        if lock.kind == "spinlock" and cpu.current and lock.owner == cpu.current.pid:
            locks.append(lock.address)
            evidence.append(of_lock(lock))
            waiting += [f"{waiter.comm} {waiter.pid}" for waiter in lock.waiters]
    where = f" in {functions[0]}()" if functions else ""
    return Finding(
        rule=RULE.name,
        severity="critical" if for_ns >= threshold * SECOND else "warning",
        title=f"CPU {cpu.cpu} takes no interrupts: {runs(cpu)} for {in_words(for_ns)}",
        explanation=f"CPU {cpu.cpu} runs{where} with interrupts off, and its tick is "
        f"{in_words(for_ns)} overdue. {_detector(cpu, threshold)} Whatever other CPUs ask of it by "
        "an interrupt waits. "
        + (f"It likely holds a spinlock for which {_spin(waiting)}. " if waiting else "")
        + "Look for a loop between local_irq_disable() and local_irq_enable() on that stack.",
        evidence=tuple(evidence),
        duration_ns=for_ns,
        tasks=to_blame(cpu),
        cpus=(cpu.cpu,),
        locks=tuple(locks),
        disproof="RFLAGS of the interrupted frame has bit 9 (0x200) set, or the CPU's tick is not "
        "overdue",
        rank=5,
    )


def _detector(cpu: Cpu, threshold: int) -> str:
    known = cpu.health.watchdog.hardlockup_detector if cpu.health else None
    if known in ("perf", "buddy"):
        return f"The hard-lockup detector ({known}) reports that after {threshold} s."
    return (
        f"The hard-lockup detector would report it after {threshold} s if the machine had one that "
        "works."
    )


def _spin(waiting: list[str]) -> str:
    return f"{', '.join(waiting)} {'spins' if len(waiting) == 1 else 'spin'}"


def _evidence(cpu: Cpu) -> Iterator[Evidence]:
    tick = cpu.health.tick if cpu.health else None
    if tick is not None and tick.next_in_ns is not None:
        due = in_words(abs(tick.next_in_ns))
        yield of_per_cpu(
            f"tick of CPU {cpu.cpu}", f"{due} overdue" if tick.next_in_ns < 0 else f"due in {due}",
            "tick_cpu_sched", cpu.cpu, "sched_timer.node.expires",
        )  # fmt: skip
    if cpu.lag_ns is not None:
        yield Evidence(
            label=f"clock of CPU {cpu.cpu}",
            text=f"{in_words(cpu.lag_ns)} behind the most advanced CPU's",
            crash="runq -T",
            drgn="from drgn.helpers.linux.sched import cpu_rq\n\n"
            f"print(cpu_rq(prog, {cpu.cpu}).clock)",
        )
    for segment in cpu.segments:
        if not segment.stopped and segment.rflags is not None:
            yield Evidence(
                label=f"RFLAGS of CPU {cpu.cpu}",
                text=f"{segment.rflags:#x}: bit 9 is "
                + ("set" if segment.irqs_enabled else "clear, interrupts off"),
                crash=f"bt -c {cpu.cpu}",
                drgn="from drgn.helpers.linux.sched import cpu_curr\n\n"
                f"print(hex(prog.stack_trace(cpu_curr(prog, {cpu.cpu}))[0].register('rflags')))",
            )
            return


RULE = Rule("interrupts-off", "CPUs that take no interrupts", _check, seconds=20.0)
