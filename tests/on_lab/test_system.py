"""The machine and its log equal crash's and drgn's on every dump, with DWARF and with BTF."""

import contextlib
import io
import re

import drgn.commands._crash  # registers the commands  # noqa: F401
import pytest
from drgn.commands import run_command
from drgn.helpers.linux.cpumask import for_each_online_cpu, for_each_possible_cpu
from drgn.helpers.linux.printk import get_printk_records

from kscope.dialect.log import text as log_text
from kscope.dialect.system import text as system_text
from kscope.kernel.log import log
from kscope.kernel.system import system
from kscope.model.debug_info import DebugInfoQuery
from kscope.model.log import LogQuery
from kscope.model.system import SystemQuery
from tests.lab.catalogue import find
from tests.lab.oracle import crash
from tests.on_lab.opening import CAPTURED, PANICS, SERIES, open_lab

pytestmark = [pytest.mark.lab, pytest.mark.parametrize("series", SERIES)]

_COMPARED = ("CPUS", "LOAD AVERAGE", "TASKS", "NODENAME", "RELEASE", "VERSION", "PANIC")


def facts(printed: str) -> dict[str, str]:
    return {
        label.strip(): value.strip()
        for label, colon, value in (line.partition(": ") for line in printed.splitlines())
        if colon and label.strip().isupper()
    }


@pytest.mark.parametrize("types", ["dwarf", "btf"])
@pytest.mark.parametrize("name", [*PANICS, *CAPTURED])
def test_every_fact_of_sys_equals_drgns_crash_mode(name: str, series: str, types: str) -> None:
    target = open_lab(name, series, types)
    target.program.config["crash_scroll"] = False
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        run_command(target.program, "crash sys")
    expected = facts(output.getvalue())
    found = facts(system_text(SystemQuery(), system(target, SystemQuery())))
    # drgn leaves out the idle tasks of CPUs that are not online; crash does not, and neither do we.
    program = target.program
    offline = set(for_each_possible_cpu(program)) - set(for_each_online_cpu(program))
    expected["TASKS"] = str(int(expected["TASKS"]) + len(offline))
    for label in (*_COMPARED, "DATE", "UPTIME"):
        if label == "PANIC" and name == "general-protection":
            continue  # drgn 0.3 does not know this kind of panic message
        assert found.get(label) == expected.get(label), label


@pytest.mark.parametrize("name", ["sysrq", "oom", "soft-lockup"])
def test_sys_equals_crash(name: str, series: str) -> None:
    expected = facts(crash(find(name, series), ["sys"])[0])
    found = facts(system_text(SystemQuery(), system(open_lab(name, series), SystemQuery())))
    for label in ("CPUS", "LOAD AVERAGE", "TASKS", "NODENAME", "RELEASE", "VERSION"):
        assert found[label] == expected[label], label
    assert found["MACHINE"].split() == expected["MACHINE"].split()


def test_idle_tasks_of_cpus_that_never_came_are_counted_as_crash_counts_them(
    series: str,
) -> None:
    if series == "6.1":
        pytest.skip("crash opens no 6.1 dump of a guest that did not panic")
    (expected,) = crash(find("cpus64", series), ["sys"])
    found = system_text(SystemQuery(), system(open_lab("cpus64", series), SystemQuery()))
    assert facts(found)["TASKS"] == facts(expected)["TASKS"]


@pytest.mark.parametrize("name", PANICS)
def test_uptime_is_that_of_the_last_log_line(name: str, series: str) -> None:
    # Not compared with crash, which counts jiffies and is three minutes off on 6.12.
    target = open_lab(name, series)
    uptime = system(target, SystemQuery()).uptime_seconds
    assert uptime is not None
    assert abs(log(target, LogQuery()).records[-1].timestamp_ns / 1e9 - uptime) < 5


@pytest.mark.parametrize("name", PANICS)
def test_the_panic_task_is_the_one_the_guest_named(name: str, series: str) -> None:
    panic = find(name, series).manifest["panic"]
    task = system(open_lab(name, series), SystemQuery()).panic_task
    assert task is not None
    if panic["pid"] is not None:
        assert task.pid == panic["pid"]
    if panic["cpu"] is not None:
        assert task.cpu == panic["cpu"]


@pytest.mark.parametrize("name", [*PANICS, *CAPTURED])
def test_each_log_record_equals_drgns(name: str, series: str) -> None:
    target = open_lab(name, series)
    assert [
        (r.seq, r.timestamp_ns, r.level, r.facility, r.text)
        for r in log(target, LogQuery()).records
    ] == [
        (r.seq, r.timestamp, r.level, r.facility, r.text.decode())
        for r in get_printk_records(target.program)
    ]


@pytest.mark.parametrize("name", ["sysrq", "oom"])
def test_the_log_equals_crashs(name: str, series: str) -> None:
    (expected,) = crash(find(name, series), ["log"])
    found = log_text(LogQuery(), log(open_lab(name, series), LogQuery()))
    assert _lines(found) == _lines(expected)


def _lines(printed: str) -> list[str]:
    return [line.rstrip() for line in re.sub(r"\n+$", "", printed).splitlines()]


@pytest.mark.parametrize("name", PANICS)
def test_the_panics_own_report_is_found_in_the_log(name: str, series: str) -> None:
    expected = {"unknown-nmi": "nmi", "warn": "warning"}.get(name, name)
    kinds = [report.kind for report in log(open_lab(name, series), LogQuery()).reports]
    assert expected in kinds


@pytest.mark.parametrize("types", ["dwarf", "btf"])
def test_debug_info_is_told_for_every_module(series: str, types: str) -> None:
    from kscope.kernel.debug_info import debug_info

    report = debug_info(open_lab("sysrq", series, types), DebugInfoQuery())
    names = {module.name for module in report.modules}
    assert {"kernel", "storlab"} <= names
    assert report.modules[0].types == types
    for module in report.modules:
        assert module.types != "none" or module.why, module.name
