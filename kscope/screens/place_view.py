"""What shows a place on the Inspect screen: members, rows or lines, and ``/`` to filter them."""

from collections.abc import Sequence
from typing import Any, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.message import Message

from kscope.model.struct import Member
from kscope.screens.inspect_lines import rest_of_line
from kscope.screens.member_rows import MemberRow, columns, matching_rows, member_rows, path_to
from kscope.widgets.filter_bar import FilterBar
from kscope.widgets.line import Line, line, plain, width
from kscope.widgets.line_view import LineView
from kscope.widgets.one_line import OneLine
from kscope.widgets.pane import Pane
from kscope.widgets.states import Empty
from kscope.widgets.table import Column, VirtualTable
from kscope.widgets.text_view import TextView
from kscope.widgets.theme import Role

_NO_MATCH = Empty("nothing matches", "/ changes the filter, q gives it up")


class ElementTable(VirtualTable[Any]):
    """Elements of a walk, or places that a search found."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "follow", id="inspect.follow",
                tooltip="where the pointer leads; unfold what has members"),
    ]  # fmt: skip


class WalkableTable(ElementTable):
    """A table in which ``l`` walks a list, instead of unfolding as the right arrow does."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "walk", "walk list", id="inspect.walk",
                tooltip="the elements of the list, tree or array as a table"),
        # Where there is none the key only says so, and has no room below.
        Binding("l", "refuse_walk", "walk list", show=False, id="inspect.walk",
                tooltip="the elements of the list, tree or array as a table"),
    ]  # fmt: skip

    _walkable = False

    class WalkRequested(Message):
        """The list under the cursor is to be walked."""

    def show_whether_walkable(self, walkable: bool) -> None:
        """Show the key only if there is a list, tree or array under the cursor."""
        if walkable is not self._walkable:
            self._walkable = walkable
            self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """One of the key's two actions."""
        return self._walkable if action == "walk" else True

    def action_walk(self) -> None:
        """Hand it to the screen."""
        self.post_message(self.WalkRequested())

    def action_refuse_walk(self) -> None:
        """The screen says what it is instead."""
        self.post_message(self.WalkRequested())


