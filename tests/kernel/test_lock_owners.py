"""Who holds a lock by its own words, in the moments in which these say only half of it."""

from pathlib import Path

import pytest
from drgn import Object, Program

from kscope.kernel.locks import locks
from kscope.kernel.waiting.lock_owners import Owner, owner_of
from kscope.model.locks import LockKind, Locks, LocksQuery
from kscope.model.target import OpenQuery
from kscope.session.answering import finish
from kscope.target.opening import open_target
from kscope.target.target import Target
from tests.kernel.putting import put

WAITERS, PICKUP = 1, 4


@pytest.fixture
def target(demo: Path) -> Target:
    return finish(open_target(OpenQuery(path=str(demo))), None)


@pytest.fixture
def before(demo_target: Target) -> Locks:
    return locks(demo_target, LocksQuery())


def lock_of(program: Program, before: Locks, name: str, type_: str) -> Object:
    (found,) = (lock for lock in before.locks if lock.name == name)
    return Object(program, type_, address=int(found.address))


def owner(lock: Object, kind: LockKind) -> Owner:
    return owner_of(lock.prog_, kind, lock.address_ or 0, lambda _task: True)


def test_a_task_that_was_just_given_the_mutex_it_waits_for_is_no_deadlock(
    target: Target, before: Locks
) -> None:
    """``__mutex_unlock_slowpath()`` makes the first waiter the owner before that one wakes up."""
    mutex = lock_of(target.program, before, "storlab_a", "struct mutex")
    (known,) = (lock for lock in before.locks if int(lock.address) == mutex.address_)
    first = known.waiters[0]
    put(target.program, mutex.owner.counter, int(first.task) | WAITERS | PICKUP)
    after = locks(target, LocksQuery())
    assert after.rings == ()
    (found,) = (lock for lock in after.locks if int(lock.address) == mutex.address_)
    assert found.owner == first.pid
    assert "has not run since" in found.owner_note


@pytest.mark.parametrize("word", [0, 2, 3])
def test_a_writer_that_is_not_yet_or_no_longer_the_owner_is_no_task_that_exited(
    target: Target, before: Locks, word: int
) -> None:
    rwsem = lock_of(target.program, before, "storlab_rw", "struct rw_semaphore")
    put(target.program, rwsem.count.counter, 1)
    put(target.program, rwsem.owner.counter, word)
    assert owner(rwsem, "rwsem").note.endswith("a writer is just taking or releasing it")


def test_a_percpu_rwsem_without_readers_and_writer_is_free(demo_target: Target) -> None:
    rwsem = demo_target.program["cgroup_threadgroup_rwsem"]
    assert owner(rwsem, "percpu_rwsem").note.startswith("free: ")
