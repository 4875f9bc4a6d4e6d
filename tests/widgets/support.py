"""An app around one widget, and what is on its screen as text."""

from __future__ import annotations

import os
from collections.abc import Iterable

from rich.segment import Segment
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.message import Message
from textual.widget import Widget

from kscope.widgets.line_view import LineView
from kscope.widgets.theme import DARK, THEMES


class Stage(App[None]):
    """Shows widgets and remembers the messages they sent."""

    def __init__(self, *widgets: Widget, theme: str = DARK.name) -> None:
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        for each in THEMES:
            self.register_theme(each)
        self.theme = theme
        self._widgets = widgets
        self.heard: list[Message] = []

    def compose(self) -> ComposeResult:
        yield from self._widgets

    def on_line_view_cursor_moved(self, message: LineView.CursorMoved) -> None:
        self.heard.append(message)

    def on_line_view_chosen(self, message: LineView.Chosen) -> None:
        self.heard.append(message)


def screen_lines(app: App[None]) -> list[str]:
    """What is on the screen, without colours and without blanks at the ends of lines."""
    strips = app.screen._compositor.render_strips()
    return [strip.text.rstrip() for strip in strips]


def screen_text(app: App[None]) -> str:
    return "\n".join(screen_lines(app)).rstrip()


def segments_of(app: App[None], text: str) -> list[Segment]:
    """The segments on the screen that contain ``text``."""
    strips = app.screen._compositor.render_strips()
    return [segment for strip in strips for segment in strip if text in segment.text]


def repainted_rows(widget: Widget) -> list[int]:
    """Which of its rows the widget has asked to be painted again since this was last asked."""
    regions: Iterable[Region] = widget._exchange_repaint_regions()
    return sorted({y for region in regions for y in region.line_range})
