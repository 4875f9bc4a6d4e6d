"""What waits for a CPU that no longer takes interrupts or no longer schedules."""

from collections import Counter
from collections.abc import Iterator

from kscope.kernel.access.reading import READ_ERRORS, Readings
from kscope.kernel.processor.timers import timers
from kscope.model.cpus import Cpu, Timer, WorkPool
from kscope.model.durations import in_words
from kscope.model.survey import Evidence
from kscope.triage.cpu_facts import SECOND
from kscope.triage.evidence import of_object, of_per_cpu
from kscope.triage.facts import Facts

_LONG_NS = 1 * SECOND
_MOST = 4
_MOST_TIMERS = 8
"""The kernel's own periodic ones are mostly the longest overdue."""


def victims_of(facts: Facts, cpu: Cpu) -> Iterator[Evidence]:
    """Tasks that are ready, wakeups and calls on their way, timers overdue, work not started."""
    yield from _ready(cpu)
    yield from _asked(cpu)
    yield from _timers(facts, cpu)
    for pool in cpu.health.pools if cpu.health else ():
        if pool.stuck:
            yield of_pool(pool)


def _ready(cpu: Cpu) -> Iterator[Evidence]:
    queued = (*cpu.dl, *cpu.rt, *cpu.fair)
    waiting = [t for t in queued if not t.current and (t.waiting_ns or 0) >= _LONG_NS]
    if waiting:
        yield Evidence(
            label=f"runqueue of CPU {cpu.cpu}",
            text="ready to run and not run: "
            + _some([f"{t.comm} {t.pid} for {in_words(t.waiting_ns)}" for t in waiting]),
            crash=f"runq -c {cpu.cpu} -m",
            drgn="from drgn.helpers.linux.sched import cpu_rq, rq_for_each_fair_task\n\n"
            f"for task in rq_for_each_fair_task(cpu_rq(prog, {cpu.cpu})):\n    print(task.comm)",
        )


def _asked(cpu: Cpu) -> Iterator[Evidence]:
    ipis = cpu.health.ipis if cpu.health else ()
    woken = [f"{ipi.task.comm} {ipi.task.pid}" for ipi in ipis if ipi.task is not None]
    called = [f"{ipi.function.name}()" for ipi in ipis if ipi.task is None and ipi.function]
    if woken or called:
        parts = [f"to wake {_some(woken)}" if woken else "", f"to call {_some(called)}" if called
                 else ""]  # fmt: skip
        text = "asked and not done: " + "; ".join(filter(None, parts))
        yield of_per_cpu(f"IPIs to CPU {cpu.cpu}", text, "call_single_queue", cpu.cpu)


def _timers(facts: Facts, cpu: Cpu) -> Iterator[Evidence]:
    try:
        found = timers(facts.program, cpu.cpu, Readings())
    except READ_ERRORS:
        return
    overdue: list[Timer] = [
        timer
        for base in (*found.wheels, *found.clocks)
        for timer in base.timers
        if timer.tte_ns <= -_LONG_NS
    ]
    if overdue:
        overdue.sort(key=lambda timer: timer.tte_ns)
        count = Counter(timer.function.name for timer in overdue)
        longest = {timer.function.name: -timer.tte_ns for timer in reversed(overdue)}
        names = [
            f"{name}(){f' of {number} timers' if number > 1 else ''} by {in_words(longest[name])}"
            for name, number in count.items()
        ]
        yield Evidence(
            label=f"timers of CPU {cpu.cpu}",
            text=f"{len(overdue)} overdue: {_some(names, _MOST_TIMERS)}",
            crash=f"timer -r -C {cpu.cpu}",
            drgn="from drgn.helpers.linux.percpu import per_cpu\n\n"
            f'print(per_cpu(prog["hrtimer_bases"], {cpu.cpu}).expires_next)',
        )


def waiting_items(pool: WorkPool) -> str:
    """How many items of work nobody has started."""
    return "1 work item waits" if len(pool.pending) == 1 else f"{len(pool.pending)} work items wait"


def of_pool(pool: WorkPool) -> Evidence:
    """A pool of workers that makes no progress."""
    text = (
        f"{waiting_items(pool)} ("
        + _some(list(dict.fromkeys(f"{function.name}()" for function in pool.pending)))
        + f"), {pool.workers} workers of which {pool.idle_workers} idle, no progress for "
        + in_words(pool.stalled_ns)
    )
    return of_object(f"pool {pool.id}", text, "worker_pool", pool.pool)


def _some(names: list[str], most: int = _MOST) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
