"""The crash command line on the bundled dump."""

import asyncio
import gc
import time
from typing import Any

import pytest
from textual.pilot import Pilot

from kscope.app import KscopeApp
from kscope.collector import keep_pauses_short
from kscope.model.base import Address, Progress, Query
from kscope.screens.command import CommandInput, CommandScreen
from kscope.screens.links import AddressLink, CpuLink, SymbolLink, TaskLink
from kscope.screens.output_lines import linked_output
from kscope.widgets.line import plain
from kscope.widgets.text_view import TextView
from tests.screens.conftest import SIZES, keys, settle

COLLECTOR = gc.get_threshold()


async def run(pilot: Pilot[Any], *lines: str) -> None:
    """Run lines at the command line."""
    for text in lines:
        await keys("colon")(pilot)
        pilot.app.query_one(CommandInput).show(text)
        await keys("enter")(pilot)


def screen(app: KscopeApp) -> CommandScreen:
    found = app.current
    assert isinstance(found, CommandScreen)
    return found


def output(app: KscopeApp) -> list[str]:
    view = app.query_one("#command-output", TextView)
    return [plain(view.line_at(index, 200)) for index in range(view.line_count())]


def line(app: KscopeApp) -> str:
    return app.query_one(CommandInput).value


@pytest.mark.parametrize("size", SIZES)
def test_picture_of_an_answered_command(
    snap_compare: Any, dashboard: KscopeApp, size: tuple[int, int]
) -> None:
    async def before(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        await run(pilot, "foreach UN bt | grep -A3 PID")
        await keys("escape", "j")(pilot)

    assert snap_compare(dashboard, run_before=before, terminal_size=size)


def test_picture_of_completing_a_command(snap_compare: Any, dashboard: KscopeApp) -> None:
    async def before(pilot: Pilot[Any]) -> None:
        await keys("colon")(pilot)
        pilot.app.query_one(CommandInput).show("struct task_st")
        await keys("tab", "tab")(pilot)

    assert snap_compare(dashboard, run_before=before, terminal_size=(80, 24))


async def test_a_line_runs_and_its_output_is_shown_filtered_and_gone_back_to(
    dashboard: KscopeApp,
) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await run(pilot, "ps 161")
        assert output(dashboard)[-1].endswith("rtowner")
        await run(pilot, "ps 162")
        await keys("escape", "slash")(pilot)
        await pilot.press(*"rotated")
        await keys("enter")(pilot)
        assert [text.split()[-1] for text in output(dashboard)] == ["logrotated"]
        await keys("left_square_bracket")(pilot)
        assert output(dashboard)[-1].endswith("rtowner")


async def test_the_arrows_go_through_what_was_typed(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await run(pilot, "p 1", "p 2")
        await keys("x", "up", "up")(pilot)
        assert line(dashboard) == "p 1"
        await keys("down", "down")(pilot)
        assert line(dashboard) == "x"


async def test_tab_completes_commands_options_symbols_and_members(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("colon", *"fore", "tab")(pilot)
        assert line(dashboard) == "foreach "
        dashboard.query_one(CommandInput).show("p init_task.static_p")
        await keys("tab")(pilot)
        assert line(dashboard) == "p init_task.static_prio"
        dashboard.query_one(CommandInput).show("runq -")
        await keys("tab", "tab")(pilot)
        assert line(dashboard) == "runq -t"


async def test_y_copies_the_line_and_the_code_runs_it_in_drgn(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await run(pilot, "mod")
        shown = screen(dashboard).equivalent()
        assert shown is not None
        assert shown.crash == "mod"
        assert "run_command(prog, 'crash mod')" in shown.drgn


async def test_a_failure_is_shown_in_its_own_words(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await run(pilot, "nosuch")
        assert output(dashboard) == ["crash: command not found: nosuch"]


async def test_a_command_that_runs_is_cancelled(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("colon")(pilot)
        dashboard.query_one(CommandInput).show("! sleep 60")
        await pilot.press("enter")
        for _ in range(100):
            await asyncio.sleep(0.02)
            if dashboard.commands.is_running:
                break
        await pilot.press("escape")
        await settle(pilot)
        assert not dashboard.commands.is_running
        assert "cancelled" in str(dashboard.query_one("#command-output", TextView).state)


async def test_what_is_read_behind_a_command_does_not_take_its_output_away(
    dashboard: KscopeApp,
) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await run(pilot, "sys")
        interpreter, shown = dashboard.commands.interpreter, output(dashboard)
        asked = interpreter._asker

        async def ask(query: Query[Any], progress: Any = None) -> Any:
            if progress is not None:
                progress(Progress(1, 2, "reading tasks"))
            return await asked(query, progress)

        interpreter._asker = ask
        await interpreter.tasks()
        assert screen(dashboard)._view.state is None
        assert output(dashboard) == shown


async def test_q_goes_back_to_where_the_reader_came_from(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("2", "colon", "q", "enter")(pilot)
        assert dashboard.current is not None
        assert dashboard.current.NAME == "Log"


async def test_the_way_back_leads_through_an_output_and_on(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await run(pilot, "ps 161")
        await keys("escape", "9", "q")(pilot)
        assert screen(dashboard).query_one(TextView).has_focus
        await keys("q")(pilot)
        assert line(dashboard) == ""
        assert not isinstance(dashboard.current, CommandScreen)


async def test_the_selected_task_becomes_the_context_on_request(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        dashboard.open_link(TaskLink(161))
        await settle(pilot)
        await keys("at")(pilot)
        context = await dashboard.commands.context()
        assert context.comm == "rtowner"
        assert "set 161" in plain(dashboard.frame.identity.spans(400))


def test_an_output_links_tasks_cpus_functions_and_addresses() -> None:
    row = ">       1       0   3  ffff8a7501204180  IN   0.3     2260     1828  init"
    task = Address(0xFFFF8A7501204180)
    assert targets(row) == [
        TaskLink(1, task), TaskLink(0), CpuLink(3), AddressLink(task, "struct task_struct"),
    ]  # fmt: skip
    frame = " #1 [ffffd25c8045f9a0] schedule+90 at ffffffffa8a1154a"
    assert targets(frame)[1] == SymbolLink("schedule")
    assert targets("0xffffffffa8a114f5 <schedule+5>:	push") == [
        AddressLink(Address(0xFFFFFFFFA8A114F5)), SymbolLink("schedule", 5),
    ]  # fmt: skip


def targets(text: str) -> list[object]:
    return [span.target for span in linked_output(text) if span.target is not None]


@pytest.mark.parametrize("text", ["[red]", "[/0] x", "PID: ", "\x1b]52;c;x\x07", ""])
def test_what_is_no_link_is_text(text: str) -> None:
    assert "".join(span.text for span in linked_output(text)) == text


@pytest.mark.alone
@pytest.mark.parametrize("text", ["sym -l", "foreach bt -f"])
async def test_keys_are_answered_within_a_tenth_of_a_second_while_a_long_output_comes(
    dashboard: KscopeApp, text: str
) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("colon")(pilot)
        screen(dashboard).run_line(text)
        commands, typed = dashboard.commands, dashboard.query_one(CommandInput)
        keep_pauses_short()
        seconds: list[float] = []
        try:
            await asyncio.sleep(0)
            while not commands.outputs:
                before, pressed = len(typed.value), time.monotonic()
                dashboard.simulate_key("x")
                while len(typed.value) == before and time.monotonic() - pressed < 5:
                    await asyncio.sleep(0.001)
                seconds.append(time.monotonic() - pressed)
                await asyncio.sleep(0.01)
        finally:
            gc.unfreeze()
            gc.set_threshold(*COLLECTOR)
        assert commands.outputs[-1].text.count("\n") > 4_000
        assert len(seconds) > 5
        assert max(seconds) < 0.1
