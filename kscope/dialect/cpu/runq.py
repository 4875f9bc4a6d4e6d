"""What is queued on a CPU, as crash's ``runq``."""

from collections.abc import Iterable

from kscope.model.cpus import Cpu, FairEntity, OnCpu, Queued

DRGN = """\
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
DRGN_CLOCKS = """\
from drgn.helpers.linux.sched import cpu_curr, cpu_rq

for cpu in CPUS:
    task = cpu_curr(prog, cpu)
    print("CPU", cpu, cpu_rq(prog, cpu).clock.value_())
    print(
        " ", task.sched_info.last_arrival.value_(), task.pid.value_(), hex(task.value_()),
        task.comm.string_(),
    )
"""
"""As ``runq -t``."""
DRGN_TIMES = """\
from drgn.helpers.linux.sched import cpu_curr, cpu_rq

for cpu in CPUS:
    task = cpu_curr(prog, cpu)
    since = cpu_rq(prog, cpu).clock.value_() - task.sched_info.last_arrival.value_()
    print("CPU", cpu, since / 1e9, task.pid.value_(), hex(task.value_()), task.comm.string_())
"""
"""As ``runq -m``, in seconds."""
DRGN_GROUPS = """\
from drgn.helpers.linux.sched import (
    cfs_rq_for_each_entity, cpu_rq, sched_entity_to_task, task_group_name,
)

for cpu in CPUS:
    rq = cpu_rq(prog, cpu)
    print("CPU", cpu, "current", rq.curr.pid.value_(), hex(rq.curr.value_()))
    for se, depth, is_curr, is_task in cfs_rq_for_each_entity(rq.cfs.address_of_()):
        if is_task:
            task = sched_entity_to_task(se)
            print("   " * depth, task.pid.value_(), hex(task.value_()), task.comm.string_())
        else:
            group = se.my_q.tg
            print("   " * depth, hex(group.value_()), hex(se.my_q.value_()), task_group_name(group))
"""
"""As ``runq -g``."""
_NO_TASKS = "     [no tasks queued]"


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
