"""The box in which the columns of a list are chosen and put in order."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from kscope.screens.task_columns import CHOICES, MAY_NOT_BE_LEFT_OUT, Choice
from kscope.widgets.overlay import Overlay
from kscope.widgets.table import Column, VirtualTable


class ColumnChooser(Overlay):
    """All columns, those that are shown first."""

    HELP_HEADING: ClassVar[str] = "Choosing columns"
    WANTED: ClassVar[tuple[int, int]] = (62, len(CHOICES) + 2)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "choose", "show or not", id="columns.toggle"),
        Binding("plus,J", "move(1)", "further right", id="columns.right"),
        Binding("minus,K", "move(-1)", "further left", id="columns.left"),
        Binding("enter,C", "close_overlay", "done", show=False, id="columns.done"),
    ]

    def __init__(
        self, shown: Sequence[str], show_columns: Callable[[tuple[str, ...]], None]
    ) -> None:
        """:param show_columns: called with each change."""
        super().__init__("Columns", subtitle="space shows, + and - move")
        self._show_columns = show_columns
        self._shown = set(shown)
        by_name = {choice.name: choice for choice in CHOICES}
        self._order = [by_name[name] for name in shown]
        self._order += [choice for choice in CHOICES if choice.name not in self._shown]
        self._table = VirtualTable[Choice](
            Column("", lambda c: "✓" if c.name in self._shown else "", width=1, role="accent"),
            Column("", lambda c: c.title, width=8),
            Column("", lambda c: c.meaning, role="dim"),
            key=lambda c: c.name,
        )

    def compose(self) -> ComposeResult:
        self.compose_add_child(self._table)
        yield from super().compose()

    def on_mount(self) -> None:
        """Begin on the first column."""
        super().on_mount()
        self._table.show_rows(self._order)
        self._table.focus(scroll_visible=False)

    def action_choose(self) -> None:
        """Show the column, or no longer."""
        choice = self._table.cursor_row
        if choice is None or choice.name == MAY_NOT_BE_LEFT_OUT:
            self.app.bell()
            return
        self._shown ^= {choice.name}
        self._changed()

    def action_move(self, by: int) -> None:
        """Move the column."""
        index = self._table.cursor
        if not 0 <= index + by < len(self._order):
            self.app.bell()
            return
        self._order[index], self._order[index + by] = self._order[index + by], self._order[index]
        self._changed()

    def _changed(self) -> None:
        self._table.show_rows(self._order)
        names = tuple(choice.name for choice in self._order if choice.name in self._shown)
        self._show_columns(names)
