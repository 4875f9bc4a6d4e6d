"""What every screen of the dashboard has: a place among the digits, a way to ask, an equivalent.

A screen is a widget in the app's frame. It asks the session for what it shows, and says which
Query the focused pane shows, from which the equivalent line is made.
"""

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, cast

import msgspec
from textual.message import Message
from textual.widget import Widget

from kscope.dialect.views import Equivalent, equivalent
from kscope.model.base import Progress, Query, QueryError, Result
from kscope.model.target import DebugInfo, Identity
from kscope.screens.links import Link, TaskLink
from kscope.session.client import Session
from kscope.widgets.line_view import LineView
from kscope.widgets.states import Failed, Loading, State
from kscope.widgets.text_view import TextView
from kscope.widgets.theme import Role
from kscope.widgets.work import start

if TYPE_CHECKING:
    from kscope.report.notebook import Block
    from kscope.screens.command_line import CommandLine
    from kscope.screens.reports import Reports

R = TypeVar("R", bound=Result)

NARROW = 100
"""Below this many columns the detail pane goes below the list."""


class Dashboard(Protocol):
    """What a screen needs of the app it is shown in."""

    session: Session

    @property
    def identity(self) -> Identity | None:
        """What is being debugged, as far as it is known."""

    @property
    def debug_info(self) -> DebugInfo | None:
        """Where types come from, once they are loaded."""

    @property
    def commands(self) -> "CommandLine":
        """The crash command line."""

    @property
    def reports(self) -> "Reports":
        """The report of this dump."""

    def open_link(self, link: Link) -> None:
        """Open what a link names on the screen that shows such things; else copy its name."""

    def copy(self, text: str) -> None:
        """Put ``text`` on the clipboard, and say so."""

    def say(self, message: str, role: Role = "") -> None:
        """Say what just happened, where the equivalent is shown otherwise."""


class DashboardScreen(Widget):
    """One of the dashboard's screens."""

    DIGIT: ClassVar[str]
    """The key that opens it."""
    NAME: ClassVar[str]
    OPENS: ClassVar[tuple[type[Any], ...]] = ()
    """The kinds of link that this screen opens."""
    REMEMBERS: ClassVar[msgspec.Struct | None] = None
    """What ``remembered`` returns of a screen on which nothing was done yet."""

    DEFAULT_CSS = """
    DashboardScreen { width: 100%; height: 100%; layout: vertical; }
    """

    class EquivalentChanged(Message):
        """Another thing is shown, so that another command yields the same."""

    @property
    def dashboard(self) -> Dashboard:
        """The app, as what it is to a screen."""
        return cast(Dashboard, self.app)

    def on_resize(self) -> None:
        """Take the class ``-narrow`` where there is no room for two columns."""
        self.set_class(self.size.width < NARROW, "-narrow")

    def on_mount(self) -> None:
        """The first screen is laid out together with the app, and told no size."""
        self.call_after_refresh(self.on_resize)

    # What a screen provides.

    def query_in_focus(self) -> Query[Any] | None:
        """What the focused pane shows."""
        return None

    def equivalent(self) -> Equivalent | None:
        """The command and the code that yield what the focused pane shows."""
        query = self.query_in_focus()
        if query is None:
            return None
        with contextlib.suppress(LookupError):
            return equivalent(query, self.dashboard.session.remembered(query))
        return None

    def follow(self, link: Link) -> None:
        """Show what ``link`` names; only called with the kinds in ``OPENS``."""

    def place(self) -> object:
        """Where the reader is on this screen, to come back to with ``go_to``."""
        return None

    def go_to(self, place: object) -> None:
        """Go back to what ``place`` returned."""

    def remembered(self) -> msgspec.Struct | None:
        """What is kept of this screen for the next time that this dump is opened: the Query that it
        shows, what is selected. Of the type of ``REMEMBERS``."""
        return None

    def restore(self, remembered: Any) -> None:
        """Show again what ``remembered`` returned the last time; called once, before the reader
        does anything on this screen and perhaps before anything is read."""

    def go_back_within(self) -> bool:
        """Undo one step inside this screen. Returns whether there was one."""
        return False

    def focus_first(self) -> None:
        """Give the focus to the pane that matters most."""
        for view in self.query(LineView):
            if view.focusable:
                view.focus(scroll_visible=False)
                return

    def text_in_focus(self) -> str:
        """The focused pane's text, as it is copied."""
        focused = self.screen.focused
        if not isinstance(focused, LineView):
            return ""
        return focused.as_text()

    def draft_in_focus(self) -> "Block | None":
        """What goes into the report, where that is more than the focused pane's text."""
        return None

    def task_in_focus(self) -> TaskLink | None:
        """The task that the focused pane is about; by default the one linked at the cursor."""
        focused = self.screen.focused
        target = focused.link if isinstance(focused, TextView) else None
        return target if isinstance(target, TaskLink) else None

    # What a screen is given.

    def ask(
        self,
        query: Query[R],
        show: Callable[[R], None],
        *,
        into: LineView | Sequence[LineView],
        what: str,
        group: str = "",
        parts: bool = False,
    ) -> None:
        """Ask the session and call ``show`` with the answer.

        Asking again in the same group cancels the older question, as does leaving the app.

        :param into: where loading and failure are shown.
        :param what: what is being read, as in "reading the log".
        :param parts: whether ``show`` also takes what was found so far.
        """
        group = group or type(query).__name__
        remembered = self.dashboard.session.remembered(query)
        if remembered is not None:
            self.workers.cancel_group(self, group)
            show(remembered)
            return
        asked = partial(self._ask, query, show, into, what, parts)
        start(self, asked, group=group, exclusive=True)

    async def _ask(
        self,
        query: Query[R],
        show: Callable[[R], None],
        into: LineView | Sequence[LineView],
        what: str,
        parts: bool,
    ) -> None:
        shown = False
        views = (into,) if isinstance(into, LineView) else into

        def show_state(state: State) -> None:
            for view in views:
                view.show_state(state)

        def progress(step: Progress) -> None:
            if not shown:
                show_state(Loading(step.what, step.done, step.total))

        def part(result: R) -> None:
            nonlocal shown
            shown = True
            show(result)

        show_state(Loading(what))
        try:
            result = await self.dashboard.session.ask(
                query, progress=progress, part=part if parts else None
            )
        except QueryError as error:
            again = "F5 asks again." if error.kind == "worker-lost" else ""
            show_state(Failed(error.sentence, f"{error.hint} {again}".strip()))
            return
        show(result)
        self.equivalent_changed()

    def equivalent_changed(self) -> None:
        """Say that the equivalent line is out of date."""
        self.post_message(self.EquivalentChanged())

    def on_descendant_focus(self) -> None:
        self.equivalent_changed()

    def on_text_view_link_followed(self, message: TextView.LinkFollowed) -> None:
        message.stop()
        self.dashboard.open_link(cast(Link, message.target))
