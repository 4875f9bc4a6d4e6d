"""The dashboard: the frame around the screens, and the ways between them."""

import asyncio
import os
import signal
import sys
from functools import partial
from typing import Any, ClassVar

from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import ContentSwitcher

from kscope.model.base import QueryError
from kscope.model.system import System, SystemQuery
from kscope.model.target import Identity, Opened
from kscope.report.clipboard import copy
from kscope.screens.base import DashboardScreen
from kscope.screens.links import Link
from kscope.screens.registry import SCREENS
from kscope.session.client import Session
from kscope.session.process import WorkerProcess
from kscope.widgets import theme
from kscope.widgets.frame import Frame, FrameScreen, ScreenLabel
from kscope.widgets.help import HelpOverlay
from kscope.widgets.line import Cell
from kscope.widgets.one_line import OneLine
from kscope.widgets.overlay import toggle
from kscope.widgets.palette import Entry, Palette

_TYPES = {"dwarf": "", "btf": "types from BTF", "none": "no types"}


class MainScreen(FrameScreen):
    """The frame, and in it the screen that is open."""

    DEFAULT_CSS = """
    MainScreen { background: $background; }
    MainScreen ContentSwitcher { height: 1fr; width: 100%; }
    """

    def compose(self) -> ComposeResult:
        self.frame = Frame()
        self.switcher = ContentSwitcher()
        with self.frame:
            yield self.switcher