class PlaceView(Pane):
    """One of three views at a time, with a filter for what is in it."""

    DEFAULT_CSS = """
    PlaceView #inspect-remark { height: auto; max-height: 3; }
    """

    def __init__(self, *, id: str) -> None:
        self.members = WalkableTable(
            key=lambda row: row.key if isinstance(row, MemberRow) else row,
            fold=lambda row: row.fold,
            search=_text_of_member,
            id="inspect-members",
        )
        self.table = ElementTable(id="inspect-rows")
        self.text = TextView(id="inspect-text")
        self._views: tuple[LineView, ...] = (self.members, self.table, self.text)
        self._bar = FilterBar(self.members)
        self._remark = TextView(id="inspect-remark", wrapped=True)
        self._remark.can_focus = False
        self._remark.display = False
        self._rest = OneLine(id="inspect-rest")
        self._rest.display = False
        super().__init__("", self._bar, *self._views, self._rest, self._remark, id=id)
        self._members: tuple[Member, ...] = ()
        self._toggled: set[str] = set()
        self._rows: list[Any] = []
        self._shown: list[Any] = []
        self._lines: Sequence[Line] = ()
        self._empty = Empty("nothing")

    def on_mount(self) -> None:
        """Begin with the members."""
        self.display_view(self.members)

    @property
    def current(self) -> LineView:
        """The view that is to be seen."""
        return next(view for view in self._views if view.display)

    @property
    def line(self) -> int | None:
        """Where the cursor is among all rows or lines, also those that a filter hides; ``None`` of
        members, and where there is nothing."""
        view = self.current
        if view is self.members or view.state is not None or view.cursor >= len(self._shown):
            return None
        every = self._rows if view is self.table else self._lines
        here = self._shown[view.cursor]
        return next((index for index, each in enumerate(every) if each is here), None)

    def display_view(self, view: LineView) -> None:
        """Show another view; what is in it is not filtered yet."""
        focused = self.has_focus_within
        for each in self._views:
            each.display = each is view
        self._remark.display = False
        self._rest.display = False
        self._bar.apply("")
        self._bar.filters(view)
        if focused or self.screen.focused is None:
            view.focus(scroll_visible=False)

    # What is in the views.

    def show_members(self, members: tuple[Member, ...], toggled: set[str]) -> None:
        """Show the members of an object.

        :param toggled: keys of those that are not folded as they are by default; changed here.
        """
        self._members, self._toggled = members, toggled
        self._arrange()

    def show_rows(self, rows: Sequence[Any], columns: Sequence[Column[Any]], empty: Empty) -> None:
        """Show rows of a table."""
        self._rows, self._empty = list(rows), empty
        self.table.show_columns(columns)
        self._arrange()
        self.table.move_to(0)

    def add_rows(self, rows: Sequence[Any]) -> None:
        """Show further rows after the others."""
        if self._bar.filter.active:
            self._rows += rows
            self._shown += [row for row in rows if self._matches(row)]
        else:
            self._shown += rows  # which is also what there is
        self.table.rows_added()
        self._count()

    def show_lines(self, lines: Sequence[Line], empty: Empty | None = None) -> None:
        """Show lines of text."""
        self._lines, self._empty = lines, empty or Empty("nothing")
        self._arrange()

    def show_member_columns(self, cells: int, *, hexadecimal: bool) -> None:
        """Show the columns of members as they fit ``cells``."""
        self.members.show_columns(columns(cells, hexadecimal=hexadecimal))

    def show_remark(self, sentence: str, role: Role) -> None:
        """Say below the view what is wrong with what it shows."""
        self._remark.show_lines([line((sentence, role))])
        self._remark.display = True

    def make_room_for_rest(self, cells: int) -> None:
        """Have a row for what is cut off the line under the cursor, if lines of the text are wider
        than ``cells``."""
        self._rest.display = self.text.display and any(width(each) > cells for each in self._lines)

    def show_rest_of_line(self, cells: int) -> None:
        """Say below the text what is cut off the line under the cursor."""
        if self._rest.display:
            cut = self.text.state is None and not self.text.wrapped and bool(self._shown)
            here = self._shown[self.text.cursor] if cut else ()
            self._rest.show(rest_of_line(here, cells))

    # The filter.

    @property
    def is_filtered(self) -> bool:
        """Whether a filter hides what does not match."""
        return self._bar.filter.active

    def open_filter(self) -> None:
        """Type a filter."""
        self._bar.open()

    def give_up_filter(self) -> None:
        """Show everything again, with the member under the cursor still in sight."""
        row = self.members.cursor_row
        if self.members.display and isinstance(row, MemberRow):
            self._reveal(row)
        self._bar.give_up()

    def toggle(self, row: MemberRow) -> None:
        """Fold or unfold a member; of those that match a filter, show it among the others."""
        if self.is_filtered:
            self._reveal(row)
            if bool(row.member.name) is not (row.key in self._toggled):
                self._toggled ^= {row.key}
            self._bar.apply("")
            self.members.move_to_key(row.key)
        else:
            self._toggled ^= {row.key}
            self._arrange()

    def _reveal(self, row: MemberRow) -> None:
        """Unfold what a member is in."""
        for outer in path_to(self._members, row.key):
            if bool(outer.member.name) is not (outer.key in self._toggled):
                self._toggled ^= {outer.key}

    @on(FilterBar.Changed)
    def _filter_changed(self) -> None:
        line_before = self.line
        self._arrange()
        if line_before is not None and not self._bar.filter.active:
            self.current.move_to(line_before)
        if self.members.display and self._bar.filter.active:
            first = next((i for i, row in enumerate(self.members.rows) if row.matches), 0)
            self.members.move_to(first)

    def _arrange(self) -> None:
        """Show what the filter leaves of what the view has."""
        matches = self._bar.filter
        empty = _NO_MATCH if matches.active else self._empty
        if self.members.display:
            if matches.active and not matches.inverted:
                rows = list(matching_rows(self._members, self._member_matches))
            else:
                rows = list(member_rows(self._members, self._toggled))
                if matches.inverted:
                    rows = [row for row in rows if self._member_matches(row)]
            self.members.show_rows(
                rows, empty=_NO_MATCH if matches.active else Empty("it has no members")
            )
        elif self.table.display:
            self._shown = self._rows
            if matches.active:
                self._shown = [row for row in self._rows if self._matches(row)]
            self.table.show_rows(self._shown, empty=empty)
        else:
            self._shown = list(self._lines)
            if matches.active:
                self._shown = [each for each in self._lines if matches.matches(plain(each))]
            self.text.show_lines(self._shown, empty=empty)
        self._count()

    def _count(self) -> None:
        if not self._bar.filter.active:
            return
        if self.members.display:
            found = sum(1 for row in self.members.rows if row.matches)
            inside = (
                member_rows(self._members, self._toggled)
                if self._bar.filter.inverted
                else matching_rows(self._members, lambda _: True)
            )
            total = sum(1 for _ in inside)
            self._bar.show_count(found, total)
        elif self.table.display:
            self._bar.show_count(len(self._shown), len(self._rows))
        else:
            self._bar.show_count(self.text.line_count(), len(self._lines))

    def _member_matches(self, row: MemberRow) -> bool:
        # By its path where one was typed; else what is in a member that matches would match, too.
        name = row.path if "." in self._bar.filter.source else row.member.name
        return self._bar.filter.matches(f"{name} {_text_of_member(row)}")

    def _matches(self, row: Any) -> bool:
        cells = (plain(line(column.cell(row))) for column in self.table.columns)
        return self._bar.filter.matches("  ".join(cells))


def _text_of_member(row: Any) -> str:
    if not isinstance(row, MemberRow):
        return str(row)
    member = row.member
    return f"{member.name} {member.type} {member.value} {member.meaning} {member.target}"
