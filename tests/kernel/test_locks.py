"""Locks of the bundled dump: a deadlock, a reader that will not leave, an rt_mutex, a work item."""

import pytest

from kscope.kernel.locks import locks
from kscope.model.locks import Lock, Locks, LocksQuery
from kscope.target.target import Target


@pytest.fixture(scope="module")
def found(demo_target: Target) -> Locks:
    return locks(demo_target, LocksQuery())


def lock(found: Locks, name: str) -> Lock:
    (only,) = (lock for lock in found.locks if lock.name == name)
    return only


def comms(found: Locks, pids: tuple[int, ...]) -> list[str]:
    names = {task.pid: task.comm for task in found.blocked}
    return [names[pid] for pid in pids]


def test_the_only_cycle_is_of_the_two_that_hold_each_others_mutex(found: Locks) -> None:
    (cycle,) = found.cycles
    assert sorted(comms(found, cycle)) == ["backupd", "logrotated"]


def test_tasks_queued_behind_a_cycle_are_counted_but_not_in_it(found: Locks) -> None:
    (ring,) = found.rings
    assert sorted(comms(found, ring.behind)) == ["snapshotd", "storlab/trim"]


def test_owner_of_a_mutex_is_certain(found: Locks) -> None:
    mutex = lock(found, "storlab_a")
    assert (mutex.kind, mutex.owner_comm, mutex.owner_certain) == ("mutex", "backupd", True)


def test_last_reader_of_an_rwsem_is_named_and_not_certain(found: Locks) -> None:
    rwsem = lock(found, "storlab_rw")
    assert (rwsem.kind, rwsem.owner_comm, rwsem.owner_certain) == ("rwsem", "exportd", False)


def test_waiters_of_an_rwsem_say_whether_they_read_or_write(found: Locks) -> None:
    modes = {waiter.comm: waiter.mode for waiter in lock(found, "storlab_rw").waiters}
    assert modes == {
        "rotator": "write",
        "storlab/resync": "write",
        "scan/1": "read",
        "scan/2": "read",
    }


def test_owner_of_an_rt_mutex_is_certain(found: Locks) -> None:
    rt_mutex = lock(found, "storlab_rt")
    assert (rt_mutex.kind, rt_mutex.owner_comm, rt_mutex.owner_certain) == (
        "rt_mutex",
        "rtowner",
        True,
    )


def test_a_flush_waits_for_the_worker_that_executes_the_item(found: Locks) -> None:
    work = lock(found, "storlab_flush_work")
    assert work.owner_comm.startswith("kworker/")
    assert [waiter.comm for waiter in work.waiters] == ["flushd"]


def test_a_completion_has_waiters_and_no_owner(found: Locks) -> None:
    completion = lock(found, "storlab_done")
    assert completion.owner is None
    assert sorted(waiter.comm for waiter in completion.waiters) == ["exportd", "rtowner"]


def test_root_blockers_are_those_who_wait_for_no_other_task(found: Locks) -> None:
    names = {task.pid: task.comm for task in found.blocked}
    roots = {names[root.pid] for root in found.roots if root.pid is not None}
    assert {name for name in roots if not name.startswith("kworker")} == {"exportd", "rtowner"}
    assert len(roots) == 3


def test_every_blocked_task_has_a_category(found: Locks) -> None:
    categories = {task.comm: task.category for task in found.blocked if task.state == "UN"}
    assert categories["logrotated"] == "lock"
    assert categories["exportd"] == "completion"
    assert categories["flushd"] == "work"
    assert None not in categories.values()


def test_a_pid_selects_the_locks_that_it_owns_or_waits_for(
    demo_target: Target, found: Locks
) -> None:
    pid = lock(found, "storlab_a").owner
    assert pid is not None
    only = locks(demo_target, LocksQuery(pid=pid))
    assert sorted(lock.name for lock in only.locks) == ["storlab_a", "storlab_b"]
