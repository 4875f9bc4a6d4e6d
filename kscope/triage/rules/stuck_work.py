"""Workqueues: workers that are stuck in a work item, and pools that make no progress."""

from collections.abc import Iterator

from drgn import Object, cast
from drgn.helpers.linux.kthread import kthread_data
from drgn.helpers.linux.list import list_count_nodes

from kscope.kernel.access.reading import READ_ERRORS
from kscope.model.cpus import Cpu, Worker, WorkPool
from kscope.model.durations import in_words
from kscope.model.locks import Blocked
from kscope.model.survey import Evidence, Finding
from kscope.model.text import printable
from kscope.triage.cpu_facts import SECOND, no_interrupts_ns
from kscope.triage.cpu_victims import of_pool, waiting_items
from kscope.triage.evidence import name_of, of_object, of_stack, of_task
from kscope.triage.facts import Facts
from kscope.triage.rule import Rule
from kscope.triage.waiting import CHAIN_NS, LONG_NS, lasting, severity_of, waited

_PF_WQ_WORKER = 0x20
"""include/linux/sched.h; the same since v2.6.36."""


def _check(facts: Facts) -> Iterator[Finding]:
    roots = {root.pid: root for root in facts.locks.roots}
    for task in facts.locks.blocked:
        if task.state != "UN":
            continue
        worker = _worker(facts, task)
        if worker is None:
            continue
        root = roots.get(task.pid)
        behind = [facts.blocked[pid] for pid in root.behind] if root else []
        if (task.since_last_arrival_ns or 0) >= LONG_NS or waited(behind) >= CHAIN_NS:
            yield _stuck_worker(facts, task, worker, behind)
    for cpu in facts.online_cpus:
        # A CPU that does not schedule has workers that do not run.
        excused = cpu.lockup or cpu.spinning or cpu.panicked or no_interrupts_ns(cpu) >= SECOND
        for pool in cpu.health.pools if cpu.health and not excused else ():
            if pool.stuck:
                yield _stalled_pool(cpu, pool)


def _worker(facts: Facts, task: Blocked) -> Object | None:
    """``struct worker *`` of a worker that is executing something."""
    try:
        found = facts.program.type("struct task_struct *")
        pointer = Object(facts.program, found, value=int(task.task))
        if not pointer.flags.value_() & _PF_WQ_WORKER:
            return None
        worker = cast("struct worker *", kthread_data(pointer))
        return worker if worker.current_work else None
    except READ_ERRORS:
        return None


def _stuck_worker(facts: Facts, task: Blocked, worker: Object, behind: list[Blocked]) -> Finding:
    function = _function(facts, worker.current_func.value_())
    queue, waiting = _queue(worker)
    names = ", ".join(name_of(other) for other in behind[:6])
    longest = task.since_last_arrival_ns or 0
    address = worker.current_work.value_()
    return Finding(
        rule=RULE.name,
        severity=severity_of(facts, longest),
        title=f"Work item {function}() stuck in {name_of(task)}{lasting(longest)}",
        explanation=f"{name_of(task)} executes {function}() of workqueue {queue} and "
        f"{task.doing}. "
        + (f"{_more(waiting)} of that workqueue behind it. " if waiting else "")
        + (f"{names} {'waits' if len(behind) == 1 else 'wait'} for it to end. " if behind else "")
        + "Whoever flushes that workqueue or cancels that item hangs as well.",
        evidence=(
            of_task(task),
            of_object(
                "work item",
                f"{address:x}: {function}() of workqueue {queue}, {waiting} waiting behind it",
                "work_struct",
                address,
            ),
            *(of_task(other) for other in behind[:6]),
        ),
        duration_ns=longest or None,
        tasks=(task.pid, *(other.pid for other in behind)),
        locks=(task.lock,) if task.lock is not None else (),
        disproof="the worker's current_work is another item now",
        rank=25,
    )


def _more(waiting: int) -> str:
    return "1 more item waits" if waiting == 1 else f"{waiting} more items wait"


def _function(facts: Facts, address: int) -> str:
    try:
        return printable(facts.program.symbol(address).name)
    except LookupError:
        return f"{address:x}"


def _queue(worker: Object) -> tuple[str, int]:
    """The workqueue's name, and how many of its items wait because of ``max_active``."""
    try:
        pool_workqueue = worker.current_pwq
        name = printable(pool_workqueue.wq.name.string_())
        try:
            # Since Linux kernel commit f97a4a1a3f87 ("workqueue: Rename "delayed" (delayed by
            # active management) to "inactive"") (in v5.15).
            waiting = pool_workqueue.inactive_works
        except AttributeError:
            waiting = pool_workqueue.delayed_works
        return name, list_count_nodes(waiting.address_of_())
    except READ_ERRORS:
        return "?", 0


def _of_worker(worker: Worker) -> Evidence:
    text = f"executes {worker.function.name}(), work item {worker.work}"
    return of_stack(f"{worker.comm} {worker.pid}", text, worker.pid)


def _stalled_pool(cpu: Cpu, pool: WorkPool) -> Finding:
    pending = ", ".join(dict.fromkeys(function.name for function in pool.pending[:5]))
    busy = ", ".join(f"{worker.comm} {worker.pid} in {worker.function.name}()"
                     for worker in pool.busy[:5])  # fmt: skip
    return Finding(
        rule=RULE.name,
        severity="warning",
        title=f"Workqueue pool {pool.id} of CPU {cpu.cpu} stalled for {in_words(pool.stalled_ns)}",
        explanation=f"{waiting_items(pool)} ({pending}) and none was started. "
        + (
            f"Its workers: {busy}. One that runs without ever sleeping keeps the next from being "
            "started, also if it lets tasks run: such items belong on an unbound workqueue, or one "
            "with WQ_CPU_INTENSIVE."
            if busy
            else "No worker of it executes anything: it has none left, and no memory or no PID to "
            "create one, or its CPU does not run them."
        ),
        evidence=(of_pool(pool), *map(_of_worker, pool.busy[:5])),
        duration_ns=pool.stalled_ns,
        tasks=tuple(worker.pid for worker in pool.busy),
        cpus=(cpu.cpu,),
        addresses=(pool.pool,),
        disproof="the pool's worklist is empty, or its watchdog_ts is recent",
        rank=28,
    )


RULE = Rule("stuck-work", "work items and pools that are stuck", _check,
            needs=("struct worker",), seconds=20.0)  # fmt: skip
