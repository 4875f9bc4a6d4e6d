"""Choosing among the dumps of this machine, before any is open."""

import contextlib
import datetime
import os
from pathlib import Path
from typing import ClassVar

from rich.cells import cell_len
from textual import events, on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType

from kscope.config import Config, ConfigError, load
from kscope.key_ids import keymap
from kscope.model.text import printable
from kscope.offers import Offer
from kscope.widgets import theme
from kscope.widgets.frame import Frame
from kscope.widgets.help import HelpOverlay
from kscope.widgets.line import Line, line
from kscope.widgets.line_view import LineView
from kscope.widgets.overlay import toggle
from kscope.widgets.pane import Pane
from kscope.widgets.signals import leave_on_signals
from kscope.widgets.text_view import TextView

_WHEN_CELLS = 14
_RECENT_DAYS = 180
"""Within these the time of day matters, before them the year: as ``ls -l`` has it."""


class OfferList(TextView):
    """The dumps, two lines each."""

    HELP_HEADING: ClassVar[str] = "In the list"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "open", id="chooser.open", tooltip="open this dump"),
    ]


class ChooserApp(App[str]):
    """A list of dumps; its result is the chosen one's path, or nothing."""

    ENABLE_COMMAND_PALETTE = False
    CSS = "Screen { background: $background; }"
    HELP_HEADING: ClassVar[str] = "Everywhere"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "help", "help", id="app.help"),
        Binding("q,escape", "leave", "leave", id="chooser.leave"),
        Binding("ctrl+q,ctrl+c", "quit", "leave", show=False, priority=True, id="app.quit"),
    ]

    def __init__(self, offers: list[Offer], config: Config) -> None:
        no_color = bool(os.environ.get("NO_COLOR"))
        super().__init__(ansi_color=True if no_color else None)
        self._offers = offers
        self.set_keymap(keymap(config.keys))
        self.animation_level = "none"
        for known in theme.THEMES:
            self.register_theme(known)
        self.theme = theme.suitable_theme(
            self.console.color_system, no_color=no_color, light=config.theme == "light"
        )

    def compose(self) -> ComposeResult:
        self._list = OfferList(id="chooser-list")
        with Frame(), Pane("Dumps on this machine, newest first"):
            yield self._list

    def on_load(self) -> None:
        """Before the terminal is taken: whatever ends this from then on gives it back."""
        leave_on_signals(self.action_leave)

    def on_mount(self) -> None:
        """Show the offers."""
        self.query_one(Frame).identity.show_identity("kscope", "which dump?")
        self._list.focus(scroll_visible=False)

    def on_resize(self, event: events.Resize) -> None:
        """Cut the paths to the new width: what tells them apart is at their ends."""
        # The pane's border and padding, and the list's own.
        cells = event.size.width - 4
        lines: list[Line] = []
        for offer in self._offers:
            lines += _lines(offer, cells)
        items = range(0, len(lines), 2)
        self._list.show_lines(lines, items=items, keep_place=bool(self._list.line_count()))

    @on(LineView.Chosen)
    def _chosen(self) -> None:
        self.exit(self._offers[self._list.item].path)

    def action_leave(self) -> None:
        """Open none."""
        self.exit("")

    async def action_help(self) -> None:
        """Every key that works here."""
        await toggle(self.screen, HelpOverlay(self.screen))


def _lines(offer: Offer, cells: int) -> tuple[Line, Line]:
    when = "" if offer.written_seconds is None else _when(offer.written_seconds)
    path = _end_of(printable(_short(offer.path)), cells - _WHEN_CELLS)
    note = ("  opened before", "accent") if offer.opened_before else ""
    return (
        line((when.ljust(_WHEN_CELLS), "dim"), (path, "strong")),
        line(" " * _WHEN_CELLS, (offer.what, "dim"), note),
    )


def _when(seconds: int) -> str:
    moment = datetime.datetime.fromtimestamp(seconds).astimezone()
    age = datetime.datetime.now().astimezone() - moment
    recent = abs(age) < datetime.timedelta(days=_RECENT_DAYS)
    return moment.strftime("%b %e %H:%M" if recent else "%b %e  %Y")


def _short(path: str) -> str:
    """The path as one would type it here."""
    for base, prefix in ((Path.cwd, ""), (Path.home, "~/")):
        with contextlib.suppress(ValueError, OSError):
            return f"{prefix}{Path(path).relative_to(base())}"
    return path


def _end_of(text: str, cells: int) -> str:
    if cell_len(text) <= cells:
        return text
    while cell_len(text) > cells - 1:
        text = text[1:]
    return f"…{text}"


def choose(offers: list[Offer], *, mouse: bool) -> str:
    """Let the reader choose; returns the path, empty when none was chosen."""
    try:
        config = load()
    except ConfigError:
        # The dashboard says so.
        config = Config()
    return ChooserApp(offers, config).run(mouse=mouse or config.mouse) or ""
