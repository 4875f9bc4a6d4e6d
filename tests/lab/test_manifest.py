"""The manifest says what follows from the steps that the guest's tasks were in."""

from typing import Any

import pytest

from tests.lab.cache import LabError
from tests.lab.kernel import Kernel
from tests.lab.manifest import make_manifest
from tests.lab.scenarios import Scenario

KERNEL = Kernel("6.1", "6.1.0-56-cloud-amd64", {})
IDLE = Scenario("idle", "none", "qmp")
HANGING = Scenario("hanging", "none", "qmp", cycles=1, culprits=("first",))


def task(pid: int, comm: str) -> dict[str, Any]:
    return {
        "fact": "task",
        "pid": pid,
        "ppid": 1,
        "comm_hex": comm.encode(errors="surrogateescape").hex(),
        "policy": "NORMAL",
        "rt_priority": 0,
        "nice": 0,
        "pinned_to": 2,
        "doing": "steps",
        "argument": "",
    }


def steps(pid: int, words: str, step: int) -> dict[str, Any]:
    return {
        "fact": "run",
        "pid": pid,
        "comm_hex": "78",
        "kthread": False,
        "step": step,
        "steps": words,
    }


def lock(name: str, kind: str) -> dict[str, Any]:
    return {"fact": "lock", "name": name, "kind": kind, "address": "0xffffffffc0000000"}


ABBA = [
    task(10, "first"),
    task(11, "second"),
    task(12, "third"),
    steps(10, "mutex:a sleep:10 mutex:b", 2),
    steps(11, "mutex:b sleep:10 mutex:a", 2),
    steps(12, "mutex:b", 0),
    lock("a", "mutex"),
    lock("b", "mutex"),
]


def test_a_lock_cycle_names_its_tasks_once_and_not_those_behind_it() -> None:
    assert make_manifest(HANGING, KERNEL, ABBA)["cycles"] == [[10, 11]]


def test_a_guest_that_did_not_reach_its_deadlock_is_refused() -> None:
    with pytest.raises(LabError, match="0 lock cycles"):
        make_manifest(HANGING, KERNEL, ABBA[:3])


def test_a_lock_has_the_owner_that_passed_its_step_and_the_waiters_that_are_in_it() -> None:
    locks = make_manifest(HANGING, KERNEL, ABBA)["locks"]
    assert locks[1]["owner"] == 11
    assert [waiter["pid"] for waiter in locks[1]["waiters"]] == [10, 12]


def test_a_reader_is_a_holder_but_no_owner() -> None:
    facts = [task(10, "x"), steps(10, "read:rw completion:done", 1), lock("rw", "rwsem")]
    (rwsem,) = make_manifest(IDLE, KERNEL, facts)["locks"]
    assert rwsem["holders"] == [{"pid": 10, "mode": "read"}]
    assert rwsem["owner"] is None


def test_a_task_that_waits_for_a_completion_is_blocked() -> None:
    manifest = make_manifest(IDLE, KERNEL, [task(10, "x"), steps(10, "completion:done", 0)])
    assert manifest["blocked"] == [10]


def test_a_task_that_spins_for_a_spinlock_runs_and_is_not_blocked() -> None:
    manifest = make_manifest(IDLE, KERNEL, [task(10, "x"), steps(10, "spinlock:s", 0)])
    assert manifest["blocked"] == []
    assert manifest["spinning"] == [
        {"pid": 10, "comm": "x", "cpu": 2, "irqs_enabled": True, "waits_for": "s"}
    ]


def test_an_error_of_the_hardware_is_corrected_unless_its_status_says_otherwise() -> None:
    asked = "mce 2 3 0x9400000000000135 0 0x1000 0", "mce 1 1 0xb600000000000135 4 0x2000 0"
    facts = [{"fact": "monitor", "command": command} for command in (*asked, "nmi")]
    assert make_manifest(IDLE, KERNEL, facts)["hardware_errors"] == [
        {"cpu": 2, "bank": 3, "status": "0x9400000000000135", "address": "0x1000",
         "corrected": True},
        {"cpu": 1, "bank": 1, "status": "0xb600000000000135", "address": "0x2000",
         "corrected": False},
    ]  # fmt: skip


def test_a_name_that_is_not_utf_8_keeps_its_bytes() -> None:
    manifest = make_manifest(IDLE, KERNEL, [task(10, "bad\udcff")])
    assert manifest["tasks"][0]["comm"].encode(errors="surrogateescape") == b"bad\xff"
