"""Locks against what the guests themselves had set up, with DWARF and with the dump's BTF."""

import functools
from typing import Any

import pytest
from drgn.helpers.linux.percpu import per_cpu

from kscope.kernel.locks import locks
from kscope.kernel.process.task_table import task_table
from kscope.model.locks import Lock, Locks, LocksQuery
from kscope.model.target import OpenQuery
from kscope.session.answering import finish
from kscope.target.opening import open_target
from tests.kernel.putting import put
from tests.lab.catalogue import LabDump, find
from tests.on_lab.opening import open_lab
from tests.on_lab.waiting import blocked

pytestmark = pytest.mark.lab

WITH_LOCKS = ("deadlock", "hung-task", "demo", "io-stuck")
WITHOUT_LOCKS = ("sysrq", "oom", "rcu-stall", "unknown-nmi")


@functools.cache
def read(name: str, series: str, types: str) -> Locks:
    return locks(open_lab(name, series, types), LocksQuery())


@pytest.fixture(params=WITH_LOCKS, scope="module")
def dump(request: pytest.FixtureRequest, series: str) -> LabDump:
    return find(request.param, series)


@pytest.fixture(scope="module")
def found(dump: LabDump, types: str) -> Locks:
    return read(dump.name, dump.series, types)


def by_address(found: Locks) -> dict[int, Lock]:
    return {int(lock.address): lock for lock in found.locks}


def own_name(lock: Lock) -> str:
    """Without what is waited for of it: ``bit 5 of storlab_bits``."""
    return lock.name.rpartition(" of ")[2]


def waited_for(dump: LabDump) -> list[dict[str, Any]]:
    return [lock for lock in dump.manifest["locks"] if lock["waiters"]]


def test_every_lock_that_is_waited_for_is_found_with_its_kind_and_name(
    dump: LabDump, found: Locks
) -> None:
    locks_found = by_address(found)
    for lock in waited_for(dump):
        assert locks_found[int(lock["address"], 16)].kind == lock["kind"]
        assert own_name(locks_found[int(lock["address"], 16)]) == lock["name"]


def test_no_other_lock_of_the_module_is_found(dump: LabDump, found: Locks) -> None:
    names = {own_name(lock) for lock in found.locks if "storlab" in lock.name}
    assert names == {lock["name"] for lock in waited_for(dump)}


def test_waiters_are_those_who_wait_and_want_what_they_want(dump: LabDump, found: Locks) -> None:
    locks_found = by_address(found)
    for lock in waited_for(dump):
        waiters = locks_found[int(lock["address"], 16)].waiters
        assert sorted((w.pid, w.mode) for w in waiters) == sorted(
            (waiter["pid"], waiter["mode"]) for waiter in lock["waiters"]
        )


def test_a_recorded_owner_is_named_and_certain(dump: LabDump, found: Locks) -> None:
    locks_found = by_address(found)
    for lock in waited_for(dump):
        if lock["owner"] is not None:
            owned = locks_found[int(lock["address"], 16)]
            assert (owned.owner, owned.owner_certain) == (lock["owner"], True)


def test_no_owner_is_certain_where_the_kernel_records_none(dump: LabDump, found: Locks) -> None:
    locks_found = by_address(found)
    for lock in waited_for(dump):
        if lock["owner"] is None and lock["kind"] != "work":
            assert not locks_found[int(lock["address"], 16)].owner_certain


def test_the_cycles_are_those_of_the_guest(dump: LabDump, found: Locks) -> None:
    assert [list(cycle) for cycle in found.cycles] == dump.manifest["cycles"]


def test_all_blocked_tasks_are_found(dump: LabDump, found: Locks) -> None:
    uninterruptible = {task.pid for task in found.blocked if task.state == "UN"}
    assert set(dump.manifest["blocked"]) <= uninterruptible


def test_nothing_is_unreadable(found: Locks) -> None:
    assert found.unreadable == ()


def test_two_ways_that_share_nothing_find_the_same_locks(series: str, types: str) -> None:
    waits, tasks = blocked(open_lab("deadlock", series, types))
    compared = set()
    for task, stack in tasks:
        by_waiter = waits.by_waiter(task, stack)
        by_pointer = waits.by_pointer_on_stack(task, stack)
        assert by_waiter is not None
        if by_pointer is not None:
            assert (by_pointer.kind, by_pointer.lock) == (by_waiter.kind, by_waiter.lock)
            compared.add(by_pointer.kind)
    assert compared == {"mutex", "rwsem", "semaphore", "completion"}


def test_who_waits_in_interruptible_sleep_for_a_lock_is_among_its_waiters(
    series: str, types: str
) -> None:
    dump = find("io-stuck", series)
    locks_found = by_address(read("io-stuck", series, types))
    for comm, lock in (("patient", "storlab_a"), ("sempatient", "storlab_sem")):
        waiters = locks_found[int(dump.lock(lock)["address"], 16)].waiters
        assert [(waiter.pid, waiter.state) for waiter in waiters] == [
            (dump.task(comm)["pid"], "IN")
        ]


