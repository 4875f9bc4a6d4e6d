"""A box over part of the screen that takes the focus until it is closed.

Not a modal screen: Textual paints the whole terminal when one opens and again when it closes,
fifty kilobytes each. This paints only what it covers.
"""

from __future__ import annotations

from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.screen import Screen
from textual.widget import Widget

from kscope.widgets.pane import Pane


class Overlay(Pane):
    """A pane over the others. ``escape`` closes it and gives the focus back."""

    DEFAULT_CSS = """
    Overlay {
        overlay: screen;
        position: absolute;
        background: $background;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close_overlay", "close", show=False, id="overlay.close"),
    ]

    WANTED: ClassVar[tuple[int, int]] = (76, 30)
    """Cells and rows, if the screen has so many."""

    _focused_before: Widget | None = None
    """What has the focus again when it is closed; ``None`` if nothing had it."""

    def on_mount(self) -> None:
        self.place()
        self.screen.screen_layout_refresh_signal.subscribe(self, lambda _: self.place())

    def place(self) -> None:
        """In the middle of the screen, as large as wanted or as there is room for."""
        columns, rows = self.app.size
        width = min(self.WANTED[0], columns - 4)
        height = min(self.wanted_height(), rows - 4)
        origin = self.parent.region if isinstance(self.parent, Widget) else Region()
        self.styles.width, self.styles.height = width, height
        self.styles.offset = ((columns - width) // 2 - origin.x, (rows - height) // 2 - origin.y)

    def wanted_height(self) -> int:
        return self.WANTED[1]

    def action_close_overlay(self) -> None:
        self.close()

    def close(self) -> None:
        """Remove the overlay and go back to where the focus was."""
        before = self._focused_before
        if before is not None and before.is_attached:
            before.focus(scroll_visible=False)
        self.remove()


class OverlayHost(Widget):
    """Where overlays are mounted: the row of the keys.

    Textual paints all of a widget when it gets or loses a child, and every child whose number
    has changed, counted from the last. So overlays are the first children of something small.
    """

    DEFAULT_CSS = """
    OverlayHost { layout: horizontal; width: 100%; height: 1; }
    """


async def toggle(screen: Screen[Any], overlay: Overlay) -> None:
    """Open an overlay, or close the one of its kind that is open.

    Until this returns, no further keys are given: what is typed meanwhile is typed in the overlay.
    """
    for already in screen.query(type(overlay)):
        already.close()
        return
    overlay._focused_before = screen.focused
    await screen.query_one(OverlayHost).mount(overlay, before=0)
