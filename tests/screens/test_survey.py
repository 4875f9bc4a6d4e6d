"""Screen 1, the survey, on the bundled dump."""

import os
import signal
from typing import Any

import msgspec
import pytest

from kscope.app import KscopeApp
from kscope.model.debug_info import DebugInfoQuery
from kscope.model.system import CpuState, System, SystemQuery
from kscope.model.target import OpenQuery
from kscope.screens.survey_lines import dump_lines, load_lines
from kscope.session.answering import answer
from kscope.session.client import Session
from kscope.session.process import WorkerProcess
from kscope.target.target import Target
from kscope.widgets.line import plain
from tests.screens.conftest import SIZES, keys, painted, settle


@pytest.mark.parametrize("size", SIZES)
def test_picture_of_the_survey(
    snap_compare: Any, dashboard: KscopeApp, size: tuple[int, int]
) -> None:
    assert snap_compare(dashboard, run_before=keys(), terminal_size=size)


@pytest.mark.parametrize("size", SIZES)
def test_picture_of_the_keys_that_work_here(
    snap_compare: Any, dashboard: KscopeApp, size: tuple[int, int]
) -> None:
    assert snap_compare(dashboard, run_before=keys("question_mark"), terminal_size=size)


def test_picture_of_the_machine(snap_compare: Any, dashboard: KscopeApp) -> None:
    assert snap_compare(dashboard, run_before=keys("m"), terminal_size=(80, 24))


async def test_a_pane_that_hides_some_of_its_lines_says_so(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("m", "down")(pilot)
        bottom = painted(dashboard).splitlines()
        assert any("2/29" in line for line in bottom)


def test_of_many_cpus_only_those_that_worked_are_named() -> None:
    states = tuple(
        CpuState(cpu, True, cpu not in (3, 40), cpu, f"task{cpu}", "none") for cpu in range(64)
    )
    system = System(dumpfile="/vmcore", cpu_states=states)
    assert plain(load_lines(system)[0]) == "CPU  62 idle  3 task3  40 task40 "


@pytest.mark.parametrize("cpus", [4, 64])
def test_a_cpu_that_a_softirq_took_from_its_idle_task_does_not_idle(cpus: int) -> None:
    states = tuple(
        CpuState(cpu, True, True, 0, f"swapper/{cpu}", "none", "net_rx_action" * (cpu == 3))
        for cpu in range(cpus)
    )
    shown = plain(load_lines(System(dumpfile="/vmcore", cpu_states=states))[0])
    assert shown.endswith(" 3 softirq ")
    assert "swapper/3" not in shown


def test_a_running_kernel_is_no_dump_of_128_terabytes(demo_target: Target) -> None:
    live = msgspec.structs.replace(
        demo_target.identity, live=True, format="kcore", path="/proc/kcore", size_bytes=1 << 47
    )
    system = answer(demo_target, SystemQuery())
    shown = [
        plain(each) for each in dump_lines(live, system, answer(demo_target, DebugInfoQuery()))
    ]
    assert "the kernel that runs here, /proc/kcore" in shown[0]
    assert not any("TB" in each or "registers" in each or "dump" in each for each in shown)


async def test_f5_asks_again_what_a_lost_worker_did_not_answer(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        worker = dashboard.session.worker_process_id
        os.kill(worker, signal.SIGSTOP)
        await pilot.press("2")
        await pilot.pause()
        os.kill(worker, signal.SIGKILL)
        await settle(pilot)
        assert "F5 asks again" in painted(dashboard)
        await keys("f5")(pilot)
        assert "Kernel panic - not syncing" in painted(dashboard)


async def test_a_worker_that_dies_of_a_dump_ends_the_dashboard_with_a_sentence() -> None:
    command = ("-c", "raise SystemExit(3)")
    app = KscopeApp(Session(WorkerProcess(OpenQuery(path="/vmcore"), command)))
    async with app.run_test(size=(120, 40)) as pilot:
        await app.workers.wait_for_complete()
        await pilot.pause()
    assert app.return_code == 1
    assert "ended with status 3" in (app.return_value or "")


async def test_the_identity_names_release_panic_cpus_and_where_types_come_from(
    dashboard: KscopeApp,
) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        line = dashboard.frame.identity.spans(120)
        text = "".join(span.text for span in line)
        assert "6.1.0-" in text
        assert "hung_task: blocked tasks" in text
        assert "4 CPUs" in text
        assert "types from BTF" in text


async def test_a_killed_worker_is_said_on_screen_and_replaced(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        before = dashboard.session.worker_process_id
        os.kill(before, signal.SIGKILL)
        while dashboard.session.worker_process_id == before:
            await pilot.pause(0.05)
        await settle(pilot)
        text = "".join(span.text for span in dashboard.frame.equivalent.spans(120))
        assert "SIGKILL" in text
        assert "started again" in text
