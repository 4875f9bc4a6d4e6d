"""The pane below an object: the memory of the member under the cursor, and its value in full."""

from functools import partial

from textual.timer import Timer

from kscope.model.memory import Memory, MemoryQuery
from kscope.screens.base import DashboardScreen
from kscope.screens.inspect_lines import memory_line
from kscope.screens.member_rows import MemberRow, member_title
from kscope.widgets.pane import Pane
from kscope.widgets.text_view import TextView

_DELAY = 0.05
"""Seconds the cursor rests on a member before its memory is asked for."""
_GROUP = "member memory"


class MemberMemory(Pane):
    """Two lines of memory."""

    def __init__(self, screen: DashboardScreen) -> None:
        """:param screen: whose session is asked."""
        self._of = screen
        self._timer: Timer | None = None
        self.text = TextView(id="inspect-memory")
        self.text.can_focus = False
        super().__init__("Memory", self.text, id="inspect-memory-pane")

    def rest_on(self, object_at: int, row: MemberRow) -> None:
        """The cursor is on a member; if it stays there, its memory is read.

        :param object_at: address of the object.
        """
        self._stop_timer()
        self._timer = self.set_timer(_DELAY, partial(self._ask, object_at, row))

    def give_up(self) -> None:
        """The object is left."""
        self._stop_timer()
        self._of.workers.cancel_group(self._of, _GROUP)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()

    def _ask(self, object_at: int, row: MemberRow) -> None:
        if self._of.has_class("-no-memory"):
            return
        start = (object_at + row.member.offset) & ~0xF
        query = MemoryQuery(address=f"{start:#x}", count=4, symbols=True)
        self._of.ask(query, partial(self._show, row), into=self.text, what="reading memory",
                     group=_GROUP)  # fmt: skip

    def _show(self, row: MemberRow, memory: Memory) -> None:
        # In full, what the columns may have cut.
        self.show_title(member_title(row))
        self.text.show_lines([memory_line(memory, each) for each in memory.lines])
        self.show_subtitle(memory.what)
