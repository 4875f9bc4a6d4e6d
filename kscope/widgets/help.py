"""``?``: every key that works where the focus is."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from kscope.widgets.keys import KeyHelp, active_keys, heading
from kscope.widgets.line import Line, Span, fit, line, width
from kscope.widgets.overlay import Overlay
from kscope.widgets.text_view import TextView

MOST_KEY_CELLS = 16


class HelpOverlay(Overlay):
    """The keys of the focused widget first, then those of what it is in."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,question_mark,backspace", "close_overlay", "close", show=False, id="help.close"),
    ]

    HELP_HEADING: ClassVar[str] = "In this help"

    def __init__(self, screen: Screen[object]) -> None:
        self._lines = help_lines(active_keys(screen))
        super().__init__("Keys", subtitle="? or esc closes")
        self._view = TextView(self._lines)

    def compose(self) -> ComposeResult:
        self.compose_add_child(self._view)
        yield from super().compose()

    WANTED: ClassVar[tuple[int, int]] = (60, 30)

    def wanted_height(self) -> int:
        return len(self._lines) + 2

    def on_mount(self) -> None:
        super().on_mount()
        self._view.focus(scroll_visible=False)


def help_lines(keys: list[KeyHelp]) -> list[Line]:
    """The keys in sections, one for each place that defines some."""
    sections: dict[str, list[KeyHelp]] = {}
    for entry in keys:
        sections.setdefault(heading(entry.node), []).append(entry)
    cells = min(max((width(line(k.keys)) for k in keys), default=0), MOST_KEY_CELLS)
    lines: list[Line] = []
    for title, entries in sections.items():
        if lines:
            lines.append(())
        lines.append(line((title, "header")))
        for entry in entries:
            what = entry.binding.tooltip or entry.what
            role = "" if entry.enabled else "dim"
            lines.append(
                (
                    Span("  "),
                    *fit(line((entry.keys, "accent")), cells),
                    Span("  "),
                    Span(what, role),
                )
            )
    return lines
