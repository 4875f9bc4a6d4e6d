"""The place that is open on the Inspect screen: asked for in its face, and shown."""

from functools import partial
from typing import Any

from kscope.model.base import Query
from kscope.model.list import Walk
from kscope.model.struct import StructQuery, Structure
from kscope.screens.base import DashboardScreen
from kscope.screens.inspect_faces import Faces
from kscope.screens.inspect_queries import WordForm, query_of
from kscope.screens.inspect_visits import Visit
from kscope.screens.inspect_walks import (
    likely_columns,
    telling_columns,
    visit_of_walk,
    with_columns,
)
from kscope.screens.member_memory import MemberMemory
from kscope.screens.member_rows import MemberRow
from kscope.screens.place_view import PlaceView

_ABOUT_A_PLACE = ("inspect", "types", "elements", "columns")
"""Groups of questions whose answers say nothing about the next place or face."""


class ShownPlace:
    """One place at a time. What it is, and how it is to be looked at, is said by a Visit."""

    def __init__(self, screen: DashboardScreen, pane: PlaceView, memory: MemberMemory) -> None:
        """
        :param screen: whose session is asked.
        :param pane: where the place is shown.
        :param memory: for what lies in the member under the cursor.
        """
        self._of = screen
        self._pane = pane
        self._memory = memory
        self._faces = Faces(pane)
        self._visit: Visit | None = None
        self.words = WordForm()
        self.hexadecimal = False

    @property
    def row(self) -> MemberRow | None:
        """The member under the cursor; also while another face is shown."""
        return self._faces.members.row

    @property
    def walk(self) -> Walk | None:
        """What a walk found so far."""
        return self._faces.walk.walk

    def query_for(self, visit: Visit) -> Query[Any] | None:
        """What shows a place, with the address as a number."""
        return query_of(visit, self.words)

    def show(self, visit: Visit) -> None:
        """Show a place, or the same one in another face."""
        self._visit = visit
        for group in _ABOUT_A_PLACE:
            self._of.workers.cancel_group(self._of, group)
        self._memory.give_up()
        self._show_or_hide_memory()
        face = self._faces[visit.face]
        self._faces.begin()
        self._pane.display_view(face.view)
        self._pane.show_title(face.title(visit))
        self._pane.show_subtitle("")
        query = self.query_for(visit)
        if query is not None:
            self._of.ask(query, partial(self._show_answer, visit), into=face.view,
                         what=face.READING, group="inspect", parts=True)  # fmt: skip
        self._of.equivalent_changed()

    def _show_answer(self, visit: Visit, answer: Any) -> None:
        if isinstance(answer, Walk) and self._walks_with_columns(visit, answer):
            return
        face = self._faces[visit.face]
        face.show(visit, answer)
        line = visit.lines.get(visit.face)
        if line is not None and line < face.view.line_count():
            del visit.lines[visit.face]
            face.view.move_to(line)
        self._fit_lines()
        self.cursor_moved()
        # Last: where the answer is remembered, the walk with its columns is shown from in here.
        if isinstance(answer, Walk) and answer.entry_type and not answer.columns:
            self._of.ask(StructQuery(type=answer.entry_type, offsets=True),
                         partial(self._choose_likely_columns, visit, answer),
                         into=(), what="reading the type", group="columns")  # fmt: skip

    def show_more_elements(self, visit: Visit, row: MemberRow, more: Structure) -> None:
        """Further elements of the array that a row stands for."""
        self._faces.members.show_more(visit, row.member, more)
        self.cursor_moved()

    def cursor_moved(self) -> None:
        """Say where the cursor is, and show what lies there."""
        visit, members = self._visit, self._faces.members
        if visit is None:
            return
        self._pane.show_subtitle(self._faces[visit.face].subtitle)
        self._pane.show_rest_of_line(self._cells)
        row = members.row
        if visit.face == "members" and visit.address is not None and row is not None:
            self._pane.members.show_whether_walkable(visit_of_walk(visit, row) is not None)
        if members.structure is not None and visit.address is not None and members.row is not None:
            self._memory.rest_on(visit.address, members.row)

    def fit(self) -> None:
        """Show the columns for the width there is now, and the memory if there is room."""
        self._pane.show_member_columns(max(self._cells, 40), hexadecimal=self.hexadecimal)
        self._show_or_hide_memory()
        self._fit_lines()

    @property
    def _cells(self) -> int:
        """Inside of the pane's border."""
        return self._of.size.width - 4

    def _fit_lines(self) -> None:
        self._pane.make_room_for_rest(self._cells)
        self._pane.show_rest_of_line(self._cells)

    def _show_or_hide_memory(self) -> None:
        of_members = self._visit is None or self._visit.face == "members"
        self._memory.display = of_members and not self._of.has_class("-no-memory")

    def say(self, sentence: str, *, role: str = "warning") -> None:
        """Say it where the cursor's position is otherwise."""
        self._pane.show_subtitle((sentence, role))

    # The columns of a walk.

    def show_walk_with(self, visit: Visit, walk: Walk, columns: str) -> None:
        """Walk again, and show these members of each element."""
        if visit.walk is not None:
            visit.walk = with_columns(walk, visit.walk, columns)
            if visit.face == "walk" and self._pane.line is not None:
                visit.lines["walk"] = self._pane.line
            self.show(visit)

    def _walks_with_columns(self, visit: Visit, walk: Walk) -> bool:
        """Walk again where the elements turn out to be of a type whose telling members are known.

        Returns whether it does.
        """
        better = None if visit.walk is None else telling_columns(walk, visit.walk)
        if better is not None:
            visit.walk = better
            self.show(visit)
        return better is not None

    def _choose_likely_columns(self, visit: Visit, walk: Walk, structure: Structure) -> None:
        """Of elements of another type: members that are likely to tell."""
        likely = likely_columns(structure)
        if likely:
            self.show_walk_with(visit, walk, likely)
