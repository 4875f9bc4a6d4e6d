"""The deadlock guest on the newest kernel that Debian has.

Its locks have no list of waiters but a pointer to the first one, and its tasks record what they
wait for (``blocked_on``, ``blocker``).
"""

import pytest

from kscope.kernel.locks import locks
from kscope.kernel.waiting.lock_owners import owner_of
from kscope.model.locks import Locks, LocksQuery
from kscope.target.target import Target
from tests.lab.catalogue import LabDump
from tests.lab.kernel import NEWEST
from tests.on_lab.opening import find_or_skip, open_lab
from tests.on_lab.surveys import surveyed
from tests.on_lab.waiting import blocked

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def dump() -> LabDump:
    return find_or_skip("deadlock", NEWEST)


@pytest.fixture(scope="module")
def target(dump: LabDump) -> Target:
    return open_lab(dump.name, dump.series)


@pytest.fixture(scope="module")
def found(target: Target) -> Locks:
    return locks(target, LocksQuery())


def test_the_kernel_is_one_whose_locks_have_no_list(target: Target) -> None:
    assert target.program.type("struct mutex").has_member("first_waiter")
    assert target.program.type("struct task_struct").has_member("blocker")


def test_every_lock_is_found_with_its_kind_owner_and_waiters(dump: LabDump, found: Locks) -> None:
    by_address = {int(lock.address): lock for lock in found.locks}
    for lock in dump.manifest["locks"]:
        if not lock["waiters"]:
            continue
        shown = by_address[int(lock["address"], 16)]
        assert (shown.kind, shown.name) == (lock["kind"], lock["name"])
        assert sorted((w.pid, w.mode) for w in shown.waiters) == sorted(
            (waiter["pid"], waiter["mode"]) for waiter in lock["waiters"]
        )
        if lock["owner"] is not None:
            assert (shown.owner, shown.owner_certain) == (lock["owner"], True)


def test_a_semaphores_last_holder_is_named_and_not_certain(dump: LabDump, found: Locks) -> None:
    (semaphore,) = (lock for lock in found.locks if lock.kind == "semaphore")
    assert (semaphore.owner, semaphore.owner_certain) == (dump.task("semholder")["pid"], False)


def test_a_semaphores_last_holder_may_exit_without_breaking_anything(
    target: Target, found: Locks
) -> None:
    (semaphore,) = (lock for lock in found.locks if lock.kind == "semaphore")
    owner = owner_of(target.program, "semaphore", int(semaphore.address), lambda _task: False)
    assert (owner.task, owner.certain) == (None, False)
    assert owner.note == "its last holder has exited; others may hold it"


def test_the_cycle_is_the_guests(dump: LabDump, found: Locks) -> None:
    assert [list(cycle) for cycle in found.cycles] == dump.manifest["cycles"]


def test_what_the_kernel_records_is_what_the_stacks_say(target: Target) -> None:
    waits, tasks = blocked(target)
    compared = set()
    for task, stack in tasks:
        recorded = waits.of(task, stack)
        by_pointer = waits.by_pointer_on_stack(task, stack)
        if recorded is None or by_pointer is None or "task_struct." not in recorded.how:
            continue
        assert (by_pointer.kind, by_pointer.lock) == (recorded.kind, recorded.lock)
        compared.add((recorded.kind, recorded.how))
    assert ("mutex", "task_struct.blocked_on") in compared
    assert ("rwsem", "task_struct.blocker") in compared
    assert ("semaphore", "task_struct.blocker") in compared


def test_the_survey_finds_the_deadlock_and_every_rule_runs(dump: LabDump) -> None:
    survey = surveyed(dump.name, dump.series)
    assert survey.findings[0].rule == "deadlock"
    assert sorted(survey.findings[0].tasks[:2]) == dump.manifest["cycles"][0]
    assert [rule for rule in survey.rules if rule.outcome not in ("found", "nothing")] == []
    assert survey.unreadable == ()
