"""The frame around every screen: whose dump this is, the screens, the equivalent, the keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.reactive import Reactive
from textual.screen import Screen
from textual.widget import Widget

from kscope.widgets.keys import KeyHelp, footer_keys
from kscope.widgets.line import Cell, Line, Span, line, width
from kscope.widgets.one_line import OneLine
from kscope.widgets.overlay import OverlayHost

DOT = Span(" · ", "dim")


class IdentityLine(OneLine):
    """What is being debugged: the program, the dump's name, and facts separated by dots."""

    DEFAULT_CSS = """
    IdentityLine { background: $surface; padding: 0 1; }
    """

    def show_identity(self, program: str, name: str, facts: Iterable[Cell] = ()) -> None:
        spans = list(line((program, "accent strong"), " ", (name, "strong")))
        for fact in facts:
            spans += [DOT, *line(fact)]
        self.show(spans)


@dataclass(frozen=True)
class ScreenLabel:
    """A screen and the digit that opens it."""

    digit: str
    name: str


class ScreensLine(OneLine):
    """The screens by their digits, the present one marked."""

    DEFAULT_CSS = """
    ScreensLine { background: $surface; padding: 0 1; }
    """

    def __init__(self, screens: Sequence[ScreenLabel] = (), current: str = "") -> None:
        super().__init__()
        self._screens = tuple(screens)
        self._current = current

    def show_screens(self, screens: Sequence[ScreenLabel], current: str) -> None:
        """:param current: the digit of the screen that is open."""
        if (tuple(screens), current) != (self._screens, self._current):
            self._screens, self._current = tuple(screens), current
            self.refresh()

    def spans(self, cells: int) -> Line:
        for gap, names in (("  ", True), (" ", True), (" ", False)):
            spans = self._labels(gap, names=names)
            if width(spans) <= cells:
                break
        return spans

    def _labels(self, gap: str, *, names: bool) -> list[Span]:
        spans: list[Span] = []
        for screen in self._screens:
            if spans:
                spans.append(Span(gap))
            if screen.digit == self._current:
                spans.append(Span(f" {screen.digit} {screen.name} ", "chip strong", screen))
                continue
            spans.append(Span(screen.digit, "dim", screen))
            if names:
                spans.append(Span(f" {screen.name}", "", screen))
        return spans


class EquivalentLine(OneLine):
    """The command that shows the same as the focused pane."""

    DEFAULT_CSS = """
    EquivalentLine { background: $surface; padding: 0 1; }
    """

    def show_command(self, command: str, *, prompt: str = "crash>", note: Cell = "") -> None:
        """
        :param note: what to know about it: that it is only the nearest there is, say.
        """
        spans = line((prompt, "dim"), " ", (command, "strong"))
        if note:
            spans = (*spans, Span("   "), *line(note))
        self.show(spans)

    def show_message(self, message: Cell) -> None:
        """Something that just happened, until the next command is shown."""
        self.show(line(message))


class KeysLine(OneLine):
    """The keys that work where the focus is, from their bindings."""

    DEFAULT_CSS = """
    KeysLine { padding: 0 1; }
    """

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_updated)
        self._bindings_updated(self.screen)

    def _bindings_updated(self, screen: Screen[object]) -> None:
        keys = footer_keys(screen)
        cells = self.size.width or self.app.size.width - 2
        self.show(_as_many_as_fit(keys, cells))

    def on_resize(self) -> None:
        self._bindings_updated(self.screen)


def _as_many_as_fit(keys: Sequence[KeyHelp], cells: int) -> list[Span]:
    """The keys that fit. The last ones, help and back, stay when others have to go."""
    kept = list(keys)
    while True:
        spans: list[Span] = []
        for key in kept:
            gap = "  " if spans else ""
            spans += line(gap, (key.keys, "accent"), " ", (key.what, "dim"))
        if width(spans) <= cells or len(kept) <= 1:
            return spans
        del kept[max(0, len(kept) - 3)]


class FrameScreen(Screen[None]):
    """A screen that Textual does not paint from scratch whenever the focus moves.

    Twenty kilobytes each time, and for nothing: the widgets concerned paint themselves.
    """

    focused: Reactive[Widget | None] = Reactive(None, repaint=False)


class Frame(Widget):
    """The four lines with a screen's panes between them.

    ::

        with Frame():
            yield pane
    """

    DEFAULT_CSS = """
    Frame { layout: vertical; width: 100%; height: 100%; }
    Frame > #frame-content { layout: vertical; height: 1fr; width: 100%; }
    """

    def __init__(self, *children: Widget, id: str | None = None) -> None:
        super().__init__(id=id)
        self.identity = IdentityLine()
        self.screens = ScreensLine()
        self.equivalent = EquivalentLine()
        self.keys = KeysLine()
        self._inside = list(children)

    def compose_add_child(self, widget: Widget) -> None:
        self._inside.append(widget)

    def compose(self) -> ComposeResult:
        yield self.identity
        yield self.screens
        yield _Content(*self._inside, id="frame-content")
        yield self.equivalent
        yield OverlayHost(self.keys)


class _Content(Widget):
    pass
