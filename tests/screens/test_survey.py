"""Screen 1, the survey, on the bundled dump."""

from typing import Any

import pytest

from kscope.app import KscopeApp
from tests.screens.conftest import SIZES, keys, settle


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
    import os
    import signal

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
