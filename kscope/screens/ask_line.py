"""A box that asks for one line: columns, a length, a note."""

from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.widgets import Input

from kscope.model.base import QueryError
from kscope.widgets.overlay import Overlay
from kscope.widgets.prompt import Prompt

_KEYS = "enter takes it · esc closes"


class AskLine(Overlay):
    """One line; ``enter`` gives it to whoever asked."""

    HELP_HEADING: ClassVar[str] = "While typing"
    WANTED: ClassVar[tuple[int, int]] = (70, 3)
    DEFAULT_CSS = """
    AskLine Prompt { height: 1; }
    """

    def __init__(
        self,
        title: str,
        answered: Callable[[str], None],
        *,
        value: str = "",
        hint: str = "",
        check: Callable[[str], object] = str,
    ) -> None:
        """
        :param value: to begin with.
        :param hint: shown while the line is empty.
        :param check: raises QueryError where the line will not do: its sentence is shown.
        """
        super().__init__(title, subtitle=_KEYS)
        self._answered = answered
        self._check = check
        self._value = value
        self._prompt = Prompt(">", placeholder=hint)

    def compose(self) -> ComposeResult:
        self.compose_add_child(self._prompt)
        yield from super().compose()

    def on_mount(self) -> None:
        """Begin to type."""
        super().on_mount()
        self._prompt.begin(self._value)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        text = event.value.strip()
        try:
            self._check(text)
        except QueryError as error:
            self.show_subtitle((error.sentence, "warning"))
            return
        self.close()
        self._answered(text)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self.show_subtitle(_KEYS)
