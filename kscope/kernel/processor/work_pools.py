"""The worker pools of a CPU, and work that is stuck in them: kernel/workqueue.c."""

from collections.abc import Iterator
from functools import partial

from drgn import Object, Program
from drgn.helpers.linux.list import hlist_for_each_entry, list_for_each_entry
from drgn.helpers.linux.percpu import per_cpu
from drgn.helpers.linux.sched import task_since_last_arrival_ns

from kscope.kernel.access.lists import collect
from kscope.kernel.access.members import number, value_of, variable
from kscope.kernel.access.reading import Readings
from kscope.kernel.processor.timers import function_at
from kscope.model.base import Address
from kscope.model.cpus import Function, Worker, WorkPool
from kscope.model.text import printable

_THRESHOLD_SECONDS = 30
"""``workqueue.watchdog_thresh`` unless it is set."""

_MOST = 1000


def work_pools(
    program: Program, cpu: int, jiffy_ns: int | None, readings: Readings
) -> tuple[WorkPool, ...]:
    """A CPU's own pools: normal and high priority, and since Linux 6.9 those that run in softirq
    context."""
    found: list[WorkPool] = []
    for name in ("cpu_worker_pools", "bh_worker_pools"):
        pools = variable(program, name)
        if pools is not None:
            found += collect(readings, "work pools", partial(_pools, pools, cpu, jiffy_ns))
    return tuple(found)


def _pools(pools: Object, cpu: int, jiffy_ns: int | None) -> Iterator[WorkPool]:
    for pool in per_cpu(pools, cpu):
        readings = Readings()
        pending = collect(readings, "pending work", partial(_pending, pool), _MOST)
        stalled = None
        if pending:
            stalled = readings.read("watchdog_ts", partial(_stalled_ns, pool, cpu, jiffy_ns), None)
        limit = variable(pool.prog_, "wq_watchdog_thresh")
        seconds = _THRESHOLD_SECONDS if limit is None else value_of(limit)
        yield WorkPool(
            id=pool.id.value_(),
            pool=Address(pool.address_),
            nice=pool.attrs.nice.value_() if pool.attrs else None,
            workers=number(pool, "nr_workers"),
            idle_workers=number(pool, "nr_idle"),
            nr_running=number(pool, "nr_running"),
            pending=pending,
            busy=collect(readings, "busy workers", partial(_busy, pool), _MOST),
            stalled_ns=stalled,
            stuck=stalled is not None and stalled > seconds * 10**9,
            unreadable=readings.unreadable,
        )


def _pending(pool: Object) -> Iterator[Function]:
    for work in list_for_each_entry("struct work_struct", pool.worklist.address_of_(), "entry"):
        yield function_at(pool.prog_, work.func.value_())


def _stalled_ns(pool: Object, cpu: int, jiffy_ns: int | None) -> int | None:
    if jiffy_ns is None:
        return None
    program = pool.prog_
    progress = value_of(pool.watchdog_ts)
    # Only with CONFIG_WQ_WATCHDOG: somebody told the watchdog not to worry about this CPU. The
    # global wq_watchdog_touched would not do: since Linux kernel commit 89e28ce60cb6
    # ("workqueue/watchdog: Make unbound workqueues aware of touch_softlockup_watchdog()") (in
    # v5.13) every CPU that leaves its idle state moves it on.
    touched = variable(program, "wq_watchdog_touched_cpu")
    if touched is not None:
        progress = max(progress, value_of(per_cpu(touched, cpu)))
    return max(value_of(program["jiffies"]) - progress, 0) * jiffy_ns


def _busy(pool: Object) -> Iterator[Worker]:
    program = pool.prog_
    for bucket in pool.busy_hash:
        for worker in hlist_for_each_entry("struct worker", bucket.address_of_(), "hentry"):
            task = worker.task
            yield Worker(
                pid=task.pid.value_(),
                comm=printable(task.comm.string_()),
                task=Address(task.value_()),
                function=function_at(program, worker.current_func.value_()),
                work=Address(worker.current_work.value_()),
                since_last_arrival_ns=_since_last_arrival(task),
            )


def _since_last_arrival(task: Object) -> int | None:
    try:
        return task_since_last_arrival_ns(task)
    except (LookupError, AttributeError):
        # Without CONFIG_SCHED_INFO.
        return None
