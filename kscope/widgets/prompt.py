"""A sign and a line to type in, above or below a list that the arrow keys still move through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Input

from kscope.widgets.line import Line, Span, fit, line, width
from kscope.widgets.line_view import LineView
from kscope.widgets.one_line import OneLine


class PromptInput(Input):
    """Textual's input, with a cursor that does not blink: each blink is bytes over SSH."""

    DEFAULT_CSS = """
    PromptInput { width: 1fr; background: transparent; }
    PromptInput:focus { background-tint: transparent; }
    PromptInput:ansi > .input--cursor {
        background: ansi_default;
        color: ansi_default;
        text-style: reverse;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "take it", id="prompt.submit"),
        Binding("up", "list('up')", "list up", show=False),
        Binding("down", "list('down')", "list down", show=False),
        Binding("pageup", "list('page_up')", "list page up", show=False),
        Binding("pagedown", "list('page_down')", "list page down", show=False),
    ]

    def __init__(self, moves: LineView | None, placeholder: str) -> None:
        super().__init__(placeholder=placeholder, compact=True, select_on_focus=False)
        self.cursor_blink = False
        self.moves = moves

    async def action_list(self, movement: str) -> None:
        if self.moves is not None:
            await self.moves.run_action(movement)


class Prompt(Widget):
    """A sign, an input, and a remark at the right."""

    DEFAULT_CSS = """
    Prompt { layout: horizontal; height: 1; width: 1fr; }
    Prompt > .sign { width: 2; }
    Prompt > Remark { width: 0; max-width: 75%; }
    """

    def __init__(self, sign: str, moves: LineView | None = None, *, placeholder: str = "") -> None:
        """:param moves: the list that the arrow keys move through while one types."""
        super().__init__()
        self.sign = OneLine(classes="sign")
        self.sign.show(line((sign, "accent strong")))
        self.input = PromptInput(moves, placeholder)
        self.remark = Remark()

    def compose(self) -> ComposeResult:
        yield self.sign
        yield self.input
        yield self.remark

    def begin(self, value: str | None = None) -> None:
        """Take the focus, and begin with ``value`` if there is one."""
        if value is not None:
            self.input.value = value
            self.input.cursor_position = len(value)
        self.input.focus(scroll_visible=False)


class Remark(OneLine):
    """Text at the right end, as wide as it has ever been."""

    def show(self, spans: Sequence[Span]) -> None:
        super().show(spans)
        wanted = width(spans)
        width_now = self.styles.width
        if width_now is None or width_now.value < wanted:
            self.styles.width = wanted

    def spans(self, cells: int) -> Line:
        return fit(self._spans, cells, right=True)
