"""The Inspect screen on a dump whose tasks have names that are meant to do harm."""

import unicodedata
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from kscope.app import KscopeApp
from kscope.model.text import printable
from kscope.screens.inspect import InspectScreen
from kscope.widgets.line import plain
from tests.lab.catalogue import find
from tests.on_lab.opening import SERIES
from tests.screens.conftest import dashboard_on, keys, painted, settle

pytestmark = pytest.mark.lab

_HARMFUL = b"\x1b\n\r\t[]%\x9b\xe2\xff"


class Hostile(NamedTuple):
    """A dashboard, and the tasks whose names it must not take at their word."""

    app: KscopeApp
    names: dict[int, str]
    """As they are to be shown, by PID."""


@pytest.fixture(params=SERIES)
async def hostile(request: pytest.FixtureRequest) -> AsyncIterator[Hostile]:
    dump = find("deadlock", request.param)
    names = {task["pid"]: bytes.fromhex(task["comm_hex"]) for task in dump.manifest["tasks"]}
    harmful = {pid: printable(name) for pid, name in names.items() if set(name) & set(_HARMFUL)}
    async with dashboard_on(dump.vmcore) as app:
        yield Hostile(app, harmful)


async def test_names_that_are_meant_to_do_harm_are_text_on_every_face(hostile: Hostile) -> None:
    assert {"\\x1b[31mred", "[red]", "two\\x0alines"} <= set(hostile.names.values())
    async with hostile.app.run_test(size=(120, 40)) as pilot:
        await keys("5")(pilot)
        screen = hostile.app.query_one(InspectScreen)
        for pid, name in hostile.names.items():
            # The object, its memory, what it is, who points at it.
            for text, pressed in ((f"pid {pid}.comm", "m"), (f"pid {pid}", "xiFm")):
                screen._open_text(text)
                await settle(pilot)
                for key in pressed:
                    await pilot.press(key)
                    await settle(pilot)
                    seen = painted(hostile.app)
                    controls = {c for c in seen if unicodedata.category(c) in ("Cc", "Cf", "Cs")}
                    assert controls <= {"\n"}, (text, key)
                    if key in "i" or text.endswith("comm"):
                        assert name in seen, (text, key)
        screen._open_text("init_task.tasks")
        await keys("l")(pilot)
        view = screen._pane.current
        rows = [plain(view.line_at(i, 120)) for i in range(view.line_count())]
        assert all(any(name[:20] in row for row in rows) for name in hostile.names.values())
