"""Tasks as a CPU sees them: the one that it runs, and those that wait for it."""

from drgn import Object

from kscope.kernel.access.members import number
from kscope.kernel.process.states import policy_name
from kscope.model.base import Address
from kscope.model.cpus import OnCpu, Queued
from kscope.model.text import printable


def on_cpu(task: Object, now_ns: int | None) -> OnCpu:
    """The task that a CPU runs.

    :param task: ``struct task_struct *``
    :param now_ns: the most advanced runqueue clock.
    """
    # CONFIG_SCHED_INFO; idle tasks are left out of it.
    arrival = number(task, "sched_info.last_arrival") or None
    return OnCpu(
        pid=task.pid.value_(),
        comm=printable(task.comm.string_()),
        task=Address(task.value_()),
        prio=task.prio.value_(),
        policy=policy_name(task.policy.value_()),
        last_arrival_ns=arrival,
        running_ns=None if arrival is None or now_ns is None else max(now_ns - arrival, 0),
    )


def queued(task: Object, now_ns: int | None, current: int) -> Queued:
    """A task on a runqueue.

    :param task: ``struct task_struct *``
    :param now_ns: the most advanced runqueue clock.
    :param current: address of the task that the CPU runs.
    """
    is_current = task.value_() == current
    waiting = None
    if not is_current and now_ns is not None:
        # Set when it becomes ready to run, and 0 while it runs.
        since = number(task, "sched_info.last_queued")
        waiting = max(now_ns - since, 0) if since else None
    return Queued(
        pid=task.pid.value_(),
        comm=printable(task.comm.string_()),
        task=Address(task.value_()),
        prio=task.prio.value_(),
        waiting_ns=waiting,
        current=is_current,
    )
