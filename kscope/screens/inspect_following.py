"""Enter on the Inspect screen: from what is under the cursor to the place it leads to.

Where that is not certain, it is asked which types fit, and the reader may choose.
"""

from collections.abc import Callable
from functools import partial

from kscope.model.address import AddressQuery, AddressState
from kscope.model.base import QueryError
from kscope.model.list import WalkRow
from kscope.model.search import Hit
from kscope.screens.base import DashboardScreen
from kscope.screens.inspect_pointers import (
    address_in,
    as_type,
    element,
    pointer_leads,
    what_holds,
    without_a_choice,
)
from kscope.screens.inspect_queries import more_elements
from kscope.screens.inspect_visits import Visit
from kscope.screens.member_memory import MemberMemory
from kscope.screens.member_rows import MemberRow
from kscope.screens.place_view import PlaceView
from kscope.screens.shown_place import ShownPlace
from kscope.screens.type_chooser import TypeChooser
from kscope.widgets.overlay import toggle


class Following:
    """Leaves the place that is shown for another one."""

    def __init__(
        self,
        screen: DashboardScreen,
        shown: ShownPlace,
        pane: PlaceView,
        memory: MemberMemory,
        *,
        go: Callable[[Visit], None],
        open_text: Callable[[str], None],
    ) -> None:
        """
        :param screen: whose session is asked.
        :param shown: the place that is left.
        :param pane: what it is shown in.
        :param memory: where it is said that something is being read.
        :param go: goes to a place.
        :param open_text: opens what the address bar takes.
        """
        self._of = screen
        self._shown = shown
        self._pane = pane
        self._memory = memory
        self._go = go
        self._open_text = open_text

    def enter(self, visit: Visit, row: object) -> None:
        """Follow a row of what is shown of ``visit``."""
        if isinstance(row, MemberRow):
            self._enter_member(visit, row)
        elif isinstance(row, WalkRow):
            walk = self._shown.walk
            if walk is not None and walk.entry_type:
                self._go(element(walk, row))
            else:
                self._open_text(f"{row.entry:#x}")
        elif isinstance(row, Hit):
            self._open_text(f"{row.address:#x}")

    def _enter_member(self, visit: Visit, row: MemberRow) -> None:
        if row.more:
            self._of.ask(more_elements(visit, row),
                         partial(self._shown.show_more_elements, visit, row),
                         into=self._memory.text, what="reading the array",
                         group="elements")  # fmt: skip
        elif row.is_open is not None:
            self._pane.toggle(row)
        elif (address := address_in(row)) is None:
            self._of.app.bell()
        elif row.member.kind == "pointer":
            self._follow_pointer(visit, row, address)
        else:
            self._open_text(f"{address:#x}")

    def _follow_pointer(self, visit: Visit, row: MemberRow, address: int) -> None:
        try:
            leads = pointer_leads(visit, row, address)
        except QueryError as error:
            self._shown.say(error.sentence)
            return
        if isinstance(leads, Visit):
            self._go(leads)
        else:
            self._ask_types(leads, visit, row, address)

    def enter_container(self, visit: Visit, address: int) -> None:
        """To the object that a place, which is at ``address``, lies in."""
        self._ask_types(what_holds(visit), visit, None, address)

    def _ask_types(
        self, query: AddressQuery, visit: Visit, row: MemberRow | None, address: int
    ) -> None:
        self._of.ask(query, partial(self._choose_type, visit, row, address),
                     into=self._memory.text, what="looking it up", group="types")  # fmt: skip

    def _choose_type(
        self, visit: Visit, row: MemberRow | None, address: int, state: AddressState
    ) -> None:
        self._shown.cursor_moved()
        place = without_a_choice(visit, row, address, state)
        if place is not None:
            self._go(place)
        elif self._of.display:  # else the reader is on another screen, where it takes their keys
            label = row.path if row is not None else ""
            chooser = TypeChooser(state.types, partial(self._enter_type, label))
            self._of.call_later(toggle, self._of.screen, chooser)

    def _enter_type(self, label: str, type_: str, start: int) -> None:
        self._go(as_type(label, type_, start))
