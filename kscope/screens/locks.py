"""Screen 6: who waits for whom, as a tree from the root blockers down, and the contended locks."""

from collections.abc import Iterable
from typing import Any, ClassVar

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from kscope.dialect import locks as dialect
from kscope.dialect.views import Equivalent
from kscope.model.base import Address, Query
from kscope.model.durations import in_words
from kscope.model.locks import Lock, Locks, LocksQuery
from kscope.screens.base import NARROW, DashboardScreen
from kscope.screens.links import AddressLink, Link, LockLink, TaskLink
from kscope.widgets.filter_bar import FilterBar
from kscope.widgets.line import Line, Span, line, plain
from kscope.widgets.line_view import LineView
from kscope.widgets.pane import Pane
from kscope.widgets.states import Empty
from kscope.widgets.table import Column, VirtualTable
from kscope.widgets.text_filter import TextFilter
from kscope.widgets.text_view import TextView, link

_ROLES = {
    "": "",
    "name": "strong",
    "state": "critical",
    "dim": "dim",
    "warning": "warning",
    "critical": "critical strong",
    "head": "header",
}


class LocksAsLeft(msgspec.Struct, frozen=True):
    """What is kept of this screen from one run to the next."""

    match: str = ""
    line: int = 0
    """Of the tree, under the cursor."""
    lock: Address | None = None
    """The one under the cursor of the table."""


