"""A widget of one row that repaints no more than what changed."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from kscope.widgets.line import Line, Span, fit, segments, width
from kscope.widgets.theme import role_styles


class OneLine(Widget):
    """One row of spans."""

    DEFAULT_CSS = """
    OneLine {
        height: 1;
        width: 1fr;
    }
    """

    class Clicked(Message):
        """A span with a target was clicked."""

        def __init__(self, widget: OneLine, target: object) -> None:
            super().__init__()
            self.widget = widget
            self.target = target

        @property
        def control(self) -> OneLine:
            return self.widget

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._spans: Line = ()

    def spans(self, cells: int) -> Line:  # noqa: ARG002
        """What to show in ``cells`` cells."""
        return self._spans

    def show(self, spans: Sequence[Span]) -> None:
        """Show these spans from now on."""
        if tuple(spans) == tuple(self._spans):
            return
        # What is to the right of both the old and the new text is blank and stays so.
        cells = max(width(self._spans), width(spans))
        self._spans = tuple(spans)
        self.refresh(Region(0, 0, min(cells, self.size.width) or self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        cells = self.size.width
        spans = self.spans(cells) if y == 0 else ()
        return Strip(segments(fit(spans, cells), role_styles(self.app), self.rich_style), cells)

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        x = 0
        for span in self.spans(self.size.width):
            x += width((span,))
            if offset.x < x:
                if span.target is not None:
                    self.post_message(self.Clicked(self, span.target))
                return
