"""What was open when a dump was left is open again the next time."""

import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from platformdirs import user_state_path
from textual.pilot import Pilot

from kscope.app import KscopeApp
from kscope.model.fingerprint import Fingerprint, FingerprintQuery
from kscope.model.log import LogQuery
from kscope.screens.log import LogScreen
from kscope.screens.remembered import LastTime, keep_last_time, last_time
from kscope.screens.survey import SurveyScreen
from kscope.session.answering import answer
from kscope.target.target import Target
from kscope.widgets.line import plain
from kscope.widgets.line_view import LineView
from kscope.widgets.text_view import TextView
from tests.screens.conftest import dashboard_on, keys, settle


@asynccontextmanager
async def opened(dump: Path, *pressed: str, fresh: bool = False) -> AsyncIterator[Pilot[Any]]:
    """The dashboard on ``dump``, after those keys, once it has answered."""
    async with dashboard_on(dump, fresh=fresh) as app, app.run_test(size=(120, 40)) as pilot:
        await keys(*pressed)(pilot)
        yield pilot


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
    pressed = ("v", "t", "f", "slash", *"blocked", "enter", "up")
    async with opened(demo, "2") as pilot:
        await pilot.press(*pressed)
        await settle(pilot)
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


ON_EACH_SCREEN = {
    "3": ("F", "t", "slash", *"storlab|d", "enter", "down", "down", "right_square_bracket"),
    "4": ("f", "s", "s", "t", "down"),
    "6": ("slash", *"storlab", "enter", "down", "down", "tab", "down"),
    "5": ("o", "ctrl+u", *"init_task.tasks", "enter"),
}


async def test_each_screen_comes_back_with_its_query_and_what_was_selected(demo: Path) -> None:
    left = {}
    async with opened(demo) as pilot:
        for digit, pressed in ON_EACH_SCREEN.items():
            await keys(digit)(pilot)
            await pilot.press(*pressed)
            await settle(pilot)
            if digit == "5":
                await keys("l")(pilot)
            left[digit] = screen(pilot).remembered()
        await pilot.press("ctrl+c")
    assert (left["3"].query.sort, left["3"].query.match) == ("time", "storlab|d")
    assert (left["3"].task is not None, left["3"].tab) == (True, "identity")
    assert (left["4"].cpu is not None, left["4"].state, left["4"].pane) == (True, "busy", "timers")
    assert (left["6"].match, left["6"].line) == ("storlab", 2)
    assert left["5"].way_here[-1].walk is not None
    async with opened(demo) as pilot:
        assert screen(pilot).NAME == "Inspect"
        for digit in ON_EACH_SCREEN:
            await keys(digit)(pilot)
            assert screen(pilot).remembered() == left[digit]
        await keys("5", "q")(pilot)
        assert len(screen(pilot).remembered().way_here) < len(left["5"].way_here)


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
    async with dashboard_on(demo) as app:
        worker = app.session.worker_process_id
        os.kill(worker, signal.SIGSTOP)
        async with app.run_test(size=(120, 40)) as pilot:
            await pilot.press("down")
            os.kill(worker, signal.SIGCONT)
            await settle(pilot)
            assert isinstance(screen(pilot), SurveyScreen)


@pytest.mark.parametrize(
    "damage",
    [b"", b"\xff\xfe\x00", b"[" * 100_000, b"[]", b'{"screen": 7}'],
    ids=["empty", "no text", "too deep", "another type", "another member"],
)
def test_a_file_that_is_damaged_counts_as_none(damage: bytes) -> None:
    dump = Fingerprint(build_id="ab", content="cd")
    keep_last_time(dump, LastTime(screen="log"))
    (file,) = files()
    file.write_bytes(damage)
    assert last_time(dump) == LastTime()


async def test_what_no_screen_knows_does_no_harm(demo: Path, demo_target: Target) -> None:
    kept = {
        "log": {"query": {"level": "no", "match": "("}, "stamp": "moon", "seq": 99_999_999},
        "tasks": {"query": {"sort": "no", "state": "XX"}, "tab": "no", "task": "0x1"},
        "cpus": {"cpu": 4711, "pane": "no", "state": "no", "sort": "no"},
        "locks": {"line": 4711, "lock": "0x1"},
        "survey": {"finding": 7},
        "nowhere": {},
    }
    raw = {name: msgspec.Raw(msgspec.json.encode(each)) for name, each in kept.items()}
    fingerprint = answer(demo_target, FingerprintQuery())
    keep_last_time(fingerprint, LastTime(screen="nowhere", screens=raw))
    async with opened(demo) as pilot:
        assert isinstance(screen(pilot), SurveyScreen)
        for digit, view in (("2", "#log-lines"), ("3", "#tasks-list"), ("6", "#locks-list")):
            await keys(digit)(pilot)
            assert pilot.app.query_one(view, LineView).line_count()
        await keys("4")(pilot)
        assert screen(pilot).remembered().pane == "backtrace"


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
