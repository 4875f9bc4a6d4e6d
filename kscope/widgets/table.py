"""The virtual table: any number of rows, each looked at only while it is on screen.

::

    table = VirtualTable(
        Column("PID", lambda task: str(task.pid), width=7, right=True),
        Column("ST", lambda task: Span(task.state, state_role(task.state)), width=2),
        Column("COMMAND", lambda task: task.comm),
        key=lambda task: task.task,
    )
    table.show_rows(tasks)

The rows are an ordinary sequence that the caller sorts and filters; the table only indexes it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from textual.binding import Binding, BindingType
from textual.message import Message

from kscope.widgets.line import Cell, Line, Span, fit, line, plain, width
from kscope.widgets.line_view import LineView
from kscope.widgets.states import Empty
from kscope.widgets.theme import Role

T = TypeVar("T")

GAP = Span("  ")
"""Between two columns."""

INDENT = 2
"""Cells that one level of a tree is moved to the right."""


@dataclass(frozen=True)
class Column(Generic[T]):
    """One column: what it is called, what it shows of a row, how wide it is."""

    title: str
    cell: Callable[[T], Cell]
    width: int = 0
    """In cells. Columns of width 0 share what the others leave."""
    minimum: int = 8
    """The least that a column of width 0 gets; below that the table scrolls sideways."""
    right: bool = False
    """Numbers are aligned to the right."""
    role: Role = ""
    """Of text that the cell gave no role of its own."""
    tree: bool = False
    """Carries the indentation and the marker of a tree."""


class Fold(NamedTuple):
    """A row's place in a tree."""

    depth: int
    is_open: bool | None
    """``None`` when there is nothing below the row."""


