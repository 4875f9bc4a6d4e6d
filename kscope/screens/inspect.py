"""Screen 5: kernel memory as objects, every pointer a door."""

from functools import partial
from time import monotonic
from typing import Any, ClassVar

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.timer import Timer

from kscope.model.address import AddressQuery, AddressState
from kscope.model.base import Query, QueryError
from kscope.model.code import Code
from kscope.model.expressions import Place, PlaceQuery
from kscope.model.list import Walk, WalkRow
from kscope.model.memory import Memory, MemoryQuery
from kscope.model.search import Hit, Search, ignored_bits
from kscope.model.struct import Member, StructQuery, Structure
from kscope.screens.address_bar import AddressBar
from kscope.screens.ask_line import AskLine
from kscope.screens.base import DashboardScreen
from kscope.screens.bookmarks import Bookmark, BookmarkList, add_bookmark
from kscope.screens.inspect_lines import (
    address_lines,
    code_lines,
    code_position,
    hit_columns,
    layout_lines,
    memory_line,
    memory_lines,
    walk_columns,
)
from kscope.screens.inspect_queries import (
    ELEMENTS_OF_PLACE,
    MEMORY_BYTES,
    WordForm,
    array_of,
    likely_columns,
    more_elements,
    node_in,
    per_cpu_copies,
    query_of,
    telling_columns,
    visit_of_walk,
    with_columns,
)
from kscope.screens.inspect_visits import CodePart, Face, History, Visit
from kscope.screens.links import AddressLink, Link, SymbolLink
from kscope.screens.member_rows import MemberRow, member_title
from kscope.screens.place_view import PlaceView, WalkableTable
from kscope.screens.type_chooser import TypeChooser
from kscope.widgets.filter_bar import FilterBar
from kscope.widgets.line import Span, line
from kscope.widgets.line_view import LineView
from kscope.widgets.one_line import OneLine
from kscope.widgets.overlay import toggle
from kscope.widgets.pane import Pane
from kscope.widgets.states import Empty, Failed
from kscope.widgets.table import VirtualTable
from kscope.widgets.text_view import TextView

