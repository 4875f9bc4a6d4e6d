"""CPUs that take interrupts and yet do not schedule: soft lockups, spinning for a lock."""

from collections.abc import Iterator

from kscope.model.cpus import Cpu
from kscope.model.durations import in_words
from kscope.model.locks import Lock
from kscope.model.survey import Evidence, Finding
from kscope.triage.cpu_facts import (
    SECOND,
    inside,
    no_interrupts_ns,
    runs,
    tick_overdue_ns,
    to_blame,
    unscheduled_ns,
    what_it_does,
)
from kscope.triage.cpu_victims import victims_of
from kscope.triage.evidence import of_cpu, of_lock, of_per_cpu
from kscope.triage.facts import Facts
from kscope.triage.rule import Rule

_LONG_NS = 1 * SECOND


def _check(facts: Facts) -> Iterator[Finding]:
    for cpu in facts.online_cpus:
        if cpu.panicked or no_interrupts_ns(cpu) >= _LONG_NS:
            continue  # told of as the panic, or as a CPU with interrupts off
        waiting = unscheduled_ns(cpu)
        if cpu.lockup is not None:
            for_ns = max(cpu.lockup.seconds * SECOND, waiting)
            yield _finding(facts, cpu, f"Soft lockup of CPU {cpu.cpu}", for_ns)
        elif cpu.spinning is not None and waiting >= _LONG_NS:
            yield _finding(facts, cpu, f"CPU {cpu.cpu} spins", waiting)
        elif not cpu.idle and tick_overdue_ns(cpu) >= _LONG_NS:
            yield _without_tick(cpu, tick_overdue_ns(cpu))


def _finding(facts: Facts, cpu: Cpu, what: str, for_ns: int) -> Finding:
    lock = _lock(facts, cpu)
    functions = inside(cpu)
    where = f"is in {functions[0]}() and " if functions else ""
    title = f"{what}: {runs(cpu)} for {in_words(for_ns)}"
    explanation = f"CPU {cpu.cpu} {where}has let nothing else run for {in_words(for_ns)}. "
    tasks = [*to_blame(cpu)]
    evidence = [of_cpu(cpu.cpu, what_it_does(cpu)), *_evidence(cpu), *victims_of(facts, cpu)]
    if lock is not None:
        title += f", for {lock.kind} {lock.name or lock.address}"
        evidence.append(of_lock(lock))
        if lock.owner is not None:
            explanation += (
                f"It spins for a lock that {lock.owner_comm} {lock.owner} likely holds, so it is a "
                "victim: look at the holder. "
            )
            tasks.append(lock.owner)
        else:
            explanation += "It spins for a lock whose holder is not known. "
    elif cpu.spinning is not None:
        others = " and ".join(f"CPU {number}" for number in cpu.spinning.cpus) or "these"
        explanation += f"It waits busily for {cpu.spinning.what}: look at what keeps {others}. "
    elif cpu.softirq:
        explanation += "Nothing is scheduled there until the softirq's handler returns. "
    else:
        explanation += "Look for a loop on its stack that never calls cond_resched(). "
    return Finding(
        rule=RULE.name,
        severity="critical" if cpu.lockup is not None else "warning",
        title=title,
        explanation=explanation,
        evidence=tuple(evidence),
        duration_ns=for_ns,
        tasks=tuple(tasks),
        cpus=(cpu.cpu,),
        locks=(lock.address,) if lock is not None else (),
        disproof="another task has run on that CPU since, or its watchdog's stamp is recent",
        # Whoever spins for a lock is a victim of its holder.
        rank=30 if cpu.spinning is not None else 12,
    )


def _without_tick(cpu: Cpu, overdue_ns: int) -> Finding:
    assert cpu.health is not None
    return Finding(
        rule=RULE.name,
        severity="warning",
        title=f"CPU {cpu.cpu} has lost its tick for {in_words(overdue_ns)}: {runs(cpu)}",
        explanation=f"The tick of CPU {cpu.cpu} is {in_words(overdue_ns)} overdue, although "
        "nothing shows that its interrupts were off. Without ticks nobody's turn there ends and "
        "timers do not expire. Look at whether the host ran that virtual CPU at all, and at the "
        "clock event device.",
        evidence=(
            of_cpu(cpu.cpu, what_it_does(cpu)),
            of_per_cpu(
                f"tick of CPU {cpu.cpu}", f"{in_words(overdue_ns)} overdue", "tick_cpu_sched",
                cpu.cpu, "sched_timer.node.expires",
            ),
        ),
        duration_ns=overdue_ns,
        tasks=to_blame(cpu),
        cpus=(cpu.cpu,),
        disproof="the CPU's tick is not overdue, or RFLAGS of what it ran has bit 9 clear",
        rank=12,
    )  # fmt: skip


def _lock(facts: Facts, cpu: Cpu) -> Lock | None:
    if cpu.spinning is None or cpu.spinning.lock is None:
        return None
    return facts.lock_at.get(int(cpu.spinning.lock))


def _evidence(cpu: Cpu) -> Iterator[Evidence]:
    if cpu.lockup is not None:
        label = f"watchdog of CPU {cpu.cpu}"
        yield of_per_cpu(label, cpu.lockup.evidence, "watchdog_touch_ts", cpu.cpu)


RULE = Rule("cpu-stuck", "CPUs that do not schedule", _check, seconds=20.0)
