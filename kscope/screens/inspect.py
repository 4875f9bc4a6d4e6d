"""Screen 5: kernel memory as objects, every pointer a door."""

from functools import partial
from typing import Any, ClassVar

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from kscope.model.base import Query
from kscope.model.expressions import Place, PlaceQuery
from kscope.screens.address_bar import AddressBar
from kscope.screens.base import DashboardScreen
from kscope.screens.bookmarks import Bookmark, BookmarkList, add_bookmark
from kscope.screens.inspect_following import Following
from kscope.screens.inspect_lines import path_line
from kscope.screens.inspect_pointers import (
    address_in,
    cast_place,
    linked_place,
    named_place,
    text_of_link,
)
from kscope.screens.inspect_prompts import ask_columns, ask_length, ask_mask, ask_note, ask_type
from kscope.screens.inspect_queries import MEMORY_BYTES
from kscope.screens.inspect_visits import Face, History, Visit
from kscope.screens.inspect_walks import array_of, visit_of_walk
from kscope.screens.links import AddressLink, Link, SymbolLink
from kscope.screens.member_memory import MemberMemory
from kscope.screens.member_rows import is_nested
from kscope.screens.place_view import PlaceView, WalkableTable
from kscope.screens.shown_place import ShownPlace
from kscope.widgets.filter_bar import FilterBar
from kscope.widgets.line_view import LineView
from kscope.widgets.one_line import OneLine
from kscope.widgets.overlay import toggle
from kscope.widgets.table import VirtualTable
from kscope.widgets.text_view import TextView

_MOST_KEPT = 30


class InspectAsLeft(msgspec.Struct, frozen=True):
    """What is kept of this screen from one run to the next."""

    way_here: tuple[Visit, ...] = ()
    """The last places, the one that is open last."""
    hexadecimal: bool = False