_TELLING_SECONDS = 0.5
"""A search must run for so long that its rate says something."""
_DELAY = 0.05
"""Seconds the cursor rests on a member before its memory is asked for."""
_TITLES: dict[Face, str] = {
    "members": "", "layout": "Layout of ", "memory": "Memory at ", "code": "",
    "address": "What is at ", "search": "Who points at ", "walk": "",
}  # fmt: skip
_NEXT_PART: dict[CodePart, CodePart] = {"": "to here", "to here": "from here", "from here": ""}
_TAGS = "7"
"""The bits of a pointer that the kernel keeps something else in: all its objects are aligned."""
_ABOUT_A_VISIT = ("inspect", "member memory", "types", "elements", "columns")
"""Groups of questions whose answers say nothing about the next place or face."""
_MOST_KEPT = 30
_LONGEST_LENGTH = 9
"""Digits of an array's length."""


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
    InspectScreen.-no-memory #inspect-memory-pane { display: none; }
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
        self._structure: Structure | None = None
        self._walk: Walk | None = None
        self._memory_timer: Timer | None = None
        self._remark = ""
        self._asked_at = 0.0
        self._hexadecimal = False
        self._words = WordForm()
        self._path = OneLine(id="inspect-path")
        self._pane = PlaceView(id="inspect-pane")
        self._memory = TextView(id="inspect-memory")
        self._memory.can_focus = False
        self._memory_pane = Pane("Memory", self._memory, id="inspect-memory-pane")
        yield self._path
        yield self._pane
        yield self._memory_pane

    def on_mount(self) -> None:
        """Begin with the task that everything else can be reached from."""
        super().on_mount()
        if self._history.current is None:
            self._open_text("init_task")

    def on_resize(self) -> None:
        """Other columns; without the pane for memory where there is little room."""
        super().on_resize()
        self.set_class(self.size.height < 18, "-no-memory")
        self._show_columns()

    def focus_first(self) -> None:
        """What shows the place."""
        self._view.focus(scroll_visible=False)

    # Places.

    @property
    def _visit(self) -> Visit | None:
        return self._history.current

    def follow(self, link: Link) -> None:
        """Open an address, as its type where that is known, or a symbol."""
        if isinstance(link, AddressLink):
            self._open_text(f"{link.type} {link.address:#x}" if link.type else f"{link.address:#x}")
        elif isinstance(link, SymbolLink):
            self._open_text(f"{link.name}+{link.offset:#x}" if link.offset else link.name)

    def _open_text(self, text: str) -> None:
        self.ask(PlaceQuery(text=text), partial(self.open_place, text), into=self._view,
                 what="looking it up", group="place")  # fmt: skip

    def open_place(self, text: str, place: Place) -> None:
        """Go to a place that was named."""
        face: Face = "members"
        if place.kind == "type":
            face = "layout"
        elif place.kind == "code":
            face = "code"
        elif place.kind == "memory":
            face = "address"
        visit = Visit(
            expression=place.expression,
            address=None if place.address is None else int(place.address),
            type=place.type,
            label=text,
            face=face,
            members=place.members,
            query_type=place.expression if "<anonymous>" in place.type else "",
        )
        if place.copies:
            visit.face = "walk"
            visit.walk = per_cpu_copies(text if ":" in text else place.expression, place.type)
        self._go(visit)

    def _go(self, visit: Visit) -> None:
        self._keep_cursor()
        self._history.go(visit)
        self._show_visit()

    def go_back_within(self) -> bool:
        """Without a filter; to the face or place before."""
        if self._pane.is_filtered:
            self._pane.give_up_filter()
            return True
        visit = self._visit
        if visit is not None and visit.face != "members" and visit.type and visit.address:
            started = self._history.path[-1]
            if started.walk is None and visit.face not in ("layout",):
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
        row = self._members.cursor_row
        if self._visit is not None and isinstance(row, MemberRow):
            self._visit.cursor = row.key

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
        return InspectAsLeft(way_here, self._hexadecimal) if way_here else None

    def restore(self, remembered: InspectAsLeft) -> None:
        """Open the place again, and the way back from it."""
        if not remembered.way_here:
            return
        # The place that one begins with is on its way.
        self.workers.cancel_group(self, "place")
        self._hexadecimal = remembered.hexadecimal
        self._history.restore(remembered.way_here)
        self._show_visit()

    # Faces.

    @property
    def _view(self) -> LineView:
        return self._pane.current

    @property
    def _members(self) -> VirtualTable[Any]:
        return self._pane.members

    async def action_face(self, face: Face) -> None:
        """Look at the place another way."""
        visit = self._visit
        if visit is None or (visit.address is None and face != "layout"):
            self.app.bell()
            return
        if face in ("members", "layout") and not visit.type:
            self.app.bell()
            return
        if face == "search" and _shows_search(visit, stacks_only=False):
            await self._ask_mask(visit)
            return
        if face == visit.face:
            self._vary(visit)
        visit.stacks_only = False
        visit.face = face
        self._show_visit()

    async def action_search_stacks(self) -> None:
        """Search the kernel stacks only."""
        visit = self._visit
        if visit is None or visit.address is None:
            self.app.bell()
        elif _shows_search(visit, stacks_only=True):
            await self._ask_mask(visit)
        else:
            visit.face, visit.stacks_only = "search", True
            self._show_visit()

    async def _ask_mask(self, visit: Visit) -> None:
        """Ask which bits the search that is open is to ignore."""

        def search(mask: str) -> None:
            visit.mask = mask
            self._show_visit()

        mask = visit.mask or _TAGS
        hint = "none: only what is equal"
        asked = AskLine("Bits to ignore", search, value=mask, hint=hint, check=ignored_bits)
        await toggle(self.screen, asked)

    def _vary(self, visit: Visit) -> None:
        """The face that is open, once more: memory in other words, another part of the code."""
        if visit.face == "memory":
            self._words.bits = {64: 8, 8: 16, 16: 32, 32: 64}[self._words.bits]
        elif visit.face == "code":
            visit.code_part = _NEXT_PART[visit.code_part]

    def _show_visit(self) -> None:
        visit = self._visit
        if visit is None:
            return
        self._show_path()
        self._memory_pane.display = visit.face == "members"
        self._structure = None
        for group in _ABOUT_A_VISIT:
            self.workers.cancel_group(self, group)
        query = self.query_in_focus()
        show, view, what = self._shower(visit)
        self._pane.display_view(view)
        self._pane.show_title(self._title(visit))
        self._remark = ""
        self._asked_at = monotonic()
        self._pane.show_subtitle("")
        if query is not None:
            self.ask(query, show, into=view, what=what, group="inspect", parts=True)
        self.equivalent_changed()

    def _shower(self, visit: Visit) -> tuple[Any, LineView, str]:
        members, table, text = self._pane.members, self._pane.table, self._pane.text
        showers: dict[Face, tuple[Any, LineView, str]] = {
            "members": (self._show_structure, members, "reading it"),
            "layout": (self._show_layout, text, "reading the type"),
            "memory": (self._show_memory, text, "reading memory"),
            "code": (self._show_code, text, "decoding"),
            "address": (self._show_address, text, "looking it up"),
            "search": (self._show_hits, table, "searching"),
            "walk": (self._show_walk, table, "walking"),
        }
        return showers[visit.face]

    def query_in_focus(self) -> Query[Any] | None:
        """What is shown, with the address as a number."""
        return None if self._visit is None else query_of(self._visit, self._words)

    def _title(self, visit: Visit) -> str:
        if visit.face == "code" and visit.address is not None:
            return "Code"
        if visit.face == "walk" and visit.walk is not None:
            return f"{visit.label}"
        subject = visit.type if visit.face in ("members", "layout") else f"{visit.address or 0:x}"
        where = " on kernel stacks" if visit.face == "search" and visit.stacks_only else ""
        ignored = ignored_bits(visit.mask) if visit.face == "search" else 0
        but_for = f" but for bits {ignored:x}" if ignored else ""
        return f"{_TITLES[visit.face]}{subject}{where}{but_for}"

    def _show_path(self) -> None:
        path = self._history.path
        spans: list[Span] = []
        for visit in path[:-1]:
            spans += [Span(visit.label, "dim"), Span(" › ", "accent")]
        last = path[-1]
        if len(path) > 1 or last.label != last.name:
            if last.label not in (last.name, ""):
                spans += [Span(last.label, "dim"), Span(" › ", "accent")]
            spans.append(Span(last.name, "strong"))
        else:
            spans.append(Span(last.name, "strong"))
        self._path.show(line(spans))

    # Members.

    def _show_structure(self, structure: Structure) -> None:
        self._structure = structure
        self._show_columns()
        self._show_members()
        visit = self._visit
        if visit is not None and visit.cursor:
            self._members.move_to_key(visit.cursor)
        elif visit is not None and visit.members:
            self._move_to_path(visit.members.split(",")[0])

    def _move_to_path(self, path: str) -> None:
        for index, row in enumerate(self._members.rows):
            if row.path == path:
                self._members.move_to(index)
                return

    def _show_columns(self) -> None:
        cells = max(self.size.width - 4, 40)
        self._pane.show_member_columns(cells, hexadecimal=self._hexadecimal)

    def _show_members(self) -> None:
        structure, visit = self._structure, self._visit
        if structure is None or visit is None:
            return
        self._pane.show_members(structure.members, visit.toggled)
        self._moved()

    @on(VirtualTable.FoldRequested)
    def _fold_requested(self, message: VirtualTable.FoldRequested) -> None:
        message.stop()
        self._pane.toggle(self._members.rows[message.index])

    @on(LineView.CursorMoved)
    def _cursor_moved(self, message: LineView.CursorMoved) -> None:
        if message.view is self._view:
            self._moved()

    def _moved(self) -> None:
        visit = self._visit
        position = " · ".join(filter(None, (self._remark, self._view.position)))
        if visit is not None and visit.face == "members" and self._structure is not None:
            size = self._structure.size
            position = f"{size:,} bytes · {position}" if size is not None else position
            if self._memory_timer is not None:
                self._memory_timer.stop()
            self._memory_timer = self.set_timer(_DELAY, self._ask_memory)
        self._pane.show_subtitle(position)

    def _ask_memory(self) -> None:
        """The memory of the member under the cursor, once it rests there."""
        visit, row = self._visit, self._members.cursor_row
        if visit is None or visit.address is None or visit.face != "members":
            return
        if not isinstance(row, MemberRow) or self.has_class("-no-memory"):
            return
        start = (visit.address + row.member.offset) & ~0xF
        query = MemoryQuery(address=f"{start:#x}", count=4, symbols=True)
        self.ask(query, self._show_member_memory, into=self._memory, what="reading memory",
                 group="member memory")  # fmt: skip

    def _show_member_memory(self, memory: Memory) -> None:
        row = self._members.cursor_row
        # In full, what the columns may have cut.
        self._memory_pane.show_title(member_title(row) if isinstance(row, MemberRow) else "Memory")
        lines = [memory_line(memory, each) for each in memory.lines]
        if memory.what and lines:
            lines[0] = [*lines[0], Span(f"  {memory.what}", "dim")]
        self._memory.show_lines(lines)

    # Following.

    @on(LineView.Chosen)
    def _chosen(self, message: LineView.Chosen) -> None:
        message.stop()
        row = message.view.cursor_row if isinstance(message.view, VirtualTable) else None
        if isinstance(row, MemberRow):
            self._enter_member(row)
        elif isinstance(row, WalkRow):
            self._enter_element(row)
        elif isinstance(row, Hit):
            self._open_text(f"{row.address:#x}")

    def _enter_member(self, row: MemberRow) -> None:
        member = row.member
        if row.more:
            self._more_elements(row)
        elif row.is_open is not None:
            self._pane.toggle(row)
        elif member.kind == "pointer":
            self._follow_pointer(row)
        elif member.target and isinstance(member.value, int):
            self._open_text(f"{member.value & (1 << 64) - 1:#x}")
        else:
            self.app.bell()

    def _follow_pointer(self, row: MemberRow) -> None:
        member, visit = row.member, self._visit
        assert visit is not None
        address = int(str(member.value), 16)
        if member.target_kind in ("null", "small", "error", "poison", "non-canonical"):
            self._say(f"{row.path} is {member.target}: there is nothing to follow")
            return
        pointed = member.points_to
        tag = pointed.removeprefix("struct ")
        if member.target_kind == "function" or "(" in pointed:
            self._followed(row, address, "", "code")
        elif not pointed or node_in(pointed):
            self._offer_types(row, address, tag)
        elif pointed.startswith(("struct ", "union ")) and "<anonymous>" not in pointed:
            self._followed(row, address, pointed, "members")
        elif pointed == "char":
            self._followed(row, address, "", "memory")
        else:
            self._followed(row, address, pointed, "members")

    def _followed(self, row: MemberRow, address: int, type_: str, face: Face) -> None:
        assert self._visit is not None
        self._go(
            Visit(
                expression=self._visit.member(row.path), address=address, type=type_,
                label=row.path, face=face, is_start=False,
            )
        )  # fmt: skip

    def _offer_types(self, row: MemberRow, address: int, node: str) -> None:
        """Of a ``void *``, or a pointer to a part of something: which types fit."""
        query = AddressQuery(address=f"{address:#x}", node=node)
        self.ask(query, partial(self._choose_type, row, address), into=self._memory,
                 what="looking it up", group="types")  # fmt: skip

    def _choose_type(self, row: MemberRow | None, address: int, state: AddressState) -> None:
        self._moved()
        label = row.path if row is not None else ""
        certain = [each for each in state.types if each.certain]
        if len(certain) == 1 and (row is not None):
            self._enter_type(label, certain[0].type, int(certain[0].start))
            return
        if not state.types:
            if row is not None and row.member.points_to:
                self._followed(row, address, row.member.points_to, "members")
            else:
                self._go(Visit(f"(void *){address:#x}", address, label=label, face="address",
                               is_start=False))  # fmt: skip
            return
        if self.display:  # else the reader is on another screen, where it would take their keys
            chooser = TypeChooser(state.types, partial(self._enter_type, label))
            self.call_later(toggle, self.screen, chooser)

    def _enter_type(self, label: str, type_: str, start: int) -> None:
        self._go(Visit(f"({type_} *){start:#x}", start, type_, label, is_start=False))

    def action_container(self) -> None:
        """What the address, or the pointer under the cursor, lies in."""
        visit = self._visit
        if visit is None or visit.address is None:
            return
        query = AddressQuery(address=f"{visit.address:#x}", node=node_in(visit.type) or "list_head")
        self.ask(query, partial(self._choose_type, None, visit.address), into=self._memory,
                 what="looking it up", group="types")  # fmt: skip

    def on_text_view_link_followed(self, message: TextView.LinkFollowed) -> None:
        """A link in memory or code stays on this screen."""
        message.stop()
        message.prevent_default()
        target = message.target
        if isinstance(target, AddressLink):
            self._open_text(f"{target.address:#x}")

    def _more_elements(self, row: MemberRow) -> None:
        assert self._visit is not None
        query = more_elements(self._visit, row)
        self.ask(query, partial(self._add_elements, row), into=self._memory,
                 what="reading the array", group="elements")  # fmt: skip

    def _add_elements(self, row: MemberRow, more: Structure) -> None:
        if self._structure is None or not more.members:
            return
        fresh = more.members[0].members
        members = _with_elements(self._structure.members, row.member, fresh)
        self._structure = msgspec.structs.replace(self._structure, members=members)
        self._show_members()

    # Walking.

    @on(WalkableTable.WalkRequested)
    def _walk_requested(self, message: WalkableTable.WalkRequested) -> None:
        """The elements of the list, tree or array under the cursor."""
        message.stop()
        row, visit = self._members.cursor_row, self._visit
        if visit is None or visit.face != "members" or not isinstance(row, MemberRow):
            self.app.bell()
            return
        walk = visit_of_walk(visit, row)
        if walk is None:
            self._say(f"{row.path} is no list, tree or array")
        else:
            self._go(walk)

    def _show_walk(self, walk: Walk) -> None:
        visit = self._visit
        if visit is None:
            return
        better = None if visit.walk is None else telling_columns(walk, visit.walk)
        if better is not None:
            visit.walk = better
            self._show_visit()
            return
        if walk.first == 0:
            self._pane.show_rows(walk.rows, walk_columns(walk), Empty("it is empty"))
        else:
            self._pane.add_rows(walk.rows)
        self._walk = walk
        self._pane.show_title(_walk_title(visit, walk))
        self._moved()
        if walk.broken is not None:
            if walk.rows or walk.first:
                self._pane.show_remark(f"! {walk.broken.sentence}", "critical")
            else:
                self._pane.table.show_state(Failed(walk.broken.sentence))
        elif walk.truncated:
            self._pane.show_remark(f"there are more than {len(walk.rows):,}", "warning")
        # Last: where the answer is remembered, the walk with its columns is shown from in here.
        if walk.entry_type and not walk.columns and visit.walk is not None:
            self.ask(StructQuery(type=walk.entry_type, offsets=True), partial(self._chose, walk),
                     into=self._memory, what="reading the type", group="columns")  # fmt: skip

    def _chose(self, walk: Walk, structure: Structure) -> None:
        """Of elements of a type that no columns are known for: some that are likely to tell."""
        visit = self._visit
        likely = likely_columns(structure)
        if visit is not None and visit.walk is not None and visit.face == "walk" and likely:
            visit.walk = with_columns(walk, visit.walk, likely)
            self._show_visit()

    def _enter_element(self, row: WalkRow) -> None:
        walk = self._walk
        if walk is None or not walk.entry_type:
            self._open_text(f"{row.entry:#x}")
            return
        type_ = walk.entry_type
        self._go(Visit(f"({type_} *){row.entry:#x}", int(row.entry), type_, "", is_start=False))

    # The other faces.

    def _show_layout(self, structure: Structure) -> None:
        self._pane.show_lines(layout_lines(structure), Empty("it has no members"))
        self._pane.show_subtitle(f"{structure.size:,} bytes" if structure.size is not None else "")

    def _show_memory(self, memory: Memory) -> None:
        self._remark = memory.what
        self._pane.show_lines(memory_lines(memory))

    def _show_code(self, code: Code) -> None:
        self._pane.show_lines(code_lines(code))
        self._pane.text.move_to(code_position(code))
        module = f" [{code.module}]" if code.module else ""
        part = f" {visit.code_part}" if (visit := self._visit) and visit.code_part else ""
        self._pane.show_title(f"Code of {code.function}{module}{part}" if code.function else "Code")
        if code.note:
            self._say(code.note)

    def _show_address(self, state: AddressState) -> None:
        self._pane.show_lines(address_lines(state), Empty("nothing is known of it"))

    def _show_hits(self, search: Search) -> None:
        visit = self._visit
        if visit is None:
            return
        if search.first == 0:
            hits_as = hit_columns(stacks=visit.stacks_only)
            self._pane.show_rows(search.hits, hits_as, Empty("nothing points here"))
        else:
            self._pane.add_rows(search.hits)
        megabytes = search.bytes_searched / 1e6
        seconds = monotonic() - self._asked_at
        rate = f" at {megabytes / seconds:,.0f} MB/s" if seconds > _TELLING_SECONDS else ""
        self._remark = f"{megabytes:,.0f} MB searched{rate}"
        self._moved()

    # Keys.

    async def action_open(self) -> None:
        """Type where to go."""
        await toggle(self.screen, AddressBar(self.dashboard.session, self.open_place))

    async def action_cast(self) -> None:
        """Look at the place as another type."""
        if self._visit is not None and self._visit.address is not None:
            await self._ask_type(self._visit.address)

    async def action_follow_as(self) -> None:
        """Follow the pointer under the cursor as another type."""
        row = self._members.cursor_row
        if isinstance(row, MemberRow) and row.member.kind == "pointer":
            await self._ask_type(int(str(row.member.value), 16))
        else:
            self.app.bell()

    async def _ask_type(self, address: int) -> None:
        bar = AddressBar(
            self.dashboard.session, self._cast_to, title=f"{address:x} as",
            prefix="struct ", suffix=f" {address:#x}",
        )  # fmt: skip
        await toggle(self.screen, bar)

    def _cast_to(self, text: str, place: Place) -> None:
        self.open_place(f"as {text}", place)

    async def action_columns(self) -> None:
        """Choose what a walk shows of each element."""
        visit, walk = self._visit, self._walk
        if visit is None or visit.face != "walk" or visit.walk is None or walk is None:
            self.app.bell()
            return
        hint = f"members of {walk.entry_type}: pid,comm,se.vruntime"
        value = ",".join(walk.columns)
        await toggle(self.screen, AskLine("Columns", self._choose_columns, value=value, hint=hint))

    def _choose_columns(self, text: str) -> None:
        visit, walk = self._visit, self._walk
        if visit is None or visit.walk is None or walk is None:
            return
        visit.walk = with_columns(walk, visit.walk, text)
        self._show_visit()

    async def action_length(self) -> None:
        """Look at the place as an array of so many."""
        visit = self._visit
        if visit is None or visit.address is None or not visit.type:
            self.app.bell()
            return
        hint = "the length of the array"
        await toggle(self.screen, AskLine("How many", self._as_array, hint=hint, check=_length))

    def _as_array(self, text: str) -> None:
        visit = self._visit
        if visit is not None and visit.address is not None:
            self._go(array_of(visit, _length(text)))

    def action_filter(self) -> None:
        """Hide what does not match."""
        self._pane.open_filter()

    def action_no_filter(self) -> None:
        """Show everything again."""
        self._pane.give_up_filter()

    @on(FilterBar.Changed)
    def _filter_changed(self) -> None:
        self._moved()

    async def action_bookmark(self) -> None:
        """Keep the place."""
        visit = self._visit
        if visit is None:
            return
        text = visit.expression
        if visit.address is not None and visit.type and "<" not in visit.type:
            text = f"{visit.type} {visit.address:#x}"

        def add(note: str) -> None:
            add_bookmark(self.dashboard.identity, Bookmark(text, note))
            self._say(f"kept: {text}", role="good")

        await toggle(self.screen, AskLine(f"Bookmark {text}", add, hint="a note"))

    async def action_bookmarks(self) -> None:
        """Choose among the places that were kept."""
        await toggle(self.screen, BookmarkList(self.dashboard.identity, self._open_text))

    def action_base(self) -> None:
        """Numbers in decimal or hexadecimal."""
        self._hexadecimal = not self._hexadecimal
        self._show_columns()

    def action_byte_order(self) -> None:
        """The other byte order for words of memory."""
        self._words.big_endian = not self._words.big_endian
        if self._visit is not None and self._visit.face == "memory":
            self._show_visit()

    def action_memory_page(self, by: int) -> None:
        """The memory that follows what is shown, or that comes before it."""
        visit = self._visit
        if visit is None or visit.address is None or visit.face != "memory":
            self.app.bell()
            return
        start = visit.address if visit.memory_start is None else visit.memory_start
        visit.memory_start = start + by * MEMORY_BYTES
        self._show_visit()

    def action_copy_expression(self) -> None:
        """Copy C for what is under the cursor, or for the place."""
        visit, row = self._visit, self._members.cursor_row
        if visit is None:
            return
        text = visit.expression
        if visit.face == "members" and isinstance(row, MemberRow):
            text = visit.member(row.path)
        self.dashboard.copy(text)

    def _say(self, sentence: str, *, role: str = "warning") -> None:
        self._pane.show_subtitle((sentence, role))


def _shows_search(visit: Visit, *, stacks_only: bool) -> bool:
    return visit.face == "search" and visit.stacks_only is stacks_only


def _length(text: str) -> int:
    if not text.isdecimal() or len(text) > _LONGEST_LENGTH or not int(text):
        raise QueryError("A length is a decimal number from 1 on.")
    return int(text)


def _walk_title(visit: Visit, walk: Walk) -> str:
    what = walk.entry_type or "nodes"
    return f"{visit.label}: {what}" if visit.label not in ("", ELEMENTS_OF_PLACE) else what


def _with_elements(
    members: tuple[Member, ...], array: Member, fresh: tuple[Member, ...]
) -> tuple[Member, ...]:
    """The members, with more elements in one array among or below them."""
    found = []
    for member in members:
        if member is array:
            found.append(msgspec.structs.replace(member, members=member.members + fresh))
        elif member.members and member.offset <= array.offset < member.offset + member.size:
            inner = _with_elements(member.members, array, fresh)
            found.append(msgspec.structs.replace(member, members=inner))
        else:
            found.append(member)
    return tuple(found)
