"""The faces of a place on the Inspect screen: where each is shown, and how its answer gets there.

A face does not ask anything: the screen does, and hands it the answer.
"""

from time import monotonic
from typing import Any, ClassVar

import msgspec

from kscope.model.address import AddressState
from kscope.model.code import Code
from kscope.model.list import Walk
from kscope.model.memory import Memory
from kscope.model.search import Search, ignored_bits
from kscope.model.struct import Member, Structure
from kscope.screens.inspect_lines import (
    address_lines,
    code_lines,
    code_position,
    hit_columns,
    layout_lines,
    memory_lines,
    walk_columns,
)
from kscope.screens.inspect_visits import Face, Visit
from kscope.screens.inspect_walks import ELEMENTS_OF_PLACE
from kscope.screens.member_rows import MemberRow
from kscope.screens.place_view import PlaceView
from kscope.widgets.line_view import LineView
from kscope.widgets.states import Empty, Failed

_TELLING_SECONDS = 0.5
"""A search must run for so long that its rate says something."""


class PlaceFace:
    """One way of looking at a place."""

    READING: ClassVar[str]
    """What goes on until the answer is there."""

    def __init__(self, pane: PlaceView, view: LineView) -> None:
        """:param view: the one of the pane's that the face is shown in."""
        self.pane = pane
        self.view = view
        self.remark = ""

    def begin(self) -> None:
        """A place is about to be shown: nothing is known of it yet."""
        self.remark = ""

    def title(self, visit: Visit) -> str:
        """What the pane is called until the answer says more."""
        raise NotImplementedError

    def show(self, visit: Visit, answer: Any) -> None:
        """Show the answer to what ``query_of`` asks; of a long one, each part."""
        raise NotImplementedError

    @property
    def subtitle(self) -> str:
        """Where the cursor is, and what there is to say of the whole."""
        return " · ".join(filter(None, (self.remark, self.view.position)))


class MembersFace(PlaceFace):
    """The object as a tree of its members."""

    READING = "reading it"

    def __init__(self, pane: PlaceView) -> None:
        super().__init__(pane, pane.members)
        self.structure: Structure | None = None

    def begin(self) -> None:
        super().begin()
        self.structure = None

    def title(self, visit: Visit) -> str:
        return visit.type

    def show(self, visit: Visit, answer: Structure) -> None:
        self._show(visit, answer)
        if visit.cursor:
            self.pane.members.move_to_key(visit.cursor)
        elif visit.members:
            self.move_to(visit.members.split(",")[0])
        else:
            self.pane.members.move_to(0)
            if visit.label and not visit.is_start:
                # On the member that was followed: enter goes on along a chain of the same type.
                self.move_to(visit.label)

    def _show(self, visit: Visit, structure: Structure) -> None:
        self.structure = structure
        self.remark = f"{structure.size:,} bytes" if structure.size is not None else ""
        self.pane.show_members(structure.members, visit.toggled)
        if structure.ambiguity:
            self.pane.show_remark(structure.ambiguity, "warning")

    def move_to(self, path: str) -> None:
        """Put the cursor on the member with this path, if it is to be seen."""
        for index, row in enumerate(self.pane.members.rows):
            if row.path == path:
                self.pane.members.move_to(index)
                return

    def show_more(self, visit: Visit, array: Member, more: Structure) -> None:
        """Further elements of an array, behind those that are there."""
        if self.structure is None or not more.members:
            return
        members = _with_elements(self.structure.members, array, more.members[0].members)
        self._show(visit, msgspec.structs.replace(self.structure, members=members))

    @property
    def row(self) -> MemberRow | None:
        """The member under the cursor; also while another face is shown."""
        row = self.pane.members.cursor_row
        return row if isinstance(row, MemberRow) else None


class _TextFace(PlaceFace):
    """One whose answer is lines of text."""

    def __init__(self, pane: PlaceView) -> None:
        super().__init__(pane, pane.text)


class LayoutFace(_TextFace):
    """Types and offsets alone."""

    READING = "reading the type"

    def title(self, visit: Visit) -> str:
        return f"Layout of {visit.type}"

    def show(self, _visit: Visit, answer: Structure) -> None:
        self.pane.show_lines(layout_lines(answer), Empty("it has no members"))


