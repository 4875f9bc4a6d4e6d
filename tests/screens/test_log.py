"""Screen 2, the log, on the bundled dump."""

import re
import time
from pathlib import Path
from typing import Any

import pytest

from kscope.app import KscopeApp
from kscope.model.log import FACILITIES, LogQuery
from kscope.screens.links import AddressLink, CpuLink, LogLink, SymbolLink, TaskLink
from kscope.screens.log import LogScreen, linked, on_one_line
from kscope.session.answering import answer
from kscope.target.target import Target
from kscope.widgets.line import plain
from kscope.widgets.text_view import TextView
from tests.screens.conftest import SIZES, dashboard_on, keys, painted, settle


def shown(app: KscopeApp) -> TextView:
    return app.query_one("#log-lines", TextView)


def lines(app: KscopeApp) -> list[str]:
    view = shown(app)
    return [plain(view.line_at(index, 200)) for index in range(view.line_count())]


def chips(app: KscopeApp) -> str:
    """What stands above the log."""
    return painted(app).split("\n")[2]


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
        traces = [line for line in found if "Call Trace:" in line]
        assert traces
        assert all(re.search(r"Call Trace:  \d+ lines folded$", line) for line in traces)
        assert not any("do_syscall_64+" in line or " RAX: " in line for line in found)


async def test_level_and_facility_filter_the_log_and_are_said_above_it(
    dashboard: KscopeApp, demo_target: Target
) -> None:
    log = answer(demo_target, LogQuery())
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("2", "v")(pilot)
        assert len(lines(dashboard)) == sum(record.level <= 4 for record in log.records)
        await keys("v")(pilot)
        assert len(lines(dashboard)) == sum(record.level <= 3 for record in log.records)
        assert "err and worse" in chips(dashboard)
        await keys("v", "u")(pilot)
        first = min(record.facility for record in log.records)
        assert len(lines(dashboard)) == sum(r.facility == first for r in log.records)
        assert f"facility {FACILITIES[first]}" in chips(dashboard)


async def test_the_time_is_since_boot_a_date_or_since_the_line_before(
    dashboard: KscopeApp, demo_target: Target
) -> None:
    log = answer(demo_target, LogQuery())
    assert log.boot_time_ns is not None
    stamps = [record.timestamp_ns for record in log.records]
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("2")(pilot)
        assert lines(dashboard)[-1].startswith(f"{stamps[-1] / 1e9:12.6f} ")
        await keys("t")(pilot)
        moment = time.gmtime((log.boot_time_ns + stamps[-1]) // 10**9)
        assert lines(dashboard)[-1].startswith(time.strftime("%b %d %H:%M:%S ", moment))
        await keys("t")(pilot)
        assert lines(dashboard)[-1].startswith(f"{(stamps[-1] - stamps[-2]) / 1e9:+12.6f} ")
        await keys("t")(pilot)
        assert lines(dashboard)[-1].startswith(f"{stamps[-1] / 1e9:12.6f} ")


async def test_a_line_longer_than_the_screen_is_scrolled_or_wrapped_on_demand(
    dashboard: KscopeApp,
) -> None:
    async with dashboard.run_test(size=(80, 24)) as pilot:
        await keys("2", "g")(pilot)
        assert "…" in painted(dashboard)
        assert "Debian 6.1" not in painted(dashboard)
        await keys("w")(pilot)
        assert "Debian 6.1" in painted(dashboard)
        await keys("w", *["l"] * 20)(pilot)
        assert "Debian 6.1" in painted(dashboard)


def test_tabs_and_lines_within_a_record_do_not_upset_the_screen() -> None:
    assert on_one_line("rcu:\tmax\nsecond") == "rcu:    max ⏎ second"


async def test_a_vmcore_dmesg_txt_without_its_dump_opens_in_the_log(
    demo_target: Target, tmp_path: Path
) -> None:
    log = answer(demo_target, LogQuery())
    file = tmp_path / "vmcore-dmesg.txt"
    file.write_text(
        "".join(f"[{r.timestamp_ns / 1e9:12.6f}] {r.text}\n" for r in log.records), "utf-8"
    )
    async with dashboard_on(file) as app, app.run_test(size=(120, 40)) as pilot:
        await keys("2")(pilot)
        assert len(lines(app)) >= len(log.records)
        reports = app.query_one("#log-reports", TextView)
        assert reports.line_count() == len(log.reports)
        await keys("E")(pilot)
        assert "Kernel panic" in plain(shown(app).line_at(shown(app).cursor, 200))


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
