"""The report screen on the bundled dump."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from kscope.app import KscopeApp
from kscope.dialect.crash.interpreter import Output
from kscope.report import storage
from kscope.report.notebook import TRIMMED, Block, Notebook, Step
from kscope.screens.report import ReportScreen
from kscope.widgets.line import plain
from kscope.widgets.text_view import TextView
from tests.screens.conftest import SIZES, dashboard_on, keys, settle

WRITTEN = Notebook(
    blocks=(
        Block(
            id="a",
            question="Who is blocked?\nThe panic says that somebody was for more than ten seconds.",
            steps=(
                Step(
                    command="ps -m | grep UN",
                    output="\n".join(f"[0 00:00:3{n}.918] [UN]  PID: 17{n}" for n in range(6)),
                    answered_by="kscope",
                    trims=((1, 3),),
                ),
            ),
            relevant="`scan/2` waits for the rwsem that **rotator** wants.",
        ),
        Block(
            id="b",
            question="What does rotator wait for?",
            steps=(Step(command="bt 167"),),
        ),
    )
)


def view(app: KscopeApp) -> TextView:
    return app.query_one("#report-view", TextView)


def lines(app: KscopeApp) -> list[str]:
    return [
        plain(view(app).line_at(index, 200)).rstrip() for index in range(view(app).line_count())
    ]


def blocks(app: KscopeApp) -> list[Block]:
    return list(app.reports.notebook.blocks)


def said(app: KscopeApp) -> str:
    return plain(app.frame.equivalent.spans(300))


def to(app: KscopeApp, text: str) -> None:
    view(app).move_to(next(i for i, line in enumerate(lines(app)) if text in line))


async def opened(app: KscopeApp, pilot: Any, notebook: Notebook = WRITTEN) -> ReportScreen:
    await keys("9")(pilot)
    for block in notebook.blocks:
        app.reports.add(block)
    await settle(pilot)
    screen = app.current
    assert isinstance(screen, ReportScreen)
    return screen


@pytest.mark.parametrize("size", SIZES)
def test_picture_of_a_report(
    snap_compare: Any, dashboard: KscopeApp, size: tuple[int, int]
) -> None:
    async def run(pilot: Any) -> None:
        await opened(dashboard, pilot)
        await dashboard.reports.save()
        await keys("g", "e")(pilot)

    assert snap_compare(dashboard, run_before=run, terminal_size=size)


async def test_a_adds_what_a_pane_shows_with_its_command(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("2", "slash")(pilot)
        await pilot.press(*"mutex")
        await keys("enter", "a")(pilot)
        (block,) = blocks(dashboard)
        assert block.steps[0].command == "log | grep -iE 'mutex'"
        assert all("mutex" in each.lower() for each in block.steps[0].lines)
        assert "added to the report as 1" in said(dashboard)


async def test_a_finding_becomes_a_draft_whose_commands_r_runs(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("1", "a", "9")(pilot)
        (block,) = blocks(dashboard)
        assert "Deadlock" in block.heading
        assert not any(step.output for step in block.steps)
        await keys("r")(pilot)
        (block,) = blocks(dashboard)
        assert all(step.output for step in block.steps)
        assert block.steps[0].output.startswith("PID: 162 ")


async def test_r_while_a_command_runs_does_not_run_it_again(
    dashboard: KscopeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    go_on = asyncio.Event()

    async def slowly(line: str) -> Output:
        ran.append(line)
        await go_on.wait()
        return Output(line=line, text="done", answered_by="kscope")

    async with dashboard.run_test(size=(120, 40)) as pilot:
        step = Step(command="ps")
        await opened(dashboard, pilot, Notebook(blocks=(Block(id="a", steps=(step,)),)))
        monkeypatch.setattr(dashboard.commands.interpreter, "run", slowly)
        await pilot.press("r", "r")
        await pilot.pause()
        assert ran == ["ps"]
        go_on.set()
        await settle(pilot)
        assert blocks(dashboard)[0].steps[0].output == "done"


async def test_commentary_is_written_in_its_place_and_undone(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened(dashboard, pilot)
        to(dashboard, "what is relevant")
        await keys("e")(pilot)
        await pilot.press(*"locks", "enter", *"all", "escape")
        await settle(pilot)
        assert blocks(dashboard)[1].relevant == "locks\nall"
        assert "locks" in lines(dashboard)
        await pilot.press(*"uuuuuuuuu")
        await settle(pilot)
        assert blocks(dashboard)[1].relevant == ""


async def test_a_new_block_begins_with_its_question(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("9", "b")(pilot)
        await pilot.press(*"why", "escape")
        await settle(pilot)
        assert [block.question for block in blocks(dashboard)] == ["why"]


async def test_blocks_move_fold_and_are_deleted_with_undo(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened(dashboard, pilot)
        await keys("g", "J")(pilot)
        assert [block.id for block in blocks(dashboard)] == ["b", "a"]
        await keys("space")(pilot)
        assert blocks(dashboard)[1].folded
        assert not any("PID: 170" in line for line in lines(dashboard))
        await keys("d")(pilot)
        assert [block.id for block in blocks(dashboard)] == ["b"]
        await keys("u", "u", "u")(pilot)
        assert [block.id for block in blocks(dashboard)] == ["a", "b"]
        assert not blocks(dashboard)[0].folded


async def test_lines_are_trimmed_between_mark_and_cursor_and_come_back(
    dashboard: KscopeApp,
) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened(dashboard, pilot)
        to(dashboard, "PID: 174")
        await keys("m", "j", "t")(pilot)
        assert blocks(dashboard)[0].steps[0].trims == ((1, 5),)
        to(dashboard, TRIMMED)
        await keys("t")(pilot)
        assert blocks(dashboard)[0].steps[0].trims == ()


async def test_the_report_comes_back_under_another_path(
    dashboard: KscopeApp, demo: Path, tmp_path: Path
) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened(dashboard, pilot)
    copy = tmp_path / "copy"
    copy.write_bytes(demo.read_bytes())
    async with dashboard_on(copy) as again, again.run_test(size=(120, 40)) as pilot:
        await keys("9")(pilot)
        await settle(pilot)  # which dump it is has to be found out first
        assert [block.id for block in blocks(again)] == ["a", "b"]
        assert str(demo) in again.reports.said


async def test_a_full_disk_is_said_and_leaving_takes_two_presses(
    dashboard: KscopeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage, "replace_file", full)
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("9", "b", *"why", "escape")(pilot)
        assert not await dashboard.reports.save()
        assert "No space left" in dashboard.reports.problem
        await keys("ctrl+q")(pilot)
        assert dashboard.is_running
        assert "once more leaves without it" in said(dashboard)
        monkeypatch.undo()
        assert await dashboard.reports.save()
        assert not dashboard.reports.problem


async def test_a_report_is_exported_and_no_file_is_replaced(
    dashboard: KscopeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened(dashboard, pilot)
        await keys("x", "x", "X", "z", "x")(pilot)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "report.md", "vmcore-report-2.md", "vmcore-report.md", "vmcore-report.txt",
    ]  # fmt: skip
    text = (tmp_path / "vmcore-report.md").read_text()
    assert "~~~\ncrash> ps -m | grep UN\n[0 00:00:30.918] [UN]  PID: 170\n..... (trim)\n" in text
    assert "- Host: stor-3\n" in text
    without = (tmp_path / "report.md").read_text()
    assert "stor-3" not in without
    assert "**rotator**" not in without
