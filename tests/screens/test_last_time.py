"""What was open when a dump was left is open again the next time."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from platformdirs import user_state_path
from textual.pilot import Pilot

from kscope.app import KscopeApp
from kscope.model.fingerprint import Fingerprint
from kscope.model.log import LogQuery
from kscope.model.target import OpenQuery
from kscope.model.tasks import TasksQuery
from kscope.screens.log import LogScreen
from kscope.screens.remembered import LastTime, keep_last_time, last_time
from kscope.screens.survey import SurveyScreen
from kscope.session.client import Session
from kscope.session.process import WorkerProcess
from kscope.widgets.line import plain
from kscope.widgets.text_view import TextView
from tests.screens.conftest import keys, settle


@asynccontextmanager
async def opened(dump: Path, *pressed: str, fresh: bool = False) -> AsyncIterator[Pilot[Any]]:
    """The dashboard on ``dump``, after those keys."""
    session = Session(WorkerProcess(OpenQuery(path=str(dump))))
    try:
        app = KscopeApp(session, fresh=fresh)
        async with app.run_test(size=(120, 40)) as pilot:
            await keys(*pressed)(pilot)
            yield pilot
    finally:
        session.kill()


async def leave(dump: Path, *pressed: str) -> None:
    """Open it, press those keys, and leave."""
    async with opened(dump, *pressed, "ctrl+c"):
        pass


def screen(pilot: Pilot[Any]) -> Any:
    assert isinstance(pilot.app, KscopeApp)
    return pilot.app.current


def text_under_cursor(pilot: Pilot[Any], view: str) -> str:
    found = pilot.app.query_one(view, TextView)
    return plain(found.line_at(found.cursor, 200))


def files() -> list[Path]:
    return list((user_state_path("kscope", appauthor=False) / "dumps").iterdir())


async def test_the_log_comes_back_with_its_filters_its_time_and_its_record(demo: Path) -> None:
    pressed = ("2", "v", "t", "f", "slash", *"blocked", "enter", "up")
    async with opened(demo, *pressed) as pilot:
        left = text_under_cursor(pilot, "#log-lines")
        await pilot.press("ctrl+c")
    async with opened(demo) as pilot:
        assert isinstance(screen(pilot), LogScreen)
        assert screen(pilot).query_in_focus() == LogQuery(
            level="warning", match="blocked", human_time=True
        )
        assert text_under_cursor(pilot, "#log-lines") == left
        assert "blocked" in left


async def test_a_screen_that_is_not_the_last_one_is_as_it_was_left_too(demo: Path) -> None:
    await leave(demo, "2", "v", "1")
    async with opened(demo) as pilot:
        assert isinstance(screen(pilot), SurveyScreen)
        await keys("2")(pilot)
        assert screen(pilot).query_in_focus().level == "warning"


async def test_what_was_kept_of_a_screen_outlives_a_visit_without_it(demo: Path) -> None:
    await leave(demo, "2", "v", "1")
    await leave(demo)
    async with opened(demo, "2") as pilot:
        assert screen(pilot).query_in_focus().level == "warning"


async def test_the_survey_comes_back_to_its_finding(demo: Path) -> None:
    async with opened(demo, "down", "down") as pilot:
        left = text_under_cursor(pilot, "#survey-findings")
        await pilot.press("ctrl+c")
    async with opened(demo) as pilot:
        assert text_under_cursor(pilot, "#survey-findings") == left


async def test_the_tasks_come_back_with_filters_order_task_and_tab(demo: Path) -> None:
    pressed = (
        "3",
        "v",
        "S",
        "slash",
        *"storlab|d",
        "enter",
        "down",
        "down",
        "right_square_bracket",
    )
    async with opened(demo, *pressed) as pilot:
        left = screen(pilot).remembered()
        await pilot.press("ctrl+c")
    assert left.query != TasksQuery()
    assert left.task is not None
    assert left.tab == "identity"
    async with opened(demo) as pilot:
        assert screen(pilot).remembered() == left


async def test_the_cpus_come_back_with_filter_order_pane_and_cpu(demo: Path) -> None:
    async with opened(demo, "4", "f", "s", "s", "t", "down") as pilot:
        left = screen(pilot).remembered()
        await pilot.press("ctrl+c")
    assert (left.state, left.pane) == ("busy", "timers")
    assert left.cpu is not None
    async with opened(demo) as pilot:
        assert screen(pilot).remembered() == left


async def test_the_locks_come_back_with_filter_line_and_lock(demo: Path) -> None:
    pressed = ("6", "slash", *"storlab", "enter", "down", "down", "tab", "down")
    async with opened(demo, *pressed) as pilot:
        left = screen(pilot).remembered()
        await pilot.press("ctrl+c")
    assert left.match == "storlab"
    assert left.line == 2
    async with opened(demo) as pilot:
        assert screen(pilot).remembered() == left


async def test_inspect_comes_back_with_its_place_what_was_open_and_the_way_back(
    demo: Path,
) -> None:
    typed = ("5", "o", "ctrl+u", *"init_task.tasks", "enter")
    async with opened(demo, *typed, "down", "enter", "i") as pilot:
        left = screen(pilot).remembered()
        await pilot.press("ctrl+c")
    assert len(left.way_here) > 2
    assert left.way_here[-1].face == "address"
    async with opened(demo) as pilot:
        assert screen(pilot).remembered() == left
        await keys("q", "q")(pilot)
        assert len(screen(pilot).remembered().way_here) < len(left.way_here)


async def test_a_walk_comes_back(demo: Path) -> None:
    async with opened(demo, "5", "o", "ctrl+u", *"init_task.tasks", "enter") as pilot:
        await keys("l")(pilot)
        left = screen(pilot).remembered()
        assert left.way_here[-1].walk is not None
        await pilot.press("ctrl+c")
    async with opened(demo) as pilot:
        assert screen(pilot).remembered() == left


async def test_a_dump_is_known_again_under_another_path(demo: Path, tmp_path: Path) -> None:
    await leave(demo, "2")
    moved = tmp_path / "moved"
    shutil.copy(demo, moved)
    async with opened(moved) as pilot:
        assert isinstance(screen(pilot), LogScreen)


async def test_fresh_begins_with_the_survey(demo: Path) -> None:
    await leave(demo, "2", "v")
    async with opened(demo, fresh=True) as pilot:
        assert isinstance(screen(pilot), SurveyScreen)
        await keys("2")(pilot)
        assert screen(pilot).query_in_focus() == LogQuery()


async def test_a_reader_who_is_faster_is_not_taken_elsewhere(demo: Path) -> None:
    await leave(demo, "2")
    session = Session(WorkerProcess(OpenQuery(path=str(demo))))
    async with KscopeApp(session).run_test(size=(120, 40)) as pilot:
        await pilot.press("down")
        await settle(pilot)
        assert isinstance(screen(pilot), SurveyScreen)


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"screen": "log", "screens": {"log": {"query": {"level": 7}}}}',
        b'{"screen": "log", "screens": {"log": {"query": {"level": "no", "match": "("}}}}',
        b'{"screen": "tasks", "screens": {"tasks": {"query": {"sort": "no", "state": "XX"}}}}',
        b'{"screen": "nowhere", "screens": {"log": {"seq": 99999999, "stamp": "moon"}}}',
    ],
    ids=[
        "empty",
        "not text",
        "too deep",
        "another type",
        "unknown values",
        "unknown order",
        "unknown places",
    ],
)
async def test_a_damaged_file_does_no_harm(demo: Path, damage: bytes) -> None:
    await leave(demo, "2")
    for file in files():
        file.write_bytes(damage)
    async with opened(demo, "2") as pilot:
        assert isinstance(screen(pilot), LogScreen)
        assert screen(pilot).query_in_focus().level == ""
        assert pilot.app.query_one("#log-lines", TextView).line_count()


async def test_a_directory_that_cannot_be_written_to_does_no_harm(
    demo: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    async with opened(demo, "ctrl+c") as pilot:
        assert pilot.app.return_code == 0


def test_only_the_dumps_left_last_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kscope.screens.remembered._MOST_DUMPS", 2)
    dumps = [Fingerprint(build_id="ab", content=str(number)) for number in range(3)]
    for dump in dumps:
        keep_last_time(dump, LastTime(screen="log", screens={"log": msgspec.Raw(b"{}")}))
    assert [last_time(dump).screen for dump in dumps] == ["", "log", "log"]
