"""``ctrl+p``: find an action by typing part of what it does.

The actions are those of the active bindings, plus whatever else the app offers: screens without
a key here, saved commands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.fuzzy import Matcher
from textual.screen import Screen
from textual.widgets import Input

from kscope.widgets.keys import KeyHelp, active_keys, heading
from kscope.widgets.line_view import LineView
from kscope.widgets.overlay import Overlay
from kscope.widgets.prompt import Prompt
from kscope.widgets.states import Empty
from kscope.widgets.table import Column, VirtualTable


@dataclass(frozen=True)
class Entry:
    """One thing that can be done."""

    title: str
    where: str
    """Where it belongs: "In a list", "Screens", "Saved commands"."""
    run: Callable[[], object]
    keys: str = ""


def entries_of(screen: Screen[object]) -> list[Entry]:
    """The actions of the active bindings."""
    return [_entry(screen, key) for key in active_keys(screen) if key.enabled]


def _entry(screen: Screen[object], key: KeyHelp) -> Entry:
    async def run() -> None:
        await screen.app.run_action(key.binding.action, key.node)

    return Entry(
        key.binding.tooltip or key.what,
        heading(key.node),
        lambda: screen.app.call_later(run),
        key.keys,
    )


class Palette(Overlay):
    """Type, choose, done."""

    DEFAULT_CSS = """
    Palette Prompt { height: 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+p", "close_overlay", "close", show=False, id="palette.close"),
    ]

    WANTED: ClassVar[tuple[int, int]] = (76, 20)

    def __init__(self, screen: Screen[object], more: Iterable[Entry] = ()) -> None:
        """:param more: what can be done beyond the keys of ``screen``."""
        super().__init__("Do", subtitle="enter does it · esc closes")
        self._entries: Sequence[Entry] = (*entries_of(screen), *more)
        self._table = VirtualTable(
            Column[Entry]("", lambda entry: entry.title),
            Column[Entry]("", lambda entry: entry.keys, width=12, right=True, role="accent"),
            Column[Entry]("", lambda entry: entry.where, width=18, role="dim"),
        )
        self._table.can_focus = False
        self._prompt = Prompt(">", self._table)

    def compose(self) -> ComposeResult:
        self.compose_add_child(self._prompt)
        self.compose_add_child(self._table)
        yield from super().compose()

    def on_mount(self) -> None:
        super().on_mount()
        self._table.show_rows(self._entries)
        self._prompt.begin()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        found = self._entries
        if event.value:
            matcher = Matcher(event.value)
            scored = [(matcher.match(f"{e.title} {e.where}"), e) for e in self._entries]
            scored.sort(key=lambda pair: -pair[0])
            found = [entry for score, entry in scored if score > 0]
        self._table.show_rows(found, empty=Empty("nothing is called that"))
        self._table.move_to(0)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._do()

    def on_line_view_chosen(self, message: LineView.Chosen) -> None:
        message.stop()
        self._do()

    def _do(self) -> None:
        entry = self._table.cursor_row
        if entry is not None:
            self.close()
            entry.run()
