"""Places that one wants to find again in this dump, each with a note, kept from run to run."""

import hashlib
from collections.abc import Callable
from typing import ClassVar

import msgspec
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from kscope.model.target import Identity
from kscope.screens.remembered import keep, recall
from kscope.widgets.line_view import LineView
from kscope.widgets.overlay import Overlay
from kscope.widgets.states import Empty
from kscope.widgets.table import Column, VirtualTable


class Bookmark(msgspec.Struct, frozen=True):
    """A place and why it matters."""

    text: str
    """What the address bar takes."""
    note: str


class Bookmarks(msgspec.Struct, frozen=True):
    """Those of one dump, the latest last."""

    places: tuple[Bookmark, ...] = ()


def _name(identity: Identity | None) -> str:
    """A dump is known by what it is of and when that crashed, wherever its file lies."""
    if identity is None:
        return "bookmarks"
    what = f"{identity.build_id} {identity.nodename} {identity.crash_time_seconds}"
    if identity.crash_time_seconds is None:
        what += identity.path
    return f"bookmarks-{hashlib.sha256(what.encode()).hexdigest()[:16]}"


def bookmarks(identity: Identity | None) -> Bookmarks:
    """The bookmarks of a dump."""
    return recall(_name(identity), Bookmarks())


def add_bookmark(identity: Identity | None, bookmark: Bookmark) -> None:
    """Keep a place; a note for the same place again replaces the old one."""
    others = tuple(each for each in bookmarks(identity).places if each.text != bookmark.text)
    keep(_name(identity), Bookmarks((*others, bookmark)))


def remove_bookmark(identity: Identity | None, bookmark: Bookmark) -> None:
    """Forget a place."""
    others = tuple(each for each in bookmarks(identity).places if each != bookmark)
    keep(_name(identity), Bookmarks(others))


class BookmarkList(Overlay):
    """The bookmarks to choose from."""

    HELP_HEADING: ClassVar[str] = "In the bookmarks"
    WANTED: ClassVar[tuple[int, int]] = (90, 16)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("delete,x", "forget", "forget it", id="bookmarks.forget"),
    ]

    def __init__(self, identity: Identity | None, choose: Callable[[str], None]) -> None:
        """:param choose: called with what the address bar takes."""
        super().__init__("Bookmarks", subtitle="enter opens · x forgets · esc closes")
        self._identity = identity
        self._choose = choose
        self._table = VirtualTable[Bookmark](
            Column("", lambda each: each.text), Column("", lambda each: each.note, role="dim")
        )

    def compose(self) -> ComposeResult:
        self.compose_add_child(self._table)
        yield from super().compose()

    def on_mount(self) -> None:
        """Show them."""
        super().on_mount()
        self._show()
        self._table.focus(scroll_visible=False)

    def _show(self) -> None:
        places = bookmarks(self._identity).places
        self._table.show_rows(places, empty=Empty("there is none", "b keeps the place you are at"))

    def action_forget(self) -> None:
        """Remove the one under the cursor."""
        row = self._table.cursor_row
        if row is not None:
            remove_bookmark(self._identity, row)
            self._show()

    def on_line_view_chosen(self, message: LineView.Chosen) -> None:
        """Open it."""
        message.stop()
        row = self._table.cursor_row
        if row is not None:
            self.close()
            self._choose(row.text)
