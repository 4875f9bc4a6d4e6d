"""kscope on the kernel that it runs on, inside a guest: against what that kernel's /proc said."""

import json
import re
from typing import Any

import pytest

from kscope.model.text import printable_lines
from tests.lab.python_guest import LIVE_SERIES, seen

# The first test may have to boot the guest, and the others wait for it.
pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

Look = dict[str, Any]
TICKS_PER_SECOND = 100


@pytest.fixture(scope="module", params=LIVE_SERIES)
def looks(request: pytest.FixtureRequest) -> dict[str, Look]:
    found = seen(request.param)
    for name in ("system", "survey-alone"):
        found[name]["result"] = json.loads(found[name]["stdout"])
    return found


def tasks_throughout(look: Look) -> dict[str, Look]:
    """The tasks that there were before kscope looked, and were still there afterwards."""
    before, after = look["before"]["tasks"], look["after"]["tasks"]
    return {
        pid: task
        for pid, task in before.items()
        if pid in after and after[pid]["start_ticks"] == task["start_ticks"]
    }


def rows(look: Look) -> dict[str, Look]:
    return {str(task["pid"]): task for task in look["result"]["tasks"] if task["pid"]}


def texts(log: list[str]) -> list[str]:
    """The texts in /dev/kmsg's records: between the prefix's semicolon and the first newline,
    with what is not printable, and the backslash, as \\x and two digits."""
    escaped = (record.partition(";")[2].partition("\n")[0].encode() for record in log)
    return [
        printable_lines(
            re.sub(rb"\\x([0-9a-f]{2})", lambda hit: bytes.fromhex(hit[1].decode()), text)
        )
        for text in escaped
    ]


@pytest.mark.parametrize(
    "name", ["system", "survey-alone", "run", "debug-info-with-vmlinux", "run-with-vmlinux"]
)
def test_a_command_on_the_running_kernel_succeeds(looks: dict[str, Look], name: str) -> None:
    assert (looks[name]["status"], looks[name]["stderr"]) == (0, "")


def test_the_machine_is_the_one_that_uname_names(looks: dict[str, Look]) -> None:
    answer, uname = looks["system"]["result"], looks["uname"]
    named = ("nodename", "release", "version", "machine")
    assert {name: answer[name] for name in named} == {name: uname[name] for name in named}


def test_uptime_date_load_and_cpus_are_those_of_proc(looks: dict[str, Look]) -> None:
    look = looks["system"]
    answer, before, after = look["result"], look["before"], look["after"]
    assert int(before["uptime"]) <= answer["uptime_seconds"] <= after["uptime"]
    assert int(before["time"]) <= answer["date_seconds"] <= after["time"]
    assert answer["cpus"] == 2
    assert before["online"] == "0-1"
    loads = [f"{load:.2f}" for load in answer["load_average"]]
    between = zip(before["loadavg"][:3], after["loadavg"][:3], strict=True)
    assert all(
        min(float(earlier), float(later)) - 0.1 <= float(load)
        and float(load) <= max(float(earlier), float(later)) + 0.1
        for load, (earlier, later) in zip(loads, between, strict=True)
    )


def test_nothing_is_said_to_have_panicked(looks: dict[str, Look]) -> None:
    assert looks["system"]["result"]["panic_message"] == ""
    assert looks["survey"]["result"]["panic"]["kind"] == "none"


@pytest.mark.parametrize("name", ["tasks", "while-forking-0-tasks", "while-forking-1-tasks"])
def test_every_task_is_there_with_its_name_and_family(looks: dict[str, Look], name: str) -> None:
    shown = rows(looks[name])
    throughout = tasks_throughout(looks[name])
    assert len(throughout) > 60
    for pid, task in throughout.items():
        row = shown[pid]
        # /proc adds to a worker's name what it works on.
        printed = re.sub(r"\\x1b", "\x1b", row["comm"])
        assert task["comm"].startswith(printed[:15])
        assert (row["tgid"], row["ppid"]) == (task["tgid"], task["ppid"])
        assert row["rt_priority"] == task["rt_priority"]
        if row["policy"] in ("NORMAL", "BATCH", "IDLE"):
            assert row["static_prio"] - 120 == task["nice"]
        assert row["start_time_ns"] // (10**9 // TICKS_PER_SECOND) == task["start_ticks"]


