"""A scrolling text of prepared lines: backtraces, evidence, logs, facts.

Spans with a target are links. Left and right go from link to link within the line, enter follows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Container, Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from kscope.widgets.line import Line, Span, fit, width
from kscope.widgets.line_view import LineView
from kscope.widgets.states import Empty


class TextView(LineView):
    """Lines of spans, made beforehand or by an indexable sequence when they are shown."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,l", "right", "next link, scroll right", show=False, id="text.right"),
        Binding("left,h", "left", "previous link, scroll left", show=False, id="text.left"),
        Binding("w", "wrap", "fold long lines", show=False, id="text.wrap"),
        Binding("enter", "choose", "follow the link", show=False, id="text.follow"),
    ]

    HELP_HEADING: ClassVar[str] = "In a text"

    cursor_needs_focus: ClassVar[bool] = True

    class LinkFollowed(Message):
        """Enter was pressed on a link, or it was clicked."""

        def __init__(self, view: TextView, target: object) -> None:
            super().__init__()
            self.view = view
            self.target = target
            """Of the span, as it was given."""

        @property
        def control(self) -> TextView:
            return self.view

    def __init__(
        self,
        lines: Sequence[Line] = (),
        *,
        wrapped: bool = False,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._lines = lines
        self._items: Sequence[int] = ()
        self._clipped: Container[int] = ()
        self._link = 0
        self.wrapped = wrapped

    def show_lines(
        self,
        lines: Sequence[Line],
        *,
        items: Sequence[int] = (),
        clipped: Container[int] = (),
        empty: Empty | None = None,
        keep_place: bool = False,
    ) -> None:
        """Show these lines.

        :param items: where the things begin that several lines tell about: the cursor goes from
            one to the next. Without them, each line stands for itself.
        :param clipped: lines that end with an ellipsis where others are folded.
        :param empty: what to say if there are none.
        :param keep_place: stay where the cursor is: this is the same text, with changes.
        """
        self._lines = lines
        self._items = items
        self._clipped = clipped
        self._link = 0
        if not lines and empty is not None:
            self.show_state(empty)
            return
        if not keep_place:
            self._left = 0
        self.lines_changed(cursor=None if keep_place else 0)

    def line_count(self) -> int:
        return len(self._lines)

    def line_at(self, index: int, cells: int) -> Line:
        spans = self._lines[index]
        if index in self._clipped and width(spans) > cells:
            spans = fit(spans, cells)
        if index != self.cursor or not self._shows_cursor(index):
            return spans
        links = _links(spans)
        if len(links) < 2:
            return spans
        here = links[min(self._link, len(links) - 1)]
        return [
            span._replace(role="here") if position == here else span
            for position, span in enumerate(spans)
        ]

    # Items of several lines.

    @property
    def item(self) -> int:
        """Which item the cursor is on; without items, which line."""
        return max(bisect_right(self._items, self.cursor) - 1, 0) if self._items else self.cursor

    @property
    def position(self) -> str:
        if not self._items or self.state is not None:
            return super().position
        return f"{self.item + 1:,}/{len(self._items):,}"

    def move_to(self, index: int) -> None:
        if self._items and self.state is None:
            forward = index > self.cursor
            item = max(bisect_right(self._items, index) - 1, 0)
            if forward and self._items[item] <= self.cursor:
                item = min(item + 1, len(self._items) - 1)
            index = self._items[item]
        super().move_to(index)

    def _shows_cursor(self, index: int) -> bool:
        if not self._items:
            return super()._shows_cursor(index)
        return index in self._cursor_lines() and super()._shows_cursor(self.cursor)

    def _lines_of(self, index: int) -> range:
        """The lines of the item that line ``index`` belongs to."""
        if not self._items:
            return range(index, index + 1)
        after = bisect_right(self._items, index)
        start = self._items[after - 1] if after else 0
        end = self._items[after] if after < len(self._items) else len(self._lines)
        return range(start, end)

    def _cursor_lines(self) -> range:
        return self._lines_of(self.cursor)

    def _refresh_line(self, index: int) -> None:
        for each in self._lines_of(index):
            super()._refresh_line(each)

    # Links.

    @property
    def link(self) -> object:
        """What enter would follow: the target of the link under the cursor, or ``None``."""
        if self.state is not None or not self._lines:
            return None
        spans = self._lines[self.cursor]
        links = _links(spans)
        return spans[links[min(self._link, len(links) - 1)]].target if links else None

    def action_right(self) -> None:
        self._step(+1) or super().action_right()

    def action_left(self) -> None:
        self._step(-1) or super().action_left()

    def _step(self, by: int) -> bool:
        """Go to another link of this line. Returns whether there is one."""
        if self.state is not None or not self._lines:
            return False
        wanted = self._link + by
        if not 0 <= wanted < len(_links(self._lines[self.cursor])):
            return False
        self._link = wanted
        self._refresh_line(self.cursor)
        return True

    def _cursor_changed(self, before: int) -> None:
        self._link = 0
        super()._cursor_changed(before)

    def action_choose(self) -> None:
        target = self.link
        if target is None:
            super().action_choose()
        else:
            self.post_message(self.LinkFollowed(self, target))

    def on_click(self, event: events.Click) -> None:
        super().on_click(event)
        offset = event.get_content_offset(self)
        if offset is None or self.wrapped or self.line_under(event) is None:
            return
        x = -self._left
        for span in self._lines[self.cursor]:
            x += width((span,))
            if offset.x < x:
                if span.target is not None:
                    self.post_message(self.LinkFollowed(self, span.target))
                return

    # Folding of long lines.

    def action_wrap(self) -> None:
        self.wrapped = not self.wrapped
        self._left = 0
        self._scroll_to_cursor()
        self._refresh_lines()


def _links(spans: Line) -> list[int]:
    return [position for position, span in enumerate(spans) if span.target is not None]


def link(text: str, target: object, role: str = "") -> Span:
    """A span that leads to ``target``."""
    return Span(text, f"link {role}".strip(), target)
