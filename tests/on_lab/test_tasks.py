"""Tasks of the lab's guests against what the guests told, against crash and against drgn."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from drgn import FaultError, Object, Program
from drgn.helpers.linux.cpumask import num_online_cpus, num_possible_cpus
from drgn.helpers.linux.kthread import task_is_kthread
from drgn.helpers.linux.mm import task_rss, task_vsize
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.sched import (
    cpu_curr,
    task_cpu,
    task_since_last_arrival_ns,
    task_state_to_char,
)

from kscope.dialect.tasks import equivalent
from kscope.kernel.process.task_table import task_rows
from kscope.model.tasks import Task, TasksQuery
from kscope.model.text import printable
from kscope.session.answering import answer
from tests.lab.cache import LabError
from tests.lab.catalogue import LabDump, find
from tests.lab.oracle import crash
from tests.on_lab.opening import open_lab

pytestmark = pytest.mark.lab

EXCLUDED = "overfiltered"
"""Pages of tasks, too, are not in this dump."""
SAMPLE = 40
"""Of a dump with many tasks so many are compared where crash takes long for each."""

_PS = re.compile(
    r"^(?P<mark>[>-]| ) +(?P<pid>\d+) +(?P<ppid>\d+) +(?P<cpu>\d+)  (?P<task>[0-9a-f]{16})  "
    r"(?P<state>\w\w) +(?P<share>\d+\.\d) +(?P<vsz>\d+) +(?P<rss>\d+)  "
)
_PS_M = re.compile(
    r"^\[(\d+) (\d+):(\d+):(\d+)\.(\d+)\] \[(\w\w)\]  PID: +\d+ +TASK: ([0-9a-f]{16}) "
)
_PRIORITIES = re.compile(
    r"TASK: (?P<task>[0-9a-f]{16}) (?s:.*?)\n  prio = (-?\d+),\n  static_prio = (\d+),\n"
    r"  rt_priority = (\d+),"
)
_POLICIES = {0: "NORMAL", 1: "FIFO", 2: "RR", 3: "BATCH", 5: "IDLE", 6: "DEADLINE"}


@dataclass(frozen=True)
class Oracle:
    """What crash says, by task."""

    ps: dict[int, dict[str, str]]
    milliseconds: dict[int, int]
    policies: dict[int, str]
    leaders: set[int]
    priorities: dict[int, tuple[int, int, int]]
    """Dynamic, static and real-time."""


@pytest.fixture(scope="module")
def oracle(dump: LabDump) -> Oracle:
    which = ""
    if dump.name == "many":
        rows = task_rows(open_lab(dump.name, dump.series))
        which = "".join(f"{task.task:x} " for task in rows[:: len(rows) // SAMPLE][:SAMPLE])
    commands = [
        "ps", "ps -m", "ps -G", f"foreach {which}task -R prio,static_prio,rt_priority",
        *(f"ps -y {number}" for number in _POLICIES),
    ]  # fmt: skip
    try:
        ps, with_times, groups, priorities, *by_policy = crash(dump, commands)
    except LabError as error:
        pytest.skip(f"crash does not read it: {str(error).splitlines()[-1]}")
    milliseconds = {}
    for line in with_times.splitlines():
        if match := _PS_M.match(line):
            days, hours, minutes, seconds, thousandths = map(int, match.groups()[:5])
            total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
            milliseconds[int(match[7], 16)] = total * 1000 + thousandths
    policies = {
        task: policy
        for policy, text in zip(_POLICIES.values(), by_policy, strict=True)
        for task, _ in _lines(text)
    }
    return Oracle(
        dict(_lines(ps)),
        milliseconds,
        policies,
        {task for task, _ in _lines(groups)},
        {
            int(match["task"], 16): (int(match[2]), int(match[3]), int(match[4]))
            for match in _PRIORITIES.finditer(priorities)
        },
    )


def _lines(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    for line in text.splitlines():
        if match := _PS.match(line):
            yield int(match["task"], 16), match.groupdict()


@pytest.mark.parametrize("types", ["btf", "dwarf"])
def test_what_ps_shows_is_what_crash_shows(dump: LabDump, types: str, oracle: Oracle) -> None:
    target = open_lab(dump.name, dump.series, types)
    rows = {int(task.task): task for task in task_rows(target)}
    # crash finds no task behind a page of the PID table that is not in the dump.
    assert rows.keys() == oracle.ps.keys() or dump.name == EXCLUDED
    assert rows.keys() >= oracle.ps.keys()
    for address, said in oracle.ps.items():
        task = rows[address]
        if dump.name == EXCLUDED and task.unreadable:
            continue
        assert (
            task.pid, task.ppid, task.cpu, task.state, _kilobytes(task.vsize_bytes),
            _kilobytes(task.rss_bytes),
        ) == (
            int(said["pid"]), int(said["ppid"]), int(said["cpu"]), said["state"],
            int(said["vsz"]), int(said["rss"]),
        )  # fmt: skip
        # Of a CPU caught between two tasks the runqueue names the one, its stack the other.
        assert task.cpu is not None
        assert task.active == (said["mark"] != " ") or not cpu_curr(target.program, task.cpu).on_cpu


def _kilobytes(value: int | None) -> int | None:
    return None if value is None else value // 1024


def test_times_policies_and_leaders_are_crashs(dump: LabDump, oracle: Oracle) -> None:
    for task in task_rows(open_lab(dump.name, dump.series)):
        if dump.name == EXCLUDED and (task.unreadable or task.task not in oracle.ps):
            continue
        assert task.since_last_arrival_ns is not None
        assert task.since_last_arrival_ns // 1_000_000 == oracle.milliseconds[task.task]
        assert task.policy == oracle.policies[task.task]
        assert task.leader == (task.task in oracle.leaders)


def test_priorities_are_crashs(dump: LabDump, oracle: Oracle) -> None:
    rows = task_rows(open_lab(dump.name, dump.series))
    assert len(oracle.priorities) >= min(len(rows), SAMPLE)
    for task in rows:
        said = oracle.priorities.get(task.task)
        assert said in (None, (task.prio, task.static_prio, task.rt_priority))


_CHARACTERS = {
    "RU": "R", "IN": "S", "UN": "D", "ST": "T", "TR": "t", "ZO": "Z", "DE": "X", "ID": "I",
    "PA": "P",
    # One that is being woken up: drgn's helper knows only what /proc reports.
    "WA": "R",
}  # fmt: skip


_TASK_IDLE = 0x402


def _character(task: Object) -> str:
    """As /proc/PID/stat has it. drgn's helper takes one that is idle and may be frozen, as a thread
    of an NFS server, for one in uninterruptible sleep.
    """
    idle = task.member_("__state").value_() & _TASK_IDLE == _TASK_IDLE
    return "I" if idle else str(task_state_to_char(task))


def test_what_ps_shows_is_what_drgns_helpers_say(dump: LabDump) -> None:
    # What lies behind the end of a truncated dump are its own types, too.
    types = "dwarf" if dump.name.startswith("truncated") else "btf"
    target = open_lab(dump.name, dump.series, types)
    program = target.program
    rows = {int(task.task): task for task in task_rows(target)}
    tasks = list(_as_drgn_finds_them(program))
    for task in tasks[:: max(1, len(tasks) // 2000)]:
        row = rows[task.value_()]
        if row.unreadable:
            continue
        assert row.state is not None
        assert (
            _CHARACTERS[row.state], row.cpu, row.since_last_arrival_ns, row.kthread, row.ppid,
            row.prio, row.static_prio, row.rt_priority, row.start_time_ns, row.tgid,
        ) == (
            _character(task), task_cpu(task), _since(task), task_is_kthread(task),
            task.parent.pid.value_(), task.prio.value_(), task.static_prio.value_(),
            task.rt_priority.value_(), task.start_time.value_(), task.tgid.value_(),
        )  # fmt: skip
    if not _all_cpus_are_online(program):
        return  # task_rss() leaves out what CPUs counted that panic() stopped
    # It walks all threads of a group, for each of them: few of many.
    for task in tasks[:: max(1, len(tasks) // 300)]:
        row = rows[task.value_()]
        if not row.unreadable:
            assert (row.vsize_bytes, row.rss_bytes) == (
                task_vsize(task), task_rss(task).total * program["PAGE_SIZE"].value_(),
            )  # fmt: skip


def _all_cpus_are_online(program: Program) -> bool:
    try:
        return bool(num_online_cpus(program) == num_possible_cpus(program))
    except FaultError:
        return False


def _as_drgn_finds_them(program: Program) -> Iterator[Object]:
    """Its helper ends at the first task whose page is missing."""
    with contextlib.suppress(FaultError):
        yield from for_each_task(program)


def _since(task: Object) -> int:
    return max(0, task_since_last_arrival_ns(task))


@pytest.mark.parametrize("types", ["btf", "dwarf"])
@pytest.mark.parametrize("name", ["deadlock", "demo"])
def test_every_task_the_guest_told_of_is_there_as_it_told(
    name: str, series: str, types: str
) -> None:
    rows = {task.pid: task for task in task_rows(open_lab(name, series, types))}
    for told in find(name, series).manifest["tasks"]:
        task = rows[told["pid"]]
        assert task.comm == printable(bytes.fromhex(told["comm_hex"]))
        assert (task.ppid, task.policy, task.kthread) == (
            told["ppid"], told["policy"], told["kthread"],
        )  # fmt: skip
        if told["state"] is not None:
            assert task.state == told["state"]
        if told["policy"] in ("FIFO", "RR"):
            assert task.rt_priority == told["rt_priority"]


def test_blocked_tasks_are_exactly_those_the_guest_told_of(series: str) -> None:
    blocked = find("deadlock", series).manifest["blocked"]
    answered = answer(open_lab("deadlock", series), TasksQuery(state="UN"))
    assert sorted(task.pid or 0 for task in answered.tasks) == sorted(blocked)


def test_hostile_names_reach_nobody_as_they_are(series: str) -> None:
    names = [task.comm or "" for task in task_rows(open_lab("deadlock", series))]
    assert all(comm.isprintable() for comm in names)
    assert {"\\x1b[31mred", "[red]", "two\\x0alines", "bad\\xff\\xfeutf8"} <= set(names)


def test_idle_tasks_of_a_cpu_that_is_offline_are_there(series: str) -> None:
    rows = task_rows(open_lab("offline-cpu", series))
    assert [task.comm for task in rows if task.idle] == [f"swapper/{cpu}" for cpu in range(4)]


@pytest.mark.parametrize("name", ["truncated-elf", "truncated-kdump"])
def test_a_truncated_dump_invents_no_task(name: str) -> None:
    answered = answer(open_lab(name, "6.1", "dwarf"), TasksQuery())
    told = {task["pid"] for task in find("sysrq").manifest["tasks"]}
    assert answered.unreadable or told <= {task.pid for task in answered.tasks}
    assert all(task.pid is not None or task.unreadable for task in answered.tasks)


@pytest.mark.parametrize(
    "query",
    [
        TasksQuery(), TasksQuery(state="UN", sort="time"), TasksQuery(policy="FIFO,RR"),
        TasksQuery(kthreads=True, sort="rss"), TasksQuery(leaders=True, user=True),
        TasksQuery(cpu="0,2", longer_than="1s"), TasksQuery(match="log|back"),
        TasksQuery(only="1,2", sort="vsz", reverse=True), TasksQuery(match="!kworker"),
    ],
    ids=lambda query: "-".join(f"{n}" for n in query.__struct_fields__ if getattr(query, n)),
)  # fmt: skip
def test_the_drgn_equivalent_prints_the_tasks_that_are_shown(
    series: str, query: TasksQuery, capsys: pytest.CaptureFixture[str]
) -> None:
    target = open_lab("deadlock", series)
    import drgn

    drgn.set_default_prog(target.program)
    exec(compile(equivalent(query).drgn, "drgn", "exec"), {"prog": target.program})
    printed = [int(line.split()[0]) for line in capsys.readouterr().out.splitlines()]
    shown: list[Task] = list(answer(target, query).tasks)
    assert sorted(printed) == sorted(task.pid or 0 for task in shown)


@pytest.mark.parametrize(
    "query",
    [TasksQuery(state="UN"), TasksQuery(policy="FIFO"), TasksQuery(user=True, leaders=True)],
    ids=["state", "policy", "leaders"],
)
def test_the_crash_equivalent_prints_the_tasks_that_are_shown(
    series: str, query: TasksQuery
) -> None:
    (output,) = crash(find("demo", series), [equivalent(query).crash])
    shown = answer(open_lab("demo", series), query).tasks
    assert [task for task, _ in _lines(output)] == [int(task.task) for task in shown]
