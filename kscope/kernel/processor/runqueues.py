"""The runqueues: who is ready to run on a CPU, by scheduling class."""

from collections.abc import Iterator

import msgspec
from drgn import Object, container_of
from drgn.helpers.linux.list import list_for_each_entry
from drgn.helpers.linux.llist import llist_for_each_entry
from drgn.helpers.linux.rbtree import rbtree_inorder_for_each_entry
from drgn.helpers.linux.sched import (
    cfs_rq_for_each_entity,
    sched_entity_to_task,
    task_group_name,
)

from kscope.kernel.access.lists import collect
from kscope.kernel.access.members import member, number
from kscope.kernel.access.reading import Readings
from kscope.kernel.processor.cpu_tasks import queued
from kscope.model.base import Address
from kscope.model.cpus import FairEntity, Queued, Queues
from kscope.model.text import printable


class Runqueue:
    """A CPU's runqueue; every list of it fails alone."""

    def __init__(self, rq: Object, current: int, now_ns: int | None, readings: Readings) -> None:
        """
        :param rq: ``struct rq *``
        :param current: address of the task that the CPU runs.
        :param now_ns: the most advanced runqueue clock.
        """
        self._rq = rq
        self._current = current
        self._now_ns = now_ns
        self._readings = readings

    def realtime(self) -> tuple[Queued, ...]:
        """Real-time tasks, the highest priority first; the current one is among them."""
        return collect(
            self._readings,
            "real-time queue",
            lambda: (self._queued(task) for task in _rt_tasks(self._rq.rt)),
        )

    def fair(self) -> tuple[Queued, ...]:
        """Fair tasks by virtual time, those in groups below their group; not the current one."""
        return collect(
            self._readings,
            "fair queue",
            lambda: (
                self._fair_task(se)
                for se, _, is_current, is_task in cfs_rq_for_each_entity(self._rq.cfs.address_of_())
                if is_task and not is_current
            ),
        )

    def deadline(self) -> tuple[Queued, ...]:
        """Deadline tasks and servers, the earliest deadline first."""
        return collect(
            self._readings,
            "deadline queue",
            lambda: (self._deadline(entity) for entity in _dl_entities(self._rq)),
        )

    def whole(self, waking: tuple[Queued, ...]) -> Queues:
        """The runqueue in full.

        :param waking: tasks whose wakeup is a cross-CPU call that is still pending.
        """
        rq, read = self._rq, self._readings.read
        cfs = rq.cfs.address_of_()
        return Queues(
            cfs_rq=Address(cfs.value_()),
            fair_tree=read("fair tree", lambda: _address(cfs.tasks_timeline), None),
            rt_array=read("real-time array", lambda: _address(rq.rt.active), None),
            root_group=read("root task group", lambda: _address(rq.prog_["root_task_group"]), None),
            stop=read("stop task", self._stop, None),
            # Only with RT group scheduling since Linux kernel commit 5f6bd380c7bd ("sched/rt:
            # Remove default bandwidth control") (in v6.12).
            rt_throttled=read("rt_throttled", lambda: _flag(rq, "rt.rt_throttled"), None),
            rt_time_ns=read("rt_time", lambda: number(rq, "rt.rt_time"), None),
            rt_runtime_ns=read("rt_runtime", lambda: number(rq, "rt.rt_runtime"), None),
            fair_min_vruntime_ns=read("min_vruntime", lambda: number(cfs, "min_vruntime"), None),
            fair_entities=collect(self._readings, "task groups", lambda: self._entities(cfs)),
            wake_list=waking
            + collect(
                self._readings,
                "wake list",
                lambda: (self._queued(task) for task in _wake_list(rq)),
            ),
        )

    def _queued(self, task: Object) -> Queued:
        return queued(task, self._now_ns, self._current)

    def _fair_task(self, se: Object) -> Queued:
        # deadline, slice and vlag since Linux kernel commit 147f3efaa241 ("sched/fair: Implement
        # an EEVDF-like scheduling policy") (in v6.6), sched_delayed since 152e11f6df29
        # ("sched/fair: Implement delayed dequeue") (in v6.12).
        return msgspec.structs.replace(
            self._queued(sched_entity_to_task(se)),
            vruntime_ns=se.vruntime.value_(),
            deadline_ns=number(se, "deadline"),
            slice_ns=number(se, "slice"),
            vlag_ns=number(se, "vlag"),
            delayed=bool(number(se, "sched_delayed")),
        )

    def _deadline(self, entity: Object) -> Queued:
        # Since Linux kernel commit 63ba8422f876 ("sched/deadline: Introduce deadline servers") (in
        # v6.8) an entity may stand for all fair tasks of a CPU.
        if number(entity, "dl_server"):
            known = Queued(pid=None, comm="fair server", task=None)
        else:
            known = self._queued(container_of(entity, "struct task_struct", "dl"))
        return msgspec.structs.replace(
            known, deadline_ns=entity.deadline.value_(), slice_ns=entity.runtime.value_()
        )

    def _stop(self) -> Queued | None:
        task = self._rq.stop.read_()
        # Every CPU has one; it is only queued while something must run at once.
        return self._queued(task) if task and task.on_rq.value_() else None

    def _entities(self, cfs: Object) -> Iterator[FairEntity]:
        for se, depth, is_current, is_task in cfs_rq_for_each_entity(cfs):
            vruntime = se.vruntime.value_()
            if is_task:
                yield FairEntity(
                    depth=depth, current=is_current, vruntime_ns=vruntime, task=self._fair_task(se)
                )
                continue
            own = se.my_q.read_()
            group = own.tg.read_()
            yield FairEntity(
                depth=depth,
                current=is_current,
                vruntime_ns=vruntime,
                group=Address(group.value_()),
                cfs_rq=Address(own.value_()),
                name=printable(task_group_name(group)),
                # Only with CONFIG_CFS_BANDWIDTH.
                throttled=bool(number(own, "throttled")),
            )


def _flag(structure: Object, path: str) -> bool | None:
    value = number(structure, path)
    return None if value is None else bool(value)


def _address(variable: Object) -> Address:
    return Address(variable.address_ or 0)


def _rt_tasks(rt_rq: Object) -> Iterator[Object]:
    for queue in rt_rq.active.queue:
        for entity in list_for_each_entry(
            "struct sched_rt_entity", queue.address_of_(), "run_list"
        ):
            # Only with CONFIG_RT_GROUP_SCHED, an entity may be a group with its own queue.
            group = member(entity, "my_q")
            if group:
                yield from _rt_tasks(group.read_())
            else:
                yield container_of(entity, "struct task_struct", "rt")


def _dl_entities(rq: Object) -> Iterator[Object]:
    # A struct rb_root_cached since Linux 4.14, a struct rb_root before.
    root = rq.dl.root
    tree = member(root, "rb_root")
    return rbtree_inorder_for_each_entry(
        "struct sched_dl_entity", (root if tree is None else tree).address_of_(), "rb_node"
    )


def _wake_list(rq: Object) -> Iterator[Object]:
    # Before Linux kernel commit a148866489fb ("sched: Replace rq::wake_list") (in v5.8); since
    # then a wakeup from another CPU is a cross-CPU call.
    wake_list = member(rq, "wake_list")
    if wake_list is not None:
        yield from llist_for_each_entry("struct task_struct", wake_list.first, "wake_entry")