class VirtualTable(LineView, Generic[T]):
    """Rows and columns, one row under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,l", "unfold", "unfold, scroll right", show=False, id="table.unfold"),
        Binding("left,h", "fold", "fold, scroll left", show=False, id="table.fold"),
    ]

    class FoldRequested(Message):
        """A row of a tree is to be opened or closed. Whoever owns the rows does it."""

        def __init__(self, view: VirtualTable[Any], index: int, opened: bool) -> None:
            super().__init__()
            self.view = view
            self.index = index
            self.opened = opened
            """Whether it is to be open."""

        @property
        def control(self) -> LineView:
            return self.view

    def __init__(
        self,
        *columns: Column[T],
        key: Callable[[T], Hashable] | None = None,
        fold: Callable[[T], Fold] | None = None,
        margin: Callable[[T], Span] | None = None,
        search: Callable[[T], str] | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        """
        :param key: what makes a row the same row after sorting and filtering.
        :param fold: the row's place in a tree, for the column with ``tree``.
        :param margin: one cell before the row: ``>`` on a CPU, ``*`` marked.
        :param search: what n and N look at; by default each cell of the row.
        """
        super().__init__(id=id, classes=classes)
        self._columns: tuple[Column[T], ...] = columns
        self._key = key
        self._fold = fold
        self._margin = margin
        self._row_text = search
        self._table_rows: Sequence[T] = ()
        self._shown_count = 0
        self._layout: tuple[int, list[int]] = (-1, [])
        self._sorted_by = ""
        self._descending = False
        self._empty = Empty("nothing")

    # Rows.

    @property
    def rows(self) -> Sequence[T]:
        return self._table_rows

    @property
    def cursor_row(self) -> T | None:
        """The row under the cursor."""
        if self.state is not None or not 0 <= self.cursor < len(self._table_rows):
            return None
        return self._table_rows[self.cursor]

    def show_rows(self, rows: Sequence[T], *, empty: Empty | None = None) -> None:
        """Show these rows. The cursor stays on the row it was on, as told by its key.

        :param empty: what to say if there are none.
        """
        followed = self._cursor_key()
        self._empty = empty or self._empty
        self._table_rows = rows
        self._shown_count = len(rows)
        if not rows:
            self.show_state(self._empty)
            self.post_message(self.CursorMoved(self, -1))
            return
        self.lines_changed(cursor=self._index_of(followed))

    def rows_added(self) -> None:
        """The sequence given to ``show_rows`` has grown at its end."""
        before, self._shown_count = self._shown_count, len(self._table_rows)
        if self._shown_count > before:
            self.lines_added(before)

    def row_changed(self, index: int) -> None:
        """Row ``index`` looks different now, for example because it was marked."""
        self._refresh_line(index)

    def move_to_key(self, key: Hashable) -> bool:
        """Put the cursor on the row with this key. Returns whether there is one."""
        index = self._index_of(key)
        if index is not None:
            self.move_to(index)
        return index is not None

    def _cursor_key(self) -> Hashable | None:
        row = self.cursor_row
        return None if row is None or self._key is None else self._key(row)

    def _index_of(self, key: Hashable | None) -> int | None:
        if key is None or self._key is None:
            return None
        of = self._key
        return next((i for i, row in enumerate(self._table_rows) if of(row) == key), None)

    # Columns.

    @property
    def columns(self) -> Sequence[Column[T]]:
        return self._columns

    def show_columns(self, columns: Sequence[Column[T]]) -> None:
        """Show other columns of the same rows."""
        self._columns = tuple(columns)
        self._layout = (-1, [])
        self.refresh()

    def show_sorted_by(self, title: str, *, descending: bool) -> None:
        """Mark the column that the rows are sorted by."""
        self._sorted_by, self._descending = title, descending
        self.refresh()

    def _widths(self, cells: int) -> list[int]:
        """How wide each column is in a table ``cells`` wide."""
        if self._layout[0] != cells:
            free = cells - 2 - GAP_CELLS * (len(self._columns) - 1)
            free -= sum(column.width for column in self._columns)
            flexible = sum(1 for column in self._columns if not column.width)
            widths = []
            for column in self._columns:
                if column.width:
                    widths.append(column.width)
                    continue
                share = max(free // flexible, column.minimum)
                free -= share
                flexible -= 1
                widths.append(share)
            self._layout = (cells, widths)
        return self._layout[1]

    # Lines.

    def line_count(self) -> int:
        return self._shown_count

    def header_lines(self, cells: int) -> Sequence[Line]:
        if not any(column.title for column in self._columns):
            return ()
        spans: list[Span] = [Span(" ")]
        for column, cells_wide in zip(self._columns, self._widths(cells), strict=True):
            title = [Span(column.title, "header")]
            if column.title and column.title == self._sorted_by:
                title = [Span(column.title, "header accent")]
                if cells_wide > width(title):
                    title.append(Span("↓" if self._descending else "↑", "accent"))
            spans += fit(title, cells_wide, right=column.right)
            spans.append(GAP)
        return (spans[:-1],)

    def line_at(self, index: int, cells: int) -> Line:
        row = self._table_rows[index]
        spans: list[Span] = [self._margin(row) if self._margin else Span(" ")]
        for column, cells_wide in zip(self._columns, self._widths(cells), strict=True):
            cell: Line = line(column.cell(row))
            if column.role:
                cell = [s._replace(role=column.role) if s.role == "" else s for s in cell]
            if column.tree and self._fold is not None:
                cell = [*self._branch(self._fold(row)), *cell]
            cell = super()._marked(index, cell)
            spans += fit(cell, cells_wide, right=column.right)
            spans.append(GAP)
        return spans[:-1]

    def _marked(self, index: int, spans: Line) -> Line:  # noqa: ARG002
        # Done cell by cell, so that ^ and $ are a cell's ends.
        return spans

    def _branch(self, fold: Fold) -> list[Span]:
        blank = Span(" " * (INDENT * fold.depth))
        if fold.is_open is None:
            return [blank, Span("  ")]
        return [blank, Span("▾ " if fold.is_open else "▸ ", "dim")]

    def search_texts(self, index: int) -> Iterable[str]:
        row = self._table_rows[index]
        if self._row_text is not None:
            return (self._row_text(row),)
        return (plain(line(column.cell(row))) for column in self._columns)

    def as_text(self) -> str:
        """The whole table, each column as wide as its widest cell: nothing is cut."""
        if self.state is not None:
            return super().as_text()
        lines = [[line(column.title) for column in self._columns]]
        lines += ([line(column.cell(row)) for column in self._columns] for row in self._table_rows)
        widths = [max(map(width, cells)) for cells in zip(*lines, strict=True)]
        text = []
        for cells in lines:
            fitted = (
                plain(fit(cell, cells_wide, right=column.right))
                for cell, cells_wide, column in zip(cells, widths, self._columns, strict=True)
            )
            text.append("  ".join(fitted).rstrip() + "\n")
        return "".join(text)

    # Folding.

    def action_unfold(self) -> None:
        if self._fold_at_cursor() is False:
            self.post_message(self.FoldRequested(self, self.cursor, True))
        else:
            self.action_right()

    def action_fold(self) -> None:
        if self._left:
            self.action_left()
        elif self._fold_at_cursor() is True:
            self.post_message(self.FoldRequested(self, self.cursor, False))
        else:
            self._move_to_parent()

    def _fold_at_cursor(self) -> bool | None:
        row = self.cursor_row
        return None if row is None or self._fold is None else self._fold(row).is_open

    def _move_to_parent(self) -> None:
        row = self.cursor_row
        if row is None or self._fold is None:
            return
        depth = self._fold(row).depth
        for index in range(self.cursor - 1, -1, -1):
            if self._fold(self._table_rows[index]).depth < depth:
                self.move_to(index)
                return


GAP_CELLS = len(GAP.text)
