"""Choosing among the dumps of this machine, before any is open."""

import os
from typing import ClassVar

from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType

from kscope.model.text import printable
from kscope.offers import Offer
from kscope.widgets import theme
from kscope.widgets.frame import Frame
from kscope.widgets.line_view import LineView
from kscope.widgets.pane import Pane
from kscope.widgets.table import Column, VirtualTable


class ChooserApp(App[str]):
    """A list of dumps; its result is the chosen one's path, or nothing."""

    ENABLE_COMMAND_PALETTE = False
    CSS = "Screen { background: $background; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "open", id="chooser.open"),
        Binding("q,escape,ctrl+q,ctrl+c", "quit", "leave", id="chooser.leave"),
    ]

    def __init__(self, offers: list[Offer]) -> None:
        no_color = bool(os.environ.get("NO_COLOR"))
        super().__init__(ansi_color=True if no_color else None)
        self._offers = offers
        self.animation_level = "none"
        for known in theme.THEMES:
            self.register_theme(known)
        self.theme = theme.suitable_theme(self.console.color_system, no_color=no_color)

    def compose(self) -> ComposeResult:
        self._table = VirtualTable(
            Column[Offer]("WRITTEN", lambda offer: offer.when, width=28, role="dim"),
            Column[Offer]("DUMP", lambda offer: (printable(offer.path), "strong")),
            Column[Offer]("WHAT", lambda offer: offer.what),
            key=lambda offer: offer.path,
        )
        with Frame(), Pane("Dumps on this machine", subtitle="newest first"):
            yield self._table

    def on_mount(self) -> None:
        """Show the offers."""
        frame = self.query_one(Frame)
        frame.identity.show_identity("kscope", "which dump?")
        self._table.show_rows(self._offers)
        self._table.focus(scroll_visible=False)

    @on(LineView.Chosen)
    def _chosen(self, message: LineView.Chosen) -> None:
        self.exit(self._offers[message.index].path)

    def action_choose(self) -> None:
        """Open the dump under the cursor."""
        self._table.action_choose()


def choose(offers: list[Offer], *, mouse: bool) -> str:
    """Let the reader choose; returns the path, empty when none was chosen."""
    return ChooserApp(offers).run(mouse=mouse) or ""
