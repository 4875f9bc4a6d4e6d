"""Tasks that are ready to run and are not run: behind real-time tasks, or on a CPU that idles."""

from collections.abc import Iterator, Sequence

from drgn import Object
from drgn.helpers.linux.sched import cpu_rq

from kscope.kernel.access.reading import READ_ERRORS
from kscope.model.cpus import Cpu, Queued
from kscope.model.durations import in_words
from kscope.model.survey import Evidence, Finding
from kscope.triage.cpu_facts import SECOND, no_interrupts_ns, runs
from kscope.triage.evidence import of_cpu
from kscope.triage.facts import Facts
from kscope.triage.rule import Rule

_LONG_NS = 10 * SECOND
_IDLE_NS = 1 * SECOND
"""A CPU with something to run does not idle for a second."""

_MOST = 8


def _check(facts: Facts) -> Iterator[Finding]:
    for cpu in facts.online_cpus:
        if cpu.panicked or cpu.lockup is not None or no_interrupts_ns(cpu) >= _IDLE_NS:
            continue  # others tell why nothing runs there
        if cpu.spinning is not None:
            continue
        limit = _IDLE_NS if cpu.idle else _LONG_NS
        waiting = [
            task
            for task in (*cpu.dl, *cpu.rt, *cpu.fair)
            if not task.current and not task.delayed and (task.waiting_ns or 0) >= limit
        ]
        if waiting:
            yield _finding(facts, cpu, waiting)


def _finding(facts: Facts, cpu: Cpu, waiting: Sequence[Queued]) -> Finding:
    longest = max(task.waiting_ns or 0 for task in waiting)
    count = f"{len(waiting)} task{'s' if len(waiting) > 1 else ''}"
    throttled = _throttled(facts, cpu) and any(task in cpu.rt for task in waiting)
    if throttled:
        title = f"{count} on CPU {cpu.cpu} throttled, ready to run for {in_words(longest)}"
        explanation = (
            "The real-time tasks of this CPU have used up their share of each period "
            "(sched_rt_runtime_us of sched_rt_period_us), and wait for the next one. Whoever waits "
            "for one of them waits as long. "
        )
    elif cpu.idle:
        title = f"CPU {cpu.cpu} idles while {count} could run, for {in_words(longest)}"
        explanation = (
            "Tasks are on its runqueue and it runs its idle task: the interrupt that should have "
            "woken it was lost, or it cannot leave its idle state. "
        )
    elif cpu.runs_realtime:
        title = f"Real-time {runs(cpu)} keeps CPU {cpu.cpu} from {count} for {in_words(longest)}"
        explanation = (
            "A real-time task that never sleeps keeps everything of lower priority off its CPU, "
            "kernel threads included. "
        )
    else:
        title = f"{count} on CPU {cpu.cpu} ready to run for {in_words(longest)}"
        explanation = "The CPU is overloaded, or its scheduler passes these tasks over. "
    evidence = [of_cpu(cpu.cpu, f"runs {runs(cpu)}, nr_running {cpu.nr_running}")]
    evidence += [
        Evidence(
            label=f"{task.comm} {task.pid}",
            text=f"ready to run for {in_words(task.waiting_ns)}",
            crash=f"runq -c {cpu.cpu} -m",
            drgn=f"print(prog.stack_trace({task.pid}))",
        )
        for task in waiting[:_MOST]
    ]
    culprit = [cpu.current.pid] if cpu.current and not cpu.idle else []
    return Finding(
        rule=RULE.name,
        severity="warning",
        title=title,
        explanation=explanation,
        evidence=tuple(evidence),
        duration_ns=longest,
        tasks=(*culprit, *(task.pid for task in waiting if task.pid is not None)),
        cpus=(cpu.cpu,),
        disproof="these tasks have run on another CPU since, or have a more recent last_arrival",
        rank=35,
    )


def _throttled(facts: Facts, cpu: Cpu) -> bool:
    try:
        rt: Object = cpu_rq(facts.program, cpu.cpu).rt
        return bool(rt.rt_throttled)
    except READ_ERRORS:
        return False  # since Linux 6.12 only with real-time group scheduling


RULE = Rule("starved-tasks", "tasks that are ready and not run", _check, seconds=20.0)