def test_no_task_is_invented(looks: dict[str, Look]) -> None:
    look = looks["tasks"]
    known = look["before"]["tasks"].keys() | look["after"]["tasks"].keys()
    assert rows(look).keys() <= known


def test_tasks_that_do_not_move_are_in_the_state_that_proc_says(looks: dict[str, Look]) -> None:
    codes = {"D": "UN", "I": "ID", "T": "ST", "Z": "ZO"}
    look = looks["tasks"]
    shown = rows(look)
    still = {
        pid: codes[task["state"]]
        for pid, task in tasks_throughout(look).items()
        if task["state"] in codes and look["after"]["tasks"][pid]["state"] == task["state"]
    }
    assert {"UN", "ID"} <= set(still.values())
    # A kworker may have worked in between.
    differing = [pid for pid, state in still.items() if shown[pid]["state"] != state]
    assert all(shown[pid]["comm"].startswith("kworker") for pid in differing)


def test_what_kscope_runs_on_is_shown_running(looks: dict[str, Look]) -> None:
    running = {task["comm"] for task in looks["tasks"]["result"]["tasks"] if task["active"]}
    assert any("python" in comm for comm in running)


def test_the_log_is_that_of_dev_kmsg(looks: dict[str, Look]) -> None:
    wanted = texts(looks["log"]["log_before"])
    shown = [record["text"] for record in looks["log"]["result"]["records"]]
    assert len(wanted) > 100
    assert shown[: len(wanted)] == wanted


def test_both_cpus_are_shown_and_no_registers_are_made_up(looks: dict[str, Look]) -> None:
    answer = looks["cpus"]["result"]
    assert [cpu["cpu"] for cpu in answer["cpus"]] == [0, 1]
    assert all(cpu["online"] for cpu in answer["cpus"])
    assert {cpu["registers"] for cpu in answer["cpus"]} == {"none"}
    assert {cpu["irqs_enabled"] for cpu in answer["cpus"]} == {None}


@pytest.mark.parametrize("name", ["survey", "while-forking-6-survey"])
def test_a_deadlock_on_the_running_machine_is_found(looks: dict[str, Look], name: str) -> None:
    first = looks[name]["result"]["findings"][0]
    assert first["rule"] == "deadlock"
    assert {"logrotated", "backupd"} <= set(re.findall(r"\w+", first["title"]))


def test_the_stacks_of_the_deadlock_are_one_group(looks: dict[str, Look]) -> None:
    groups = looks["stacks"]["result"]["groups"]
    group = next(group for group in groups if "logrotated" in group["comms"])
    assert sorted(group["comms"]) == ["backupd", "logrotated"]
    assert "storlab_take_mutex" in [frame["function"] for frame in group["frames"]]


@pytest.mark.parametrize("view", ["tasks", "stacks", "cpus", "locks", "task-states", "survey"])
def test_tasks_that_come_and_go_meanwhile_do_no_harm(looks: dict[str, Look], view: str) -> None:
    chosen = [look for name, look in looks.items() if name.endswith(f"-{view}")]
    assert chosen
    assert [look.get("failure") for look in chosen] == [None] * len(chosen)


def test_nothing_that_was_read_is_shown_again(looks: dict[str, Look]) -> None:
    jiffies = re.findall(r"jiffies = \$\d+ = (\d+)", looks["run"]["stdout"])
    assert len(jiffies) == 2
    assert int(jiffies[0]) < int(jiffies[1])


def test_a_vmlinux_gives_the_running_kernel_types_and_source_lines(looks: dict[str, Look]) -> None:
    kernel = json.loads(looks["debug-info-with-vmlinux"]["stdout"])["kernel"]
    assert (kernel["types"], kernel["vmlinux"]) == ("dwarf", "/debug/vmlinux")
    backtrace = looks["run-with-vmlinux"]["stdout"]
    assert re.search(r"kernel/sched/core\.c: \d+", backtrace)


def test_the_dashboard_shows_the_running_machine_and_ends_cleanly(looks: dict[str, Look]) -> None:
    look = looks["dashboard"]
    assert (look["failure"], look["status"], look["clean"]) == ("", 0, True)
    assert "live" in look["screens"]["survey"]
    assert looks["uname"]["release"] in look["screens"]["survey"]


def test_f5_reads_the_open_screen_again(looks: dict[str, Look]) -> None:
    screens = looks["dashboard"]["screens"]
    assert "latecomer" not in screens["log"]
    assert "latecomer" in screens["log again"]
