"""A bordered pane with its title and its counts in the border, accented while it has the focus.

::

    with Pane("Tasks", id="tasks") as pane:
        yield table
    pane.show_subtitle("14 of 112")
"""

from __future__ import annotations

from typing import Self

from textual.app import ComposeResult
from textual.geometry import Region
from textual.widget import Widget

from kscope.widgets.line import Cell, Line, Span, fit, line, width
from kscope.widgets.one_line import OneLine

LABEL_EXTRA = 4
"""What surrounds the subtitle in the border: a blank, the text, a blank, a dash and the corner."""


class Pane(Widget):
    """A pane around other widgets."""

    DEFAULT_CSS = """
    Pane {
        layout: vertical;
        width: 1fr;
        height: 1fr;
    }
    Pane > PaneBody {
        layout: vertical;
        height: 1fr;
        padding: 0 1;
        border-left: round $border-blurred;
        border-right: round $border-blurred;
    }
    Pane:focus-within > PaneBody {
        border-left: round $border;
        border-right: round $border;
    }
    Pane.fit {
        height: auto;
        & > PaneBody { height: auto; }
        & > PaneBody > LineView { height: auto; }
    }
    Pane > _PaneBottom {
        layout: horizontal;
        height: 1;
    }
    """

    def __init__(
        self,
        title: Cell = "",
        *children: Widget,
        subtitle: Cell = "",
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        """
        :param classes: with "fit", the pane is as high as its content.
        """
        super().__init__(id=id, classes=classes)
        self._inside = list(children)
        self._top = _PaneTop(self, line(title))
        self._label = _PaneLabel(self)
        self._rule = _PaneRule(self)
        self.show_subtitle(subtitle)

    def compose_add_child(self, widget: Widget) -> None:
        self._inside.append(widget)

    def compose(self) -> ComposeResult:
        yield self._top
        yield PaneBody(*self._inside)
        yield _PaneBottom(self._rule, self._label)

    def show_title(self, title: Cell) -> None:
        """Text without a role gets the accent."""
        self._top.show(line(title))

    def show_subtitle(self, subtitle: Cell) -> None:
        """Counts, an address, a hint. Text without a role is dim.

        It may change with every move of the cursor: only itself is repainted, not the border.
        """
        self._label.show_text(line(subtitle))

    def on_descendant_focus(self) -> None:
        self._refresh_edges()

    def on_descendant_blur(self) -> None:
        self._refresh_edges()

    def _refresh_edges(self) -> None:
        for edge in (self._top, self._rule, self._label):
            edge.refresh()


class PaneBody(Widget):
    """The inside of a pane and the border at its sides."""

    def refresh(
        self,
        *regions: Region,
        repaint: bool = True,
        layout: bool = False,
        recompose: bool = False,
    ) -> Self:
        """Paint again, by default only the border: what is inside paints itself.

        Otherwise each change of the focus would paint all that is in two panes.
        """
        if repaint and not regions and not layout and self.is_mounted:
            width, height = self.outer_size
            left, top = self.content_offset
            regions = (
                Region(-left, -top, 1, height),
                Region(width - 1 - left, -top, 1, height),
            )
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)


class _PaneBottom(Widget):
    """The bottom border."""


class _Edge(OneLine):
    def __init__(self, pane: Pane) -> None:
        super().__init__()
        self._pane = pane

    def _dash(self, text: str) -> Span:
        return Span(text, "accent" if self._pane.has_focus_within else "frame")


class _PaneTop(_Edge):
    def __init__(self, pane: Pane, title: Line) -> None:
        super().__init__(pane)
        self._spans = title

    def spans(self, cells: int) -> Line:
        role = "accent"
        if self.app.no_color and self._pane.has_focus_within:
            role = "chip"  # the colour of the border cannot show the focus
        title = [span._replace(role=role) if span.role == "" else span for span in self._spans]
        room = cells - 6
        if not title or room <= 0:
            return [self._dash("╭" + "─" * (cells - 2) + "╮")]
        if width(title) > room:
            title = fit(title, room)
        before = self._dash("╭─")
        after = self._dash("─" * (room - width(title) + 1) + "╮")
        return [before, Span(" ", title[0].role), *title, Span(" ", title[-1].role), after]

    def show(self, spans: Line) -> None:
        if tuple(spans) != tuple(self._spans):
            self._spans = tuple(spans)
            self.refresh()


class _PaneRule(_Edge):
    def spans(self, cells: int) -> Line:
        return [self._dash("╰" + "─" * (cells - 1))]


class _PaneLabel(_Edge):
    """The right end of the bottom border.

    A widget of its own, because Textual repaints a row of a widget from its left end: the
    position of the cursor would repaint the whole border, three bytes a cell, with every key.
    """

    DEFAULT_CSS = """
    _PaneLabel {
        width: 2;
        max-width: 90%;
    }
    """

    def spans(self, cells: int) -> Line:
        text = [span._replace(role="dim") if span.role == "" else span for span in self._spans]
        if not text:
            return [self._dash("─" * (cells - 1) + "╯")]
        room = cells - LABEL_EXTRA
        if width(text) > room:
            text = fit(text, room)
        dashes = self._dash("─" * (room - width(text)))
        return [dashes, Span(" "), *text, Span(" "), self._dash("─╯")]

    def show_text(self, text: Line) -> None:
        if tuple(text) == tuple(self._spans):
            return
        self._spans = tuple(text)
        wanted = width(text) + LABEL_EXTRA
        width_now = self.styles.width
        # It only grows, and by eight cells at least: a new width costs a new layout of the screen.
        if width_now is None or width_now.value < wanted:
            self.styles.width = -(-wanted // 8) * 8
        self.refresh()
