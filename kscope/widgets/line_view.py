"""The base of everything that scrolls: lines made on demand, one of them under the cursor.

A hundred thousand lines cost what one page costs, because a line exists only while it is on
screen. Moving the cursor repaints two lines. When the cursor leaves the page, the view moves on
by most of a page at once: a terminal cannot be told to scroll one pane, so each single line
scrolled would repaint all of it, ten kilobytes over SSH for every key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, Self

from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from kscope.widgets.line import Line, crop, fit, highlight, plain, segments, width, wrap
from kscope.widgets.states import State, state_lines
from kscope.widgets.text_filter import TextFilter
from kscope.widgets.theme import role_styles

SIDEWAYS = 8
"""Cells that one press of left or right scrolls."""


class LineView(Widget, can_focus=True):
    """Lines under a cursor. A subclass says how many there are and makes them."""

    DEFAULT_CSS = """
    LineView {
        width: 1fr;
        height: 1fr;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "down", "one line down", show=False, id="view.down"),
        Binding("up,k", "up", "one line up", show=False, id="view.up"),
        Binding("pagedown", "page_down", "one page down", show=False, id="view.page-down"),
        Binding("pageup", "page_up", "one page up", show=False, id="view.page-up"),
        Binding("home,g", "first", "first line", show=False, id="view.first"),
        Binding("end,G", "last", "last line", show=False, id="view.last"),
        Binding("right,l", "right", "scroll right", show=False, id="view.right"),
        Binding("left,h", "left", "scroll left", show=False, id="view.left"),
        Binding("n", "next_match", "next match", show=False, id="view.next-match"),
        Binding("N", "previous_match", "previous match", show=False, id="view.previous-match"),
        Binding("enter", "choose", "open", show=False, id="view.choose"),
    ]

    HELP_HEADING: ClassVar[str] = "In a list"

    cursor_needs_focus: ClassVar[bool] = False
    """Whether the cursor is only shown while the widget has the focus."""

    class CursorMoved(Message):
        """The cursor is on another line, or the line under it is another."""

        def __init__(self, view: LineView, index: int) -> None:
            super().__init__()
            self.view = view
            self.index = index
            """Of the line under the cursor, -1 when there is none."""

        @property
        def control(self) -> LineView:
            return self.view

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, LineView.CursorMoved) and message.view is self.view

    class Chosen(Message):
        """Enter was pressed on a line."""

        def __init__(self, view: LineView, index: int) -> None:
            super().__init__()
            self.view = view
            self.index = index

        @property
        def control(self) -> LineView:
            return self.view

    def __init__(
        self, *, id: str | None = None, classes: str | None = None, disabled: bool = False
    ) -> None:
        self._focus_changed = False
        super().__init__(id=id, classes=classes, disabled=disabled)
        self.cursor = 0
        """Index of the line under the cursor."""
        self.wrapped = False
        """Whether long lines are folded into several rows, not cut."""
        self.wrap_indent = 2
        """Cells left empty before every row of a folded line but the first."""
        self._top = 0
        self._left = 0
        self._state: State | None = None
        self._search = TextFilter()
        self._rows: list[tuple[int, int]] | None = None
        self._style: Style | None = None
        """Of what has no role, while lines are being painted."""
        self._rows_size = Size()
        """What ``_rows`` was made for: while it is hidden, the widget has no size."""

    # What a subclass provides.

    def line_count(self) -> int:
        raise NotImplementedError

    def line_at(self, index: int, cells: int) -> Line:
        """Line ``index`` for a view ``cells`` wide; it may be wider."""
        raise NotImplementedError

    def header_lines(self, cells: int) -> Sequence[Line]:  # noqa: ARG002
        """Lines above the first that do not scroll up."""
        return ()

    def search_texts(self, index: int) -> Iterable[str]:
        """What a search looks at in line ``index``."""
        return (plain(self.line_at(index, 0)),)

    # States.

    @property
    def state(self) -> State | None:
        """What is shown in place of lines; ``None`` while there are lines."""
        return self._state

    def show_state(self, state: State) -> None:
        """Show that there are no lines, and why."""
        if state != self._state:
            self._state = state
            self.refresh(layout=self.styles.auto_dimensions)

    # Position.

    def row_of(self, index: int) -> int:
        """In which row of the widget a line is shown; beyond its rows when it is not."""
        return len(self.header_lines(self.size.width)) + index - self._top

    @property
    def position(self) -> str:
        """The cursor among the lines, "14/263", as it is shown in a pane's border."""
        count = self.line_count() if self._state is None else 0
        return f"{self.cursor + 1:,}/{count:,}" if count else ""

    def move_to(self, index: int) -> None:
        """Put the cursor on line ``index``, or as near as there is one."""
        index = max(0, min(index, self.line_count() - 1))
        if index == self.cursor or self._state is not None:
            return
        before, self.cursor = self.cursor, index
        self._cursor_changed(before)
        self.post_message(self.CursorMoved(self, index))

    def _cursor_changed(self, before: int) -> None:
        if self._scroll_to_cursor():
            self._refresh_lines()
        else:
            self._refresh_line(before)
            self._refresh_line(self.cursor)

    def lines_changed(self, *, cursor: int | None = None) -> None:
        """The lines are others, or in another order: show them from here on.

        :param cursor: where the line is now that was under the cursor, if it is still there.
        """
        self._state = None
        self._rows = None
        count = self.line_count()
        self.cursor = max(0, min(self.cursor if cursor is None else cursor, count - 1))
        self._top = max(0, min(self._top, count - self._page()))
        self._scroll_to_cursor()
        self.refresh(layout=self.styles.auto_dimensions)
        self.post_message(self.CursorMoved(self, self.cursor if count else -1))

    def lines_added(self, count_before: int) -> None:
        """There are more lines than ``count_before`` now; the first ones are what they were."""
        if self._state is not None or count_before == 0:
            self.lines_changed()
            return
        self._rows = None
        first_new = count_before - self._top
        if self.wrapped or self.styles.auto_dimensions:
            self.refresh(layout=self.styles.auto_dimensions)
        elif first_new < self._page():
            header = self._header_height()
            self.refresh(Region(0, header + first_new, self.size.width, self._page() - first_new))

    def _header_height(self) -> int:
        return len(self.header_lines(self.size.width))

    def _page(self) -> int:
        """How many rows of lines there is room for."""
        return max(1, self.size.height - self._header_height())

    def _cursor_lines(self) -> range:
        """The lines that the cursor covers."""
        return range(self.cursor, self.cursor + 1)

    def _scroll_to_cursor(self) -> bool:
        """Bring the cursor into view. Returns whether that moved the view."""
        before = self._top
        page = self._page()
        if not self.line_count():
            return False
        if self.wrapped:
            self._scroll_to_cursor_wrapped()
        else:
            shown = self._cursor_lines()
            first, last = shown[0], shown[-1]
            if abs(first - self._top) >= 2 * page:
                self._top = first - page // 2
            elif last >= self._top + page:
                # One line beyond the page: that line becomes the second one.
                self._top = max(first - 1, last - page + 1)
            elif first < self._top:
                self._top = min(first + 2 - page, first)
            self._top = max(0, min(self._top, self.line_count() - page))
        if self._top != before:
            self._rows = None
        return self._top != before

    def _scroll_to_cursor_wrapped(self) -> None:
        cells = self.size.width
        if self.cursor < self._top:
            self._top = self.cursor
            return
        room = self._page()
        top = self.cursor
        while top >= 0:
            room -= len(wrap(self.line_at(top, cells), cells, self.wrap_indent))
            if room < 0:
                break
            top -= 1
        self._top = max(self._top, min(top + 1, self.cursor))

    def _refresh_line(self, index: int) -> None:
        header = self._header_height()
        if not self.wrapped:
            rows: Iterable[int] = (index - self._top,)
        else:
            rows = (row for row, (i, _) in enumerate(self._visible_rows()) if i == index)
        for row in rows:
            if 0 <= row < self._page():
                self.refresh(Region(0, header + row, self.size.width, 1))

    def _refresh_lines(self) -> None:
        """Everything but the header."""
        self._rows = None
        header = self._header_height()
        self.refresh(Region(0, header, self.size.width, self.size.height - header))

    # Keys.

    def action_down(self) -> None:
        self.move_to(self.cursor + 1)

    def action_up(self) -> None:
        self.move_to(self.cursor - 1)

    def action_page_down(self) -> None:
        self.move_to(self.cursor + self._page() - 1)

    def action_page_up(self) -> None:
        self.move_to(self.cursor - self._page() + 1)

    def action_first(self) -> None:
        self.move_to(0)

    def action_last(self) -> None:
        self.move_to(self.line_count() - 1)

    def action_right(self) -> None:
        self._scroll_sideways(self._left + SIDEWAYS)

    def action_left(self) -> None:
        self._scroll_sideways(self._left - SIDEWAYS)

    def _scroll_sideways(self, left: int) -> None:
        if self.wrapped or self._state is not None:
            return
        cells = self.size.width
        widest = max((width(spans) for spans in self._visible_lines(cells)), default=0)
        left = max(0, min(left, widest - cells))
        if left != self._left:
            self._left = left
            self.refresh()

    def _visible_lines(self, cells: int) -> Iterator[Line]:
        yield from self.header_lines(cells)
        for index in range(self._top, min(self._top + self._page(), self.line_count())):
            yield self.line_at(index, cells)

    def action_choose(self) -> None:
        if self._state is None and self.line_count():
            self.post_message(self.Chosen(self, self.cursor))

    # Copying.

    def as_text(self) -> str:
        """Everything there is to see here when it is scrolled, as it would be copied."""
        cells = self.size.width
        if self._state is not None:
            lines: Iterable[Line] = state_lines(self._state, cells)
        else:
            lines = (self.line_at(index, cells) for index in range(self.line_count()))
        return "".join(f"{plain(spans).rstrip()}\n" for spans in lines)

    # Searching.

    @property
    def search(self) -> TextFilter:
        return self._search

    @search.setter
    def search(self, search: TextFilter) -> None:
        """What is highlighted, and what n and N look for."""
        if search != self._search:
            self._search = search
            self._refresh_lines()

    def action_next_match(self) -> None:
        self._move_to_match(range(self.cursor + 1, self.line_count()))

    def action_previous_match(self) -> None:
        self._move_to_match(range(self.cursor - 1, -1, -1))

    def _move_to_match(self, candidates: range) -> None:
        if not self._search.active or self._state is not None:
            return
        for index in candidates:
            if self._search.matches_any(self.search_texts(index)):
                self.move_to(index)
                return
        self.app.bell()

    # Painting.

    def _visible_rows(self) -> list[tuple[int, int]]:
        """For each row on screen: which line, and which piece of it."""
        if self._rows is None or self._rows_size != self.size:
            self._rows_size = self.size
            cells = self.size.width
            rows: list[tuple[int, int]] = []
            index, count, page = self._top, self.line_count(), self._page()
            while index < count and len(rows) < page:
                pieces = 1
                if self.wrapped:
                    pieces = len(wrap(self.line_at(index, cells), cells, self.wrap_indent))
                rows.extend((index, piece) for piece in range(pieces))
                index += 1
            self._rows = rows[:page]
        return self._rows

    def render_lines(self, crop: Region) -> list[Strip]:
        # Textual makes it of the styles of all around this widget: once for all lines, not for
        # each, is a tenth of what painting a page takes.
        self._style = self.rich_style
        try:
            return super().render_lines(crop)
        finally:
            self._style = None

    def render_line(self, y: int) -> Strip:
        cells = self.size.width
        if self._state is not None:
            lines = state_lines(self._state, cells)
            return self._strip(lines[y] if y < len(lines) else (), cells)
        header = self.header_lines(cells)
        if y < len(header):
            return self._strip(crop(header[y], self._left, width(header[y])), cells)
        rows = self._visible_rows()
        row = y - len(header)
        if row >= len(rows):
            return self._strip((), cells)
        index, piece = rows[row]
        spans = self._marked(index, self.line_at(index, cells))
        if self.wrapped:
            spans = wrap(spans, cells, self.wrap_indent)[piece]
        elif self._left:
            spans = crop(spans, self._left, width(spans))
        return self._strip(spans, cells, under_cursor=self._shows_cursor(index))

    def _marked(self, index: int, spans: Line) -> Line:  # noqa: ARG002
        """The line with what was searched for highlighted."""
        if not self._search.active:
            return spans
        return highlight(spans, self._search.ranges(plain(spans)), "match")

    def _shows_cursor(self, index: int) -> bool:
        return index == self.cursor and (self.has_focus or not self.cursor_needs_focus)

    def _strip(self, spans: Line, cells: int, *, under_cursor: bool = False) -> Strip:
        styles = role_styles(self.app)
        style = self.rich_style if self._style is None else self._style
        parts = segments(fit(spans, cells), styles, style, under_cursor=under_cursor)
        return Strip(parts, cells)

    def on_focus(self) -> None:
        self._focus_changed = True

    def on_blur(self) -> None:
        self._focus_changed = True

    def refresh(
        self,
        *regions: Region,
        repaint: bool = True,
        layout: bool = False,
        recompose: bool = False,
    ) -> Self:
        """Paint again. When that is because of the focus, only the cursor is another."""
        if self._focus_changed and not regions:
            self._focus_changed = False
            if self._state is None and self.line_count():
                self._refresh_line(self.cursor)
            return self
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    # Size.

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        if self._state is not None:
            return len(state_lines(self._state, width))
        header = len(self.header_lines(width))
        if not self.wrapped:
            return header + self.line_count()
        return header + sum(
            len(wrap(self.line_at(i, width), width, self.wrap_indent))
            for i in range(self.line_count())
        )

    def on_resize(self) -> None:
        self._rows = None
        before = self._top
        if not self.wrapped:
            self._top = max(0, min(self._top, self.line_count() - self._page()))
        self._scroll_to_cursor()
        if self._top != before:
            # The new size may have been painted already, before this event came.
            self.refresh()

    # Mouse, for those who turn it on.

    def line_under(self, event: events.MouseEvent) -> int | None:
        """The index of the line the mouse is on."""
        offset = event.get_content_offset(self)
        if offset is None or self._state is not None:
            return None
        row = offset.y - self._header_height()
        rows = self._visible_rows()
        return rows[row][0] if 0 <= row < len(rows) else None

    def on_click(self, event: events.Click) -> None:
        index = self.line_under(event)
        if index is None:
            return
        if index == self.cursor and event.chain == 2:
            self.action_choose()
        self.move_to(index)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.move_to(self.cursor + 3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.move_to(self.cursor - 3)