class LocksScreen(DashboardScreen):
    """The wait graph and the locks in it."""

    DIGIT: ClassVar[str] = "6"
    NAME: ClassVar[str] = "Locks"
    OPENS: ClassVar[tuple[type[Any], ...]] = (LockLink,)
    REMEMBERS: ClassVar[LocksAsLeft] = LocksAsLeft()
    HELP_HEADING: ClassVar[str] = "On the locks screen"
    DEFAULT_CSS = """
    LocksScreen #locks-tree-pane { height: 3fr; }
    LocksScreen #locks-list-pane { height: 2fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter", id="locks.filter",
                tooltip="names of tasks and locks, kinds, addresses"),
        Binding("t", "task", "task", id="locks.task",
                tooltip="the task under the cursor, or the owner of the lock"),
        Binding("i", "lock", "inspect lock", id="locks.lock",
                tooltip="the lock under the cursor as an object"),
        Binding("tab", "app.focus_next", "tree, table", show=False, id="locks.other-pane"),
    ]  # fmt: skip

    def on_resize(self) -> None:
        self._list.show_columns(_NARROW_COLUMNS if self.size.width < NARROW else _WIDE)

    def compose(self) -> ComposeResult:
        self._locks: Locks | None = None
        self._wanted: LockLink | None = None
        self._left = LocksAsLeft()
        self._tree_lines: list[Line] = []
        self._tree = TextView(id="locks-tree")
        self._list = VirtualTable[Lock](*_WIDE, key=lambda lock: lock.address, id="locks-list")
        self._bar = FilterBar(self._tree)
        self._tree_pane = Pane("Who waits for whom", self._tree, id="locks-tree-pane")
        self._list_pane = Pane("Contended locks", self._list, id="locks-list-pane")
        yield self._bar
        yield self._tree_pane
        yield self._list_pane

    def on_mount(self) -> None:
        """Ask for the whole graph once; the filter is applied here."""
        self.ask(LocksQuery(), self._show, into=self._tree, what="reading locks")

    def focus_first(self) -> None:
        """The tree."""
        self._tree.focus(scroll_visible=False)

    # What is shown.

    def query_in_focus(self) -> Query[Any] | None:
        """The graph."""
        return LocksQuery()

    def equivalent(self) -> Equivalent | None:
        """On a lock the command that shows it, on a task its backtrace."""
        lock = self._lock_in_focus
        if lock is not None:
            return dialect.lock_equivalent(lock)
        target = self._tree.link if self.screen.focused is self._tree else None
        if isinstance(target, TaskLink):
            return dialect.equivalent(LocksQuery(pid=target.pid))
        return super().equivalent()

    @property
    def _lock_in_focus(self) -> Lock | None:
        if self.screen.focused is self._list:
            return self._list.cursor_row
        target = self._tree.link if self.screen.focused is self._tree else None
        if isinstance(target, LockLink) and self._locks is not None:
            found = (lock for lock in self._locks.locks if lock.address == target.address)
            return next(found, None)
        return None

    def _show(self, locks: Locks) -> None:
        self._locks = locks
        tasks = {task.pid: TaskLink(task.pid, task.task) for task in locks.blocked}
        self._tree_lines = [_shown(spans, tasks) for spans in dialect.tree(locks)]
        self._tree_pane.show_subtitle(dialect.summary(locks))
        self._arrange(self._bar.filter)
        self._tree.move_to(self._left.line)
        if self._left.lock is not None:
            self._list.move_to_key(self._left.lock)
        if self._wanted is not None:
            self.follow(self._wanted)

    def _arrange(self, text_filter: TextFilter) -> None:
        if self._locks is None:
            return
        lines = self._tree_lines
        rows: Iterable[Lock] = self._locks.locks
        if text_filter.source:
            lines = [spans for spans in lines if spans and text_filter.matches(plain(spans))]
            rows = [lock for lock in rows if text_filter.matches(" ".join(dialect.row(lock)))]
        nothing = "no task waits for a lock" if not text_filter.source else "nothing matches"
        hint = "/ changes the filter" if text_filter.source else ""
        self._tree.show_lines(lines, empty=Empty(nothing, hint))
        self._list.show_rows(tuple(rows), empty=Empty(nothing, hint))
        self._bar.show_count(len(self._list.rows), len(self._locks.locks))
        self._show_position()

    # Keys.

    def action_filter(self) -> None:
        """Type what to look for."""
        self._bar.open()

    def on_filter_bar_changed(self, message: FilterBar.Changed) -> None:
        """Show what the filter leaves."""
        self._arrange(message.filter)

    @on(LineView.CursorMoved)
    def _moved(self) -> None:
        self._show_position()
        self.equivalent_changed()

    def _show_position(self) -> None:
        self._list_pane.show_subtitle(self._list.position)

    @on(LineView.Chosen, "#locks-list")
    def _chosen(self) -> None:
        self.action_lock()

    def action_task(self) -> None:
        """Open the task under the cursor, or the owner of the lock."""
        target = self._tree.link if self.screen.focused is self._tree else None
        if isinstance(target, TaskLink):
            self.dashboard.open_link(target)
            return
        lock = self._lock_in_focus
        if lock is None:
            return
        if lock.owner is not None:
            self.dashboard.open_link(TaskLink(lock.owner, lock.owner_task))
        elif lock.waiters:
            self.dashboard.open_link(TaskLink(lock.waiters[0].pid, lock.waiters[0].task))

    def action_lock(self) -> None:
        """Open the lock as an object."""
        lock = self._lock_in_focus
        if lock is not None:
            self.dashboard.open_link(AddressLink(lock.address, dialect.type_of(lock)))

    # Links.

    def follow(self, link: Link) -> None:
        """Go to a lock in the table."""
        if not isinstance(link, LockLink):
            return
        if self._locks is None:
            self._wanted = link
            return
        self._wanted = None
        self._bar.apply("")
        self._list.move_to_key(link.address)
        self._list.focus(scroll_visible=False)

    def place(self) -> object:
        """The lock under the cursor."""
        lock = self._list.cursor_row
        return None if lock is None else lock.address

    def go_to(self, place: object) -> None:
        """Back to that lock."""
        self._list.move_to_key(place)

    def remembered(self) -> LocksAsLeft | None:
        """The filter, and what is under the cursors."""
        if self._locks is None:
            return None
        lock = self._list.cursor_row
        address = None if lock is None else lock.address
        return LocksAsLeft(self._bar.filter.source, self._tree.cursor, address)

    def restore(self, remembered: LocksAsLeft) -> None:
        """Filter as the last time, and go to the same lines."""
        self._left = remembered
        self._bar.apply(remembered.match)
        if self._locks is not None:
            self._show(self._locks)


def _shown(spans: dialect.Line, tasks: dict[int, TaskLink]) -> Line:
    return line(*(_span(span, tasks) for span in spans))


def _span(span: dialect.Span, tasks: dict[int, TaskLink]) -> Span:
    role = _ROLES[span.role]
    if span.lock is not None:
        return link(span.text, LockLink(span.lock), role)
    if span.pid is not None:
        # Not underlined: nearly every word of the tree is a task.
        return Span(span.text, role, tasks.get(span.pid, TaskLink(span.pid)))
    return Span(span.text, role)


def _owner(lock: Lock) -> Line:
    if lock.owner is None:
        return line(("-", "dim"))
    return line(lock.owner_comm, " ", (str(lock.owner), "dim"))


def _certain(lock: Lock) -> Line:
    words = dialect.certainty(lock)
    return line((words, "warning" if words.startswith("no") else "dim" if words == "-" else ""))


def _longest(lock: Lock) -> Line:
    longest = dialect.longest(lock)
    return line(("-", "dim") if longest is None else in_words(longest))


def _owner_or_doubt(lock: Lock) -> Line:
    owner = _owner(lock)
    uncertain = lock.owner is not None and not lock.owner_certain
    return (*owner, Span("?", "warning")) if uncertain else owner


def _waiters(lock: Lock) -> str:
    return str(len(lock.waiters))


_LONGEST = Column[Lock]("LONGEST", _longest, width=8, right=True)

_WIDE = (
    Column[Lock]("LOCK", lambda lock: str(lock.address), width=16),
    Column[Lock]("KIND", lambda lock: lock.kind, width=12),
    Column[Lock]("NAME", lambda lock: lock.name),
    Column[Lock]("OWNER", _owner, width=18),
    Column[Lock]("CERTAIN", _certain, width=14),
    Column[Lock]("WAITERS", _waiters, width=7, right=True),
    _LONGEST,
)
_NARROW_COLUMNS = (
    Column[Lock]("LOCK", lambda lock: str(lock.address), width=16),
    Column[Lock]("KIND AND NAME", lambda lock: f"{lock.kind} {lock.name}"),
    Column[Lock]("OWNER", _owner_or_doubt, width=17),
    Column[Lock]("WAIT", _waiters, width=4, right=True),
    _LONGEST,
)
"""For 80 columns: an owner that is not certain has a question mark."""
