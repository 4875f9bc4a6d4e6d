"""Which of the types that fit an address it is to be shown as."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult

from kscope.model.address import FittingType
from kscope.widgets.line_view import LineView
from kscope.widgets.overlay import Overlay
from kscope.widgets.table import Column, VirtualTable


class TypeChooser(Overlay):
    """The types, the surest first."""

    HELP_HEADING: ClassVar[str] = "Choosing a type"
    WANTED: ClassVar[tuple[int, int]] = (76, 14)

    def __init__(self, types: Sequence[FittingType], choose: Callable[[str, int], None]) -> None:
        """:param choose: called with a type and where the object of it begins."""
        known = any(each.certain for each in types)
        super().__init__("It lies in" if known else "It may lie in",
                         subtitle="enter opens · esc closes")  # fmt: skip
        self._types = types
        self._choose = choose
        self._table = VirtualTable[FittingType](
            Column("", lambda each: each.type),
            Column("", lambda each: each.member, role="dim"),
            Column("", lambda each: f"{each.size:,}", width=7, right=True, role="dim"),
            Column("", lambda each: "" if each.certain else "perhaps", width=7, role="dim"),
        )

    def wanted_height(self) -> int:
        """A row for each type, and the border."""
        return min(len(self._types) + 2, self.WANTED[1])

    def compose(self) -> ComposeResult:
        self.compose_add_child(self._table)
        yield from super().compose()

    def on_mount(self) -> None:
        """Begin with the likeliest."""
        super().on_mount()
        self._table.show_rows(list(self._types))
        self._table.focus(scroll_visible=False)

    def on_line_view_chosen(self, message: LineView.Chosen) -> None:
        """Open it as that type."""
        message.stop()
        row = self._table.cursor_row
        if row is not None:
            self.close()
            self._choose(row.type, int(row.start))