class MemoryFace(_TextFace):
    """Memory as it lies."""

    READING = "reading memory"

    def title(self, visit: Visit) -> str:
        order = ", big-endian" if visit.big_endian else ""
        return f"Memory at {visit.address or 0:x}{order}"

    def show(self, _visit: Visit, answer: Memory) -> None:
        self.remark = answer.what
        self.pane.show_lines(memory_lines(answer))


class CodeFace(_TextFace):
    """The function that the place is in."""

    READING = "decoding"

    def title(self, visit: Visit) -> str:  # noqa: ARG002
        return "Code"

    def show(self, visit: Visit, answer: Code) -> None:
        self.pane.show_lines(code_lines(answer))
        self.pane.text.move_to(code_position(answer))
        if answer.function:
            module = f" [{answer.module}]" if answer.module else ""
            part = f" {visit.code_part}" if visit.code_part else ""
            self.pane.show_title(f"Code of {answer.function}{module}{part}")


class AddressFace(_TextFace):
    """What is at the address."""

    READING = "looking it up"

    def title(self, visit: Visit) -> str:
        return f"What is at {visit.address or 0:x}"

    def show(self, _visit: Visit, answer: AddressState) -> None:
        self.pane.show_lines(address_lines(answer), Empty("nothing is known of it"))


class SearchFace(PlaceFace):
    """Who points at the address."""

    READING = "searching"

    def __init__(self, pane: PlaceView) -> None:
        super().__init__(pane, pane.table)
        self._began = 0.0

    def begin(self) -> None:
        super().begin()
        self._began = monotonic()

    def title(self, visit: Visit) -> str:
        where = " on kernel stacks" if visit.stacks_only else ""
        ignored = ignored_bits(visit.mask)
        but_for = f" but for bits {ignored:x}" if ignored else ""
        return f"Who points at {visit.address or 0:x}{where}{but_for}"

    def show(self, visit: Visit, answer: Search) -> None:
        if answer.first == 0:
            hits_as = hit_columns(stacks=visit.stacks_only)
            self.pane.show_rows(answer.hits, hits_as, Empty("nothing points here"))
        else:
            self.pane.add_rows(answer.hits)
        megabytes = answer.bytes_searched / 1e6
        seconds = monotonic() - self._began
        rate = f" at {megabytes / seconds:,.0f} MB/s" if seconds > _TELLING_SECONDS else ""
        self.remark = f"{megabytes:,.0f} MB searched{rate}"


class WalkFace(PlaceFace):
    """The elements of a list, tree or array."""

    READING = "walking"

    def __init__(self, pane: PlaceView) -> None:
        super().__init__(pane, pane.table)
        self.walk: Walk | None = None

    def begin(self) -> None:
        super().begin()
        self.walk = None

    def title(self, visit: Visit) -> str:
        return visit.label

    def show(self, visit: Visit, answer: Walk) -> None:
        self.walk = answer
        if answer.first == 0:
            self.pane.show_rows(answer.rows, walk_columns(answer), Empty("it is empty"))
        else:
            self.pane.add_rows(answer.rows)
        what = answer.entry_type or "nodes"
        named = visit.label not in ("", ELEMENTS_OF_PLACE)
        self.pane.show_title(f"{visit.label}: {what}" if named else what)
        if answer.broken is not None:
            if answer.rows or answer.first:
                self.pane.show_remark(f"! {answer.broken.sentence}", "critical")
            else:
                self.pane.table.show_state(Failed(answer.broken.sentence))
        elif answer.truncated:
            self.pane.show_remark(f"there are more than {len(answer.rows):,}", "warning")


class Faces:
    """All faces of the place that a pane shows."""

    def __init__(self, pane: PlaceView) -> None:
        self.members = MembersFace(pane)
        self.walk = WalkFace(pane)
        self._faces: dict[Face, PlaceFace] = {
            "members": self.members,
            "layout": LayoutFace(pane),
            "memory": MemoryFace(pane),
            "code": CodeFace(pane),
            "address": AddressFace(pane),
            "search": SearchFace(pane),
            "walk": self.walk,
        }

    def __getitem__(self, face: Face) -> PlaceFace:
        return self._faces[face]

    def begin(self) -> None:
        """A place is about to be shown, and another one is not any more."""
        for face in self._faces.values():
            face.begin()


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
