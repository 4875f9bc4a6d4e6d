"""The address bar, while the names that complete what is typed are still being read."""

import asyncio
from typing import Any, cast

from kscope.model.base import Query, QueryError
from kscope.model.expressions import Completion, CompletionQuery
from kscope.screens.address_bar import AddressBar
from kscope.session.client import Session
from tests.widgets.support import Stage, screen_text


class SlowNames:
    """A session that completes nothing before it is told to, and opens nothing."""

    def __init__(self) -> None:
        self.read = asyncio.Event()

    async def ask(self, query: Query[Any]) -> Completion:
        if isinstance(query, CompletionQuery):
            await self.read.wait()
            return Completion(candidates=(), total=0)
        raise QueryError("There is no symbol or type tskstruct.", "Near it: task_struct.")


async def test_names_that_come_late_do_not_hide_why_it_was_not_opened() -> None:
    session = SlowNames()
    opened: list[str] = []
    bar = AddressBar(cast(Session, session), lambda text, _: opened.append(text))
    app = Stage(bar)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause()
        await pilot.press(*"tskstruct", "enter")
        await pilot.pause()
        session.read.set()
        await pilot.pause(0.1)
        said = screen_text(app)
    assert "There is no symbol or type tskstruct." in said
    assert "Near it: task_struct." in said
    assert not opened