class KscopeApp(App[str]):
    """The app; its result is the sentence it ends with, empty when all is well."""

    ENABLE_COMMAND_PALETTE = False
    HELP_HEADING: ClassVar[str] = "Everywhere"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(
                entry.digit, f"open_screen('{entry.digit}')", entry.name, show=False,
                id=f"screen.{entry.module}", tooltip=f"open {entry.name}",
            )
            for entry in SCREENS
        ),
        Binding("o", "open_address", "open", show=False, id="app.open",
                tooltip="open any address, symbol, PID or type"),
        Binding("tab", "app.focus_next", "next pane", show=False, id="pane.next"),
        Binding("shift+tab", "app.focus_previous", "previous pane", show=False,
                id="pane.previous"),
        Binding("y", "copy_crash", "copy", id="copy.crash", tooltip="copy the crash command"),
        Binding("Y", "copy_drgn", "copy drgn code", show=False, id="copy.drgn"),
        Binding("ctrl+y", "copy_text", "copy the pane's text", show=False, id="copy.text"),
        Binding("ctrl+p", "palette", "palette", show=False, id="app.palette"),
        Binding("question_mark", "help", "help", id="app.help"),
        Binding("q,backspace", "back", "back", id="app.back", tooltip="back; leave from the start"),
        Binding("ctrl+q,ctrl+c", "quit", "leave kscope", show=False, priority=True, id="app.quit"),
    ]  # fmt: skip

    def __init__(self, session: Session) -> None:
        no_color = bool(os.environ.get("NO_COLOR"))
        # Textual must be told in its constructor that colours are to go, not only to turn grey.
        super().__init__(ansi_color=True if no_color else None)
        self._main = MainScreen()
        self.session = session
        self.animation_level = "none"
        for known in theme.THEMES:
            self.register_theme(known)
        self.theme = theme.suitable_theme(self.console.color_system, no_color=no_color)
        self._identity: Identity | None = None
        self._facts: list[Cell] = []
        self._current = SCREENS[0].digit
        self._history: list[tuple[str, object]] = []

    def get_default_screen(self) -> MainScreen:
        """The only screen, as Textual counts them."""
        return self._main

    async def on_ready(self) -> None:
        """Show the first screen, and open the target behind it."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self.exit)
        self.session.on_lost = self._worker_lost
        self.run_worker(self._open(), exit_on_error=True)
        self._show_identity()
        await self._show_screen(self._current)

    async def on_unmount(self) -> None:
        """Leave no worker behind."""
        await self.session.close()

    @property
    def frame(self) -> Frame:
        """The four lines around every screen."""
        return self._main.frame

    @property
    def current(self) -> DashboardScreen | None:
        """The screen that is open."""
        found = self._main.switcher.visible_content
        return found if isinstance(found, DashboardScreen) else None

    # The target.

    @property
    def identity(self) -> Identity | None:
        """What is being debugged, as far as it is known."""
        return self._identity

    async def _open(self) -> None:
        try:
            opened = await self.session.connect(part=self._opened)
            self._opened(opened)
            self._described(await self.session.ask(SystemQuery()))
        except QueryError as error:
            if error.kind == "cannot-open":
                self.exit(str(error), return_code=1)
            else:
                self.frame.equivalent.show_message((str(error), "critical"))

    def _opened(self, opened: Opened) -> None:
        identity = self._identity = opened.identity
        facts: list[Cell] = [identity.release] if identity.release else []
        if identity.live:
            facts.append(("live", "warning"))
        elif not identity.complete:
            facts.append(("incomplete", "critical"))
        if identity.filtered:
            facts.append(f"partial -d{identity.dump_level}")
        if opened.debug_info is not None and (types := _TYPES[opened.debug_info.types]):
            facts.append((types, "warning"))
        self._facts = facts
        self._show_identity()

    def _described(self, system: System) -> None:
        if system.panic_message:
            words = system.panic_message.removeprefix("Kernel panic - not syncing: ")
            self._facts.insert(1, (words, "critical"))
        if system.cpus is not None:
            self._facts.insert(2 if system.panic_message else 1, f"{system.cpus} CPUs")
        self._show_identity()

    def _show_identity(self) -> None:
        name = self._identity.name if self._identity else ""
        self.frame.identity.show_identity("kscope", name, self._facts)

    def _worker_lost(self, sentence: str) -> None:
        self.frame.equivalent.show_message((sentence, "critical"))

    # The screens.

    async def _show_screen(self, digit: str) -> DashboardScreen:
        switcher = self._main.switcher
        entry = next(entry for entry in SCREENS if entry.digit == digit)
        name = f"screen-{digit}"
        if not switcher.query(f"#{name}"):
            await switcher.mount(entry.create())
        switcher.current = name
        self._current = digit
        labels = [ScreenLabel(entry.digit, entry.name) for entry in SCREENS]
        self.frame.screens.show_screens(labels, digit)
        screen = switcher.get_child_by_id(name, DashboardScreen)
        screen.focus_first()
        self._show_equivalent()
        return screen

    async def action_open_screen(self, digit: str) -> None:
        """Open a screen by its digit; what was open before is where ``back`` leads."""
        if digit != self._current:
            self._remember_place()
            await self._show_screen(digit)

    async def action_open_address(self) -> None:
        """Type where to go, from wherever the reader is."""
        digit = next((entry.digit for entry in SCREENS if entry.module == "inspect"), "")
        if digit:
            await self.action_open_screen(digit)
            if self.current is not None:
                await self.current.run_action("open")

    def open_link(self, link: Link) -> None:
        """Open what a link names on the screen that shows such things; else copy its name."""
        for entry in SCREENS:
            if type(link) in _opens(entry.digit):
                self.run_worker(self._open_link(entry.digit, link), exit_on_error=True)
                return
        self._copy(str(link))

    async def _open_link(self, digit: str, link: Link) -> None:
        self._remember_place()
        screen = await self._show_screen(digit)
        screen.follow(link)

    def _remember_place(self) -> None:
        screen = self.current
        self._history.append((self._current, screen.place() if screen else None))

    async def action_back(self) -> None:
        """Go back to where the reader came from; from the start, leave."""
        screen = self.current
        if screen is not None and screen.go_back_within():
            return
        if not self._history:
            self.exit()
            return
        digit, place = self._history.pop()
        (await self._show_screen(digit)).go_to(place)

    @on(OneLine.Clicked)
    async def _screen_clicked(self, message: OneLine.Clicked) -> None:
        if isinstance(message.target, ScreenLabel):
            await self.action_open_screen(message.target.digit)

    # The equivalent line.

    @on(DashboardScreen.EquivalentChanged)
    def _show_equivalent(self) -> None:
        screen = self.current
        equivalent = screen.equivalent() if screen else None
        if equivalent is None:
            self.frame.equivalent.show(())
        else:
            note: Cell = (equivalent.note, "dim") if equivalent.note else ""
            self.frame.equivalent.show_command(equivalent.crash or "none", note=note)

    def action_copy_crash(self) -> None:
        """Copy the crash command for what the focused pane shows."""
        equivalent = self.current.equivalent() if self.current else None
        self._copy(equivalent.crash if equivalent else "")

    def action_copy_drgn(self) -> None:
        """Copy the drgn code for what the focused pane shows."""
        equivalent = self.current.equivalent() if self.current else None
        self._copy(equivalent.drgn if equivalent else "")

    def action_copy_text(self) -> None:
        """Copy the focused pane's text."""
        self._copy(self.current.text_in_focus() if self.current else "")

    def _copy(self, text: str) -> None:
        if not text:
            self.frame.equivalent.show_message(("there is nothing to copy here", "dim"))
            return
        # In a thread, because a tmux that hangs is waited for.
        self.run_worker(partial(self._copy_in_thread, text), thread=True, exit_on_error=True)

    def _copy_in_thread(self, text: str) -> None:
        copied = copy(text, partial(self.call_from_thread, self._write_to_terminal))
        self.call_from_thread(self.frame.equivalent.show_message, (copied.message, "good"))

    def _write_to_terminal(self, sequence: str) -> None:
        if self._driver is not None:
            self._driver.write(sequence)
            self._driver.flush()

    # Help.

    def action_help(self) -> None:
        """Every key that works here."""
        toggle(self.screen, HelpOverlay(self.screen))

    def action_palette(self) -> None:
        """Find an action by its name."""
        screens = [
            Entry(f"open {e.name}", "Screens", partial(self._go, e.digit), e.digit) for e in SCREENS
        ]
        toggle(self.screen, Palette(self.screen, screens))

    def _go(self, digit: str) -> None:
        self.call_later(self.action_open_screen, digit)


def _opens(digit: str) -> tuple[type[Any], ...]:
    import importlib

    entry = next(entry for entry in SCREENS if entry.digit == digit)
    module = importlib.import_module(f"kscope.screens.{entry.module}")
    opens: tuple[type[Any], ...] = getattr(module, entry.class_name).OPENS
    return opens


def run(worker: WorkerProcess, *, mouse: bool) -> int:
    """Run the dashboard on a worker that was just started; returns the exit status."""
    session = Session(worker)
    app = KscopeApp(session)
    try:
        sentence = app.run(mouse=mouse)
    finally:
        session.kill()
    if sentence:
        print(f"kscope: {sentence}", file=sys.stderr)
    return app.return_code or 0