def test_readers_of_a_percpu_rwsem_are_counted_and_its_waiting_writer_is_named(
    series: str, types: str
) -> None:
    dump = find("io-stuck", series)
    lock = by_address(read("io-stuck", series, types))[
        int(dump.lock("storlab_percpu")["address"], 16)
    ]
    writer = dump.task("percpuwriter")["pid"]
    assert "held by 1 reader," in lock.owner_note
    assert f"the writer percpuwriter {writer}" in lock.owner_note
    assert lock.owner is None


def test_a_frozen_filesystem_is_what_its_writers_wait_for(series: str, types: str) -> None:
    dump = find("io-stuck", series)
    found = {task.pid: task for task in read("io-stuck", series, types).blocked}
    for comm in ("frozenwriter", "frozenmaker"):
        task = found[dump.task(comm)["pid"]]
        assert (task.category, task.doing.partition(" in ")[0]) == (
            "io", "waits for ext4 on vda to be thawed"
        )  # fmt: skip


def test_tasks_that_wait_for_io_name_the_disk(series: str, types: str) -> None:
    dump = find("io-stuck", series)
    found = {task.pid: task for task in read("io-stuck", series, types).blocked}
    for comm in ("dbscan", "reader", "sharer", "committer"):
        assert found[dump.task(comm)["pid"]].device == "vdb"


def test_the_first_function_of_a_section_is_not_called_like_the_section(
    series: str, types: str
) -> None:
    # io_schedule_timeout() lies at __sched_text_start on 6.1.
    tasks = read("io-stuck", series, types).blocked
    names = {name for task in tasks for name in task.functions}
    assert names
    assert not {name for name in names if "_text_" in name}


def test_a_lock_that_shares_its_place_in_a_union_is_called_as_a_lock(
    series: str, types: str
) -> None:
    names = [lock.name for lock in read("io-stuck", series, types).locks if lock.kind == "mutex"]
    assert any(name.startswith("f_pos_lock of file") for name in names)


@pytest.mark.parametrize("name", WITHOUT_LOCKS)
def test_a_guest_without_contention_has_neither_locks_nor_cycles(
    name: str, series: str, types: str
) -> None:
    found = read(name, series, types)
    assert (found.locks, found.rings, found.roots) == ((), (), ())


@pytest.mark.parametrize("name", ["soft-lockup", "hard-lockup"])
def test_a_spinlock_is_found_with_who_spins_and_who_likely_holds_it(
    name: str, series: str, types: str
) -> None:
    dump = find(name, series)
    found = read(name, series, types)
    (lock,) = (lock for lock in found.locks if lock.kind == "spinlock")
    spins = dump.task("lockwaiter")["pid"]
    assert int(lock.address) == int(dump.lock("storlab_spin")["address"], 16)
    assert [waiter.pid for waiter in lock.waiters] == [spins]
    # Where one more CPU happened to be in the kernel just then, nobody is named.
    several = "2 other CPUs run the kernel with preemption off" in lock.owner_note
    assert lock.owner == (None if several else dump.manifest["culprits"][0])
    assert not lock.owner_certain
    assert [spinner.pid for spinner in found.spinning] == [spins]


def test_a_panic_that_keeps_preemption_off_holds_no_spinlock_by_that(series: str) -> None:
    """The panicking CPU of the lab's guest does hold it: here, it seems to run panic() alone."""
    path = str(find("soft-lockup", series).vmcore)
    target = finish(open_target(OpenQuery(path=path)), None)
    program = target.program
    cpu = program["panic_cpu"].counter.value_()
    try:
        count = per_cpu(program["__preempt_count"], cpu)
    except LookupError:
        count = per_cpu(program["pcpu_hot"], cpu).preempt_count
    put(program, count, 1)
    (lock,) = (lock for lock in locks(target, LocksQuery()).locks if lock.kind == "spinlock")
    assert lock.owner is None


# A dump that lacks pages which the kernel used: which ones, differs with every build.


def test_no_task_is_lost_with_the_pages_that_lead_to_it() -> None:
    whole, lacking = (task_table(open_lab(name, "6.12")) for name in ("deadlock", "overfiltered"))
    assert {row.task for row in lacking.rows} == {row.task for row in whole.rows}


def test_missing_pages_make_up_neither_a_lock_nor_an_owner() -> None:
    whole, lacking = (read(name, "6.12", "btf") for name in ("deadlock", "overfiltered"))
    true = by_address(whole)
    for lock in lacking.locks:
        if lock.name.startswith("on the stack of flusher"):
            continue  # the completion of its flush_work(), where the work cannot be told
        assert lock.address in true
        assert lock.kind == true[lock.address].kind
        assert lock.owner_task in (None, true[lock.address].owner_task)
        assert "exited" not in lock.owner_note


def test_tasks_without_a_readable_pid_are_told_apart() -> None:
    blocked_by_pid: dict[int, set[int]] = {}
    for task in read("overfiltered", "6.12", "btf").blocked:
        blocked_by_pid.setdefault(task.pid, set()).add(task.task)
    assert all(len(tasks) == 1 for tasks in blocked_by_pid.values())
