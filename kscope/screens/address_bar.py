"""``o``: type where to go; symbols, types and members complete as one types."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from kscope.model.base import QueryError
from kscope.model.expressions import Candidate, Completion, CompletionQuery, Place, PlaceQuery
from kscope.screens.remembered import keep, recall
from kscope.session.client import Session
from kscope.widgets.line import line
from kscope.widgets.line_view import LineView
from kscope.widgets.overlay import Overlay
from kscope.widgets.prompt import Prompt
from kscope.widgets.states import Empty, Failed
from kscope.widgets.table import Column, VirtualTable
from kscope.widgets.work import start

_REMEMBERED = 100


class Typed(msgspec.Struct, frozen=True):
    """What was opened before, the latest first."""

    texts: tuple[str, ...] = ()


class AddressBar(Overlay):
    """An input with what it may become below it."""

    HELP_HEADING: ClassVar[str] = "Opening an address"
    WANTED: ClassVar[tuple[int, int]] = (90, 18)
    DEFAULT_CSS = """
    AddressBar Prompt { height: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "complete", show=False, priority=True, id="bar.complete"),
    ]

    def __init__(
        self,
        session: Session,
        opened: Callable[[str, Place], None],
        *,
        title: str = "Open",
        prefix: str = "",
        suffix: str = "",
    ) -> None:
        """
        :param opened: called with what was typed and the place it names.
        :param prefix: put before what is typed, and
        :param suffix: after it: ``struct `` and an address make a cast.
        """
        super().__init__(title, subtitle="tab completes · enter opens · esc closes")
        self._session = session
        self._opened = opened
        self._prefix, self._suffix = prefix, suffix
        self._refused = False
        self._history = recall("inspect", Typed()).texts if not prefix else ()
        self._table = VirtualTable[Candidate](
            Column("", lambda c: c.name),
            Column("", lambda c: "" if c.kind == "member" else c.kind, width=10, role="dim"),
        )
        self._table.can_focus = False
        placeholder = "a type" if prefix else "address, symbol, pid 1, task_struct ADDRESS, a path"
        self._prompt = Prompt(">", self._table, placeholder=placeholder)

    def compose(self) -> ComposeResult:
        self.compose_add_child(self._prompt)
        self.compose_add_child(self._table)
        yield from super().compose()

    def on_mount(self) -> None:
        """Begin to type, with what was opened before."""
        super().on_mount()
        self._show_history()
        self._prompt.begin()
        # The first question reads all names; ask it while the reader thinks.
        self._ask("_")

    def _show_history(self) -> None:
        before = [Candidate("variable", text, text) for text in self._history]
        rows = [msgspec.structs.replace(each, kind="member") for each in before]
        self._table.show_rows(rows, empty=Empty("type an address, a symbol, a type, pid N"))

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._refused = False
        if event.value.strip():
            self._ask(self._prefix + event.value)
        else:
            self._show_history()

    def _ask(self, text: str) -> None:
        start(self, partial(self._complete, text), group="completion", exclusive=True)

    async def _complete(self, text: str) -> None:
        try:
            found = await self._session.ask(CompletionQuery(text=text))
        except QueryError:
            return
        # Names that come late do not take the place of what was said to enter.
        if self._prefix + self._prompt.input.value == text and not self._refused:
            self._show(found)

    def _show(self, found: Completion) -> None:
        rows: Sequence[Candidate] = found.candidates
        self._table.show_rows(rows, empty=Empty("no name is like that; enter tries it as it is"))
        self._table.move_to(0)
        self._prompt.remark.show(line((f"{found.total:,}", "dim")))

    def action_complete(self) -> None:
        """Take over the candidate under the cursor."""
        candidate = self._table.cursor_row
        if candidate is not None:
            self._prompt.begin(candidate.text.removeprefix(self._prefix))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        text = event.value.strip()
        candidate = self._table.cursor_row
        # The arrow keys chose, or nothing was typed: then it is the row that is meant.
        if candidate is not None and (self._table.cursor > 0 or not text):
            text = candidate.text.removeprefix(self._prefix)
        if text:
            start(self, partial(self._open, text), group="place", exclusive=True)

    def on_line_view_chosen(self, message: LineView.Chosen) -> None:
        """A candidate was clicked."""
        message.stop()
        self.action_complete()

    async def _open(self, text: str) -> None:
        try:
            place = await self._session.ask(PlaceQuery(text=self._prefix + text + self._suffix))
        except QueryError as error:
            self._refused = True
            self._table.show_state(Failed(error.sentence, error.hint))
            return
        if not self._prefix:
            others = tuple(each for each in self._history if each != text)
            keep("inspect", Typed((text, *others)[:_REMEMBERED]))
        self.close()
        self._opened(text, place)