class InspectScreen(DashboardScreen):
    """A place in memory, with ways from it to others."""

    DIGIT: ClassVar[str] = "5"
    NAME: ClassVar[str] = "Inspect"
    OPENS: ClassVar[tuple[type[Any], ...]] = (AddressLink, SymbolLink)
    REMEMBERS: ClassVar[InspectAsLeft] = InspectAsLeft()
    HELP_HEADING: ClassVar[str] = "On the Inspect screen"
    DEFAULT_CSS = """
    InspectScreen > #inspect-path { padding: 0 1; }
    InspectScreen #inspect-pane { height: 1fr; }
    InspectScreen #inspect-memory-pane { height: 4; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "open", "open", id="inspect.open",
                tooltip="open an address, a symbol, a type, a task, a member path"),
        Binding("x", "face('memory')", "hex", id="inspect.memory",
                tooltip="memory as it lies, its pointers named; again for words of 8 to 64 bits"),
        Binding("t", "cast", "cast", id="inspect.cast", tooltip="look at it as another type"),
        Binding("f", "face('search')", "who points here", id="inspect.search",
                tooltip="search all memory for this address; again for a mask of bits to ignore"),
        Binding("F", "search_stacks", "on stacks", show=False, id="inspect.search-stacks",
                tooltip="search the kernel stacks for this address; again for a mask"),
        Binding("i", "face('address')", "what is this", show=False, id="inspect.address",
                tooltip="symbol, slab, page, page tables of the address"),
        Binding("d", "face('code')", "code", show=False, id="inspect.code",
                tooltip="disassemble what is there"),
        Binding("O", "face('layout')", "offsets", show=False, id="inspect.layout",
                tooltip="types and offsets only, as struct -o"),
        Binding("m", "face('members')", "members", show=False, id="inspect.members",
                tooltip="the object's members again"),
        Binding("r", "base", "decimal or hexadecimal", show=False, id="inspect.base"),
        Binding("e", "byte_order", "byte order", show=False, id="inspect.byte-order",
                tooltip="words of memory with their highest or lowest byte first"),
        Binding("greater_than_sign", "memory_page(1)", "further memory", show=False,
                id="inspect.memory-further"),
        Binding("less_than_sign", "memory_page(-1)", "memory before", show=False,
                id="inspect.memory-before"),
        Binding("T", "follow_as", "follow as", show=False, id="inspect.follow-as",
                tooltip="follow the pointer as a pointer to another type"),
        Binding("u", "container", "what holds it", show=False, id="inspect.container",
                tooltip="types that fit what the address lies in"),
        Binding("C", "columns", "columns", show=False, id="inspect.columns",
                tooltip="choose the members that a walk shows of each element"),
        Binding("number_sign", "length", "array length", show=False, id="inspect.length",
                tooltip="look at it as an array of so many"),
        Binding("slash", "filter", "filter", id="inspect.filter",
                tooltip="only what matches, also in what is folded; ! inverts"),
        Binding("escape", "no_filter", "no filter", show=False, id="inspect.no-filter"),
        Binding("b", "bookmark", "bookmark", show=False, id="inspect.bookmark",
                tooltip="keep this place with a note"),
        Binding("B", "bookmarks", "bookmarks", show=False, id="inspect.bookmarks"),
        Binding("right_square_bracket", "forward", "forward", show=False, id="inspect.forward",
                tooltip="forward again after going back"),
        Binding("c", "copy_expression", "copy C", show=False, id="inspect.copy-expression",
                tooltip="copy the way here as a C expression"),
    ]  # fmt: skip

    def compose(self) -> ComposeResult:
        self._history = History()
        self._path = OneLine(id="inspect-path")
        self._pane = PlaceView(id="inspect-pane")
        memory = MemberMemory(self)
        self._shown = ShownPlace(self, self._pane, memory)
        self._following = Following(
            self, self._shown, self._pane, memory, go=self._go, open_text=self._open_text
        )
        yield self._path
        yield self._pane
        yield memory

    def on_mount(self) -> None:
        """Begin with the task that everything else can be reached from."""
        super().on_mount()
        if self._visit is None:
            self._open_text("init_task")

    def on_resize(self) -> None:
        """Other columns; without the pane for memory where there is little room."""
        super().on_resize()
        self.set_class(self.size.height < 18, "-no-memory")
        self._shown.fit()
        self._show_path()

    def focus_first(self) -> None:
        """What shows the place."""
        self._pane.current.focus(scroll_visible=False)

    # Places.

    @property
    def _visit(self) -> Visit | None:
        return self._history.current

    def follow(self, link: Link) -> None:
        """Open an address, as its type where that is known, or a symbol."""
        text = text_of_link(link)
        if text:
            self._open_text(text)

    def _open_text(self, text: str) -> None:
        self._keep_cursor()
        self.ask(PlaceQuery(text=text), partial(self._open_place, text), into=self._pane.current,
                 what="looking it up", group="place")  # fmt: skip

    def _open_place(self, text: str, place: Place) -> None:
        self._go(named_place(text, place))

    def _go(self, visit: Visit) -> None:
        self._keep_cursor()
        self._history.go(visit)
        self._show_visit()

    def go_back_within(self) -> bool:
        """Without a filter; to the face or place before."""
        visit = self._visit
        if self._pane.is_filtered:
            self._pane.give_up_filter()
            return True
        if visit is not None and visit.is_aside:
            visit.face = "members"
            self._show_visit()
            return True
        self._keep_cursor()
        if self._history.back():
            self._show_visit()
            return True
        return False

    def action_forward(self) -> None:
        """To where the reader went back from."""
        self._keep_cursor()
        if self._history.forward():
            self._show_visit()
        else:
            self.app.bell()

    def _keep_cursor(self) -> None:
        row = self._shown.row
        if self._visit is not None and row is not None:
            self._visit.cursor = row.key
        if self._visit is not None and self._pane.line is not None:
            self._visit.lines[self._visit.face] = self._pane.line

    def place(self) -> object:
        """The current place."""
        return self._visit

    def go_to(self, place: object) -> None:
        """Back to a place."""
        if isinstance(place, Visit) and place != self._visit:
            self._go(place)

    def remembered(self) -> InspectAsLeft | None:
        """The places on the way here, with their faces and what was unfolded."""
        self._keep_cursor()
        way_here = tuple(self._history.way_here[-_MOST_KEPT:])
        return InspectAsLeft(way_here, self._shown.hexadecimal) if way_here else None

    def restore(self, remembered: InspectAsLeft) -> None:
        """Open the place again, and the way back from it."""
        way_here = remembered.way_here
        # A place that cannot be shown is none that was kept by this version.
        if not way_here or not all(visit.can_be_shown for visit in way_here):
            return
        # The place that one begins with is on its way.
        self.workers.cancel_group(self, "place")
        self._shown.hexadecimal = remembered.hexadecimal
        self._shown.fit()
        self._history.restore(way_here)
        self._show_visit()

    def query_in_focus(self) -> Query[Any] | None:
        """What is shown, with the address as a number."""
        return None if self._visit is None else self._shown.query_for(self._visit)

    def _show_visit(self) -> None:
        if self._visit is not None:
            self._show_path()
            self._shown.show(self._visit)

    def _show_path(self) -> None:
        if self._visit is not None:
            self._path.show(path_line(self._history.path, self.size.width - 2))

    # What happens in the pane.

    @on(FilterBar.Changed)
    def _filter_changed(self) -> None:
        self._shown.cursor_moved()

    @on(LineView.CursorMoved)
    def _cursor_moved(self, message: LineView.CursorMoved) -> None:
        if message.view is self._pane.current:
            self._shown.cursor_moved()

    @on(VirtualTable.FoldRequested)
    def _fold_requested(self, message: VirtualTable.FoldRequested) -> None:
        message.stop()
        self._pane.toggle(self._pane.members.rows[message.index])

    @on(LineView.Chosen)
    def _chosen(self, message: LineView.Chosen) -> None:
        message.stop()
        if self._visit is not None and isinstance(message.view, VirtualTable):
            self._following.enter(self._visit, message.view.cursor_row)

    def action_container(self) -> None:
        """What the place lies in."""
        visit = self._visit
        if visit is not None and visit.address is not None:
            self._following.enter_container(visit, visit.address)

    def on_text_view_link_followed(self, message: TextView.LinkFollowed) -> None:
        """A link in memory or code stays on this screen."""
        message.stop()
        message.prevent_default()
        if isinstance(message.target, AddressLink):
            text = f"{message.target.address:#x}"
            self._keep_cursor()  # while the lines are there: the question takes their place
            self.ask(PlaceQuery(text=text), lambda place: self._go(linked_place(text, place)),
                     into=self._pane.current, what="looking it up", group="place")  # fmt: skip

    @on(WalkableTable.WalkRequested)
    def _walk_requested(self, message: WalkableTable.WalkRequested) -> None:
        """The elements of the list, tree or array under the cursor."""
        message.stop()
        row, visit = self._shown.row, self._visit
        if visit is None or visit.face != "members" or row is None:
            self.app.bell()
            return
        walk = visit_of_walk(visit, row)
        if walk is None:
            self._shown.say(f"{row.path} is no list, tree or array")
        else:
            self._go(walk)

    # Keys: another look at the place.

    async def action_face(self, face: Face) -> None:
        """Look at the place another way; the same way again, vary it."""
        visit = self._visit
        if visit is None or not visit.may_show(face):
            self.app.bell()
        elif face == "search":
            await self._search(visit, stacks_only=False)
        else:
            self._keep_cursor()
            if face == visit.face == "memory":
                self._shown.words.next_width()
            elif face == visit.face == "code":
                visit.next_code_part()
            visit.face = face
            self._show_visit()

    async def action_search_stacks(self) -> None:
        """Search the kernel stacks only."""
        visit = self._visit
        if visit is None or not visit.may_show("search"):
            self.app.bell()
        else:
            await self._search(visit, stacks_only=True)

    async def _search(self, visit: Visit, *, stacks_only: bool) -> None:
        """Search for the address; where that is open, ask which bits are to be ignored."""

        def search(mask: str) -> None:
            visit.mask = mask
            visit.lines.pop("search", None)
            self._show_visit()

        if visit.face == "search" and visit.stacks_only is stacks_only:
            await toggle(self.screen, ask_mask(visit.mask, search))
        else:
            self._keep_cursor()
            if visit.stacks_only is not stacks_only:
                visit.lines.pop("search", None)
            visit.face, visit.stacks_only = "search", stacks_only
            self._show_visit()

    def action_base(self) -> None:
        """Numbers in decimal or hexadecimal."""
        self._shown.hexadecimal = not self._shown.hexadecimal
        self._shown.fit()

    def action_byte_order(self) -> None:
        """The other byte order for words of memory."""
        visit = self._visit
        if visit is None or visit.face != "memory":
            self.app.bell()
            return
        self._keep_cursor()
        visit.big_endian = not visit.big_endian
        self._show_visit()

    def action_memory_page(self, by: int) -> None:
        """The memory that follows what is shown, or that comes before it."""
        visit = self._visit
        if visit is None or visit.address is None or visit.face != "memory":
            self.app.bell()
            return
        start = visit.address if visit.memory_start is None else visit.memory_start
        visit.memory_start = start + by * MEMORY_BYTES
        visit.lines.pop("memory", None)
        self._show_visit()

    def action_filter(self) -> None:
        """Hide what does not match."""
        self._pane.open_filter()

    def action_no_filter(self) -> None:
        """Show everything again."""
        self._pane.give_up_filter()

    # Keys that ask something.

    async def action_open(self) -> None:
        """Type where to go."""
        await toggle(self.screen, AddressBar(self.dashboard.session, self._open_place))

    async def action_cast(self) -> None:
        """Look at the structure, union or array under the cursor, at a member within one, or else
        at the place as another type."""
        visit, row = self._visit, self._shown.row
        if visit is None or visit.address is None:
            self.app.bell()
        elif visit.face == "members" and row is not None and is_nested(row):
            address = visit.address + row.member.offset
            await self._ask_type(row.path, address, f"&{visit.member(row.path)}")
        else:
            await self._ask_type("", visit.address, visit.expression)

    async def action_follow_as(self) -> None:
        """Follow the pointer under the cursor as another type."""
        visit, row = self._visit, self._shown.row
        if visit is None or row is None or row.member.kind != "pointer":
            self.app.bell()
            return
        address = address_in(row)
        if address is not None:
            await self._ask_type(row.path, address, visit.member(row.path))

    async def _ask_type(self, member: str, address: int, pointer: str) -> None:
        def opened(text: str, place: Place) -> None:
            self._go(cast_place(pointer, member, address, text, place))

        await toggle(self.screen, ask_type(self.dashboard.session, member, address, opened))

    async def action_columns(self) -> None:
        """Choose what a walk shows of each element."""
        visit, walk = self._visit, self._shown.walk
        if visit is None or visit.face != "walk" or walk is None:
            self.app.bell()
        else:
            await toggle(
                self.screen, ask_columns(walk, partial(self._shown.show_walk_with, visit, walk))
            )

    async def action_length(self) -> None:
        """Look at the place as an array of so many."""
        visit = self._visit
        if visit is None or visit.address is None or not visit.type:
            self.app.bell()
        else:
            box = ask_length(lambda length: self._go(array_of(visit, length)))
            await toggle(self.screen, box)

    async def action_bookmark(self) -> None:
        """Keep the place."""
        visit = self._visit
        if visit is None:
            return
        text = visit.as_typed

        def add(note: str) -> None:
            add_bookmark(self.dashboard.identity, Bookmark(text, note))
            self._shown.say(f"kept: {text}", role="good")

        await toggle(self.screen, ask_note(text, add))

    async def action_bookmarks(self) -> None:
        """Choose among the places that were kept."""
        await toggle(self.screen, BookmarkList(self.dashboard.identity, self._open_text))

    def action_copy_expression(self) -> None:
        """Copy C for what is under the cursor, or for the place."""
        visit, row = self._visit, self._shown.row
        if visit is None:
            return
        text = visit.expression
        if visit.face == "members" and row is not None:
            text = visit.member(row.path)
        self.dashboard.copy(text)
