"""Keys that arrive together, as over SSH or when a text is pasted."""

import asyncio
from typing import ClassVar

import pytest
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Key
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import Input

from kscope.widgets import keys_in_turn
from kscope.widgets.keys_in_turn import KeysInTurn


class Commands(Widget, can_focus=True):
    """Every letter is a command."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("colon", "begin", "begin"),
        Binding("x", "leave", "leave"),
        Binding("p,s", "obey", "obey"),
    ]

    obeyed = 0

    def __init__(self) -> None:
        super().__init__()
        self.waited_for = asyncio.Event()

    def action_begin(self) -> None:
        self.app.query_one(Input).focus()

    async def action_leave(self) -> None:
        self.app.query_one(Input).focus()
        await self.remove()

    async def on_key(self, event: Key) -> None:
        if event.key == "w":
            await self.waited_for.wait()

    def action_obey(self) -> None:
        self.obeyed += 1


class Dashboard(KeysInTurn):
    def compose(self) -> ComposeResult:
        yield Commands()
        yield Input()


async def type_at_once(pilot: Pilot[str], text: str) -> None:
    for letter in text:
        name = "colon" if letter == ":" else letter
        pilot.app.post_message(Key(name, letter))
    for _ in range(20):
        await pilot.pause(0.05)


async def test_what_is_typed_behind_the_key_that_opens_a_prompt_is_typed_in_it() -> None:
    dashboard = Dashboard()
    async with dashboard.run_test() as pilot:
        commands = dashboard.query_one(Commands)
        commands.focus()
        await pilot.pause()
        await type_at_once(pilot, "p:psps")
        assert dashboard.query_one(Input).value == "psps"
        assert commands.obeyed == 1


async def test_a_key_that_removes_what_it_was_given_to_does_not_hold_up_the_next() -> None:
    dashboard = Dashboard()
    async with dashboard.run_test() as pilot:
        dashboard.query_one(Commands).focus()
        await pilot.pause()
        await type_at_once(pilot, "xps")
        assert dashboard.query_one(Input).value == "ps"


async def test_a_key_that_took_too_long_does_not_let_two_of_the_next_go_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dashboard = Dashboard()
    async with dashboard.run_test() as pilot:
        commands = dashboard.query_one(Commands)
        commands.focus()
        await pilot.pause()
        monkeypatch.setattr(keys_in_turn, "_LONGEST", 0.1)
        for name, letter in (("w", "w"), ("colon", ":"), ("p", "p")):
            dashboard.post_message(Key(name, letter))
        while not dashboard._waiting:
            await asyncio.sleep(0)
        monkeypatch.setattr(keys_in_turn, "_LONGEST", 60)
        while len(dashboard._waiting) == 2:
            await asyncio.sleep(0.01)
        commands.waited_for.set()
        for _ in range(10):
            await pilot.pause(0.05)
        assert dashboard.query_one(Input).value == "p"
        assert commands.obeyed == 0
