"""The dashboard on the bundled dump through its real worker, and pictures that do not flicker."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_textual_snapshot
from textual.pilot import Pilot
from textual.widgets import Input

from kscope.app import KscopeApp
from kscope.model.target import OpenQuery
from kscope.session.client import Session
from kscope.session.process import WorkerProcess

REPOSITORY = Path(__file__).parent.parent.parent

SIZES = [pytest.param((80, 24), id="80x24"), pytest.param((120, 40), id="120x40")]
"""What an old terminal has, and what a window on a laptop has."""


class _Snapshots(pytest_textual_snapshot.SVGImageExtension):  # type: ignore[misc]
    """Keep pictures under ``snapshots/``, by the test module's path."""

    @classmethod
    def dirname(cls, *, test_location: Any) -> str:
        module = Path(test_location.filepath).relative_to(REPOSITORY / "tests")
        return str(REPOSITORY / "snapshots" / module.with_suffix(""))


pytest_textual_snapshot.SVGImageExtension = _Snapshots


@pytest.fixture(autouse=True)
def unmoving(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing on screen that depends on the machine or the moment."""
    monkeypatch.setattr(Input.cursor_blink, "_default", False)
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")


@asynccontextmanager
async def dashboard_on(path: Path, *, fresh: bool = False) -> AsyncIterator[KscopeApp]:
    """The dashboard on that dump or log, not yet running; its worker ends with the block."""
    session = Session(WorkerProcess(OpenQuery(path=str(path))))
    try:
        yield KscopeApp(session, fresh=fresh)
    finally:
        session.kill()


@pytest.fixture
async def dashboard(demo: Path) -> AsyncIterator[KscopeApp]:
    """The dashboard on the bundled dump, not yet running."""
    async with dashboard_on(demo) as app:
        yield app


async def settle(pilot: Pilot[Any]) -> None:
    """Wait until every question is answered and painted; a pause alone does not wait for the
    worker process."""
    app = pilot.app
    assert isinstance(app, KscopeApp)
    for _ in range(3):
        await app.session.idle()
        await app.workers.wait_for_complete()
        await pilot.pause()


def painted(app: KscopeApp) -> str:
    """The text of the whole screen."""
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text for strip in strips)


def keys(*pressed: str) -> Callable[[Pilot[Any]], Awaitable[None]]:
    """A ``run_before`` for a picture: press keys, each after everything has settled."""

    async def run(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        for key in pressed:
            await pilot.press(key)
            await settle(pilot)

    return run
