"""The survey of a guest whose deferred work is not done: a pool of workers on a CPU that schedules
as it should, and a CPU that does not come back from a softirq."""

import pytest
from drgn import Object, Program

from kscope.kernel.access import members
from kscope.kernel.processor import work_pools
from kscope.model.cpus import CpusQuery, state_of
from kscope.model.survey import Finding, Survey
from kscope.model.system import SystemQuery
from kscope.session.answering import answer
from tests.lab.catalogue import LabDump, find
from tests.on_lab.opening import open_lab
from tests.on_lab.surveys import of_rule

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def dump(series: str) -> LabDump:
    return find("deferred-work", series)


@pytest.fixture(scope="module")
def stalled(survey: Survey) -> Finding:
    (finding,) = of_rule(survey, "stuck-work")
    return finding


@pytest.fixture(scope="module")
def locked_up(survey: Survey) -> Finding:
    (finding,) = of_rule(survey, "cpu-stuck")
    return finding


def test_the_pool_that_makes_no_progress_is_found_with_its_cpu_and_for_how_long(
    stalled: Finding,
) -> None:
    assert stalled.cpus == (2,)
    assert stalled.duration_ns is not None
    assert 30e9 < stalled.duration_ns < 240e9


def test_its_worker_is_to_blame_with_the_function_that_it_executes(
    dump: LabDump, stalled: Finding
) -> None:
    assert len(stalled.tasks) == 1
    function = dump.manifest["stalled_by"]["2"]
    assert "kworker/2:" in stalled.explanation
    assert f"{stalled.tasks[0]} in {function}()" in stalled.explanation


def test_the_items_behind_it_are_listed_the_longest_waiting_first(
    dump: LabDump, stalled: Finding
) -> None:
    first, second = dump.manifest["work"]["2"]
    assert f"({first}(), {second}()" in stalled.evidence[0].text


def test_the_cpu_of_a_stalled_pool_is_as_busy_as_any(series: str, types: str) -> None:
    cpu = answer(open_lab("deferred-work", series, types), CpusQuery(cpu="2")).cpus[0]
    assert (cpu.lockup, cpu.irqs_enabled) == (None, True)
    # A real-time task of the kernel may just have been running.
    assert state_of(cpu) in ("B", "T")


def test_a_softirq_that_does_not_end_is_the_lockup_of_its_cpu_and_no_tasks_fault(
    dump: LabDump, locked_up: Finding
) -> None:
    assert locked_up.cpus == (3,)
    assert locked_up.tasks == ()
    assert locked_up.title.startswith("Soft lockup of CPU 3: softirq run_timer_softirq")
    assert f"in {dump.manifest['in_softirq']['3']}()" in locked_up.explanation


def test_the_cpu_in_the_softirq_is_said_to_be_in_it_as_its_own_screen_does(
    series: str, types: str
) -> None:
    target = open_lab("deferred-work", series, types)
    softirqs = [state.softirq for state in answer(target, SystemQuery()).cpu_states]
    assert softirqs == [cpu.softirq for cpu in answer(target, CpusQuery()).cpus]
    assert softirqs == ["", "", "", "run_timer_softirq"]


def test_a_pool_is_stalled_whatever_other_cpus_tell_the_watchdog(
    series: str, types: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lab's kernels are built without CONFIG_WQ_WATCHDOG and its variables."""

    def variable(program: Program, *names: str) -> Object | None:
        touched = "wq_watchdog_touched" in names
        return (
            Object(program, "unsigned long", program["jiffies"])
            if touched
            else members.variable(program, *names)
        )

    monkeypatch.setattr(work_pools, "variable", variable)
    target = open_lab("deferred-work", series, types)
    (cpu,) = answer(target, CpusQuery(cpu="2", watchdog=True)).cpus
    assert cpu.health is not None
    assert [pool.stuck for pool in cpu.health.pools].count(True) == 1
