"""Screen 2, the log, on the bundled dump."""

from typing import Any

import pytest

from kscope.app import KscopeApp
from kscope.model.log import LogQuery
from kscope.screens.links import AddressLink, CpuLink, LogLink, SymbolLink, TaskLink
from kscope.screens.log import LogScreen, linked
from kscope.widgets.line import plain
from kscope.widgets.text_view import TextView
from tests.screens.conftest import SIZES, keys, settle


def shown(app: KscopeApp) -> TextView:
    return app.query_one("#log-lines", TextView)


def lines(app: KscopeApp) -> list[str]:
    view = shown(app)
    return [plain(view.line_at(index, 200)) for index in range(view.line_count())]


@pytest.mark.parametrize("size", SIZES)
def test_picture_of_the_log(snap_compare: Any, dashboard: KscopeApp, size: tuple[int, int]) -> None:
    assert snap_compare(dashboard, run_before=keys("2"), terminal_size=size)


@pytest.mark.parametrize("size", SIZES)
def test_picture_of_errors_dated_and_folded(
    snap_compare: Any, dashboard: KscopeApp, size: tuple[int, int]
) -> None:
    assert snap_compare(dashboard, run_before=keys("2", "t", "f", "E"), terminal_size=size)


@pytest.mark.parametrize("size", SIZES)
def test_picture_of_a_filter_being_typed(
    snap_compare: Any, dashboard: KscopeApp, size: tuple[int, int]
) -> None:
    pressed = ("2", "slash", *"mutex")
    assert snap_compare(dashboard, run_before=keys(*pressed), terminal_size=size)


async def test_the_log_opens_at_its_end(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("2")(pilot)
        assert shown(dashboard).cursor == len(lines(dashboard)) - 1


async def test_a_filter_leaves_only_matching_lines_while_it_is_typed(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("2", "slash", *"blocked for")(pilot)
        found = lines(dashboard)
        assert found
        assert all("blocked for" in line for line in found)


async def test_escape_brings_every_line_back(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("2")(pilot)
        count = len(lines(dashboard))
        await keys("slash", *"mutex", "escape")(pilot)
        assert len(lines(dashboard)) == count


async def test_the_next_error_is_a_report_or_a_line_of_level_err(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("2", "g", "e")(pilot)
        view = shown(dashboard)
        first = plain(view.line_at(view.cursor, 200))
        assert " E " in first or "INFO: task" in first


async def test_a_report_is_jumped_to(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("2", "r", "g", "enter")(pilot)
        view = shown(dashboard)
        assert view.has_focus
        assert "blocked for more than" in plain(view.line_at(view.cursor, 200))


async def test_folding_hides_the_call_traces(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("2", "f")(pilot)
        found = lines(dashboard)
        assert any("Call Trace" in line for line in found)
        assert not any("do_syscall_64+" in line for line in found)


async def test_the_equivalent_follows_the_filter_and_the_time(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("2", "t", "slash", *"mutex", "enter")(pilot)
        screen = dashboard.current
        assert isinstance(screen, LogScreen)
        equivalent = screen.equivalent()
        assert equivalent is not None
        assert equivalent.crash == "log -T | grep -iE 'mutex'"


async def test_a_link_on_the_survey_opens_the_record_and_back_returns(
    dashboard: KscopeApp,
) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        dashboard.open_link(await _last_report_link(dashboard))
        await settle(pilot)
        view = shown(dashboard)
        assert "Kernel panic" in plain(view.line_at(view.cursor, 200))
        await keys("q")(pilot)
        assert dashboard.current is not None
        assert dashboard.current.NAME == "Survey"


async def _last_report_link(app: KscopeApp) -> LogLink:
    log = await app.session.ask(LogQuery())
    return LogLink(log.records[log.reports[-1].first].seq)


def test_a_line_links_its_symbols_addresses_cpus_and_tasks() -> None:
    text = "CPU: 2 PID: 147 Comm: x RIP: 0010:mutex_lock+0x2f/0x40 task:ffff8b94182420c0"
    targets = [span.target for span in linked(text) if span.target is not None]
    assert targets == [
        CpuLink(2),
        TaskLink(147),
        SymbolLink("mutex_lock", 0x2F),
        AddressLink(0xFFFF8B94182420C0),  # type: ignore[arg-type]
    ]


@pytest.mark.parametrize("text", ["[red]", "[/0] x", "a [link=file:///etc/passwd]b[/link]"])
def test_markup_in_a_line_is_only_text(text: str) -> None:
    assert "".join(span.text for span in linked(text)) == text
