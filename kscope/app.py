"""The dashboard: the frame around the screens, and the ways between them."""

import contextlib
import os
import sys
import time
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Event, Key
from textual.widgets import ContentSwitcher

from kscope.collector import keep_pauses_short
from kscope.config import Config, ConfigError, doubts, load
from kscope.dialect.views import find as find_view
from kscope.key_ids import is_key, key_ids, keymap
from kscope.model.base import QueryError, subsystem_of
from kscope.model.codec import to_json
from kscope.model.fingerprint import Fingerprint, FingerprintQuery
from kscope.model.system import System, SystemQuery
from kscope.model.target import DebugInfo, Identity, Opened
from kscope.report.clipboard import copy
from kscope.screens.base import DashboardScreen
from kscope.screens.links import Link, TaskLink
from kscope.screens.registry import SCREENS, ScreenEntry
from kscope.screens.remembered import LastTime, decoded, keep_last_time, last_time
from kscope.session.client import Session
from kscope.session.process import WorkerProcess
from kscope.widgets import theme
from kscope.widgets.frame import Frame, FrameScreen, ScreenLabel
from kscope.widgets.help import HelpOverlay
from kscope.widgets.keys_in_turn import KeysInTurn
from kscope.widgets.line import Cell
from kscope.widgets.one_line import OneLine
from kscope.widgets.overlay import toggle
from kscope.widgets.palette import Entry, Palette
from kscope.widgets.signals import leave_on_signals
from kscope.widgets.theme import Role
from kscope.widgets.work import start

if TYPE_CHECKING:
    from kscope.report.notebook import Block
    from kscope.screens.command_line import CommandLine
    from kscope.screens.reports import Reports

_SAID_SECONDS = 0.5

_COMMAND = "0"
"""The digit of the command line's screen."""

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


class KscopeApp(KeysInTurn):
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
        Binding("a", "add_to_report", "to report", id="report.add",
                tooltip="add what this pane shows to the report, with its command"),
        Binding("colon", "command", "command", id="command.open",
                tooltip="type a crash command"),
        Binding("at", "set_context", "set", show=False, id="command.set",
                tooltip="make the selected task crash's current one"),
        Binding("f5", "read_again", "read again", show=False, id="app.read-again",
                tooltip="read this screen again: a running machine moved on, or reading failed"),
        Binding("ctrl+p", "palette", "palette", show=False, id="app.palette"),
        Binding("question_mark", "help", "help", id="app.help"),
        Binding("q,backspace", "back", "back", id="app.back", tooltip="back; leave from the start"),
        Binding("ctrl+q,ctrl+c", "quit", "leave kscope", show=False, priority=True, id="app.quit"),
    ]  # fmt: skip

    def __init__(self, session: Session, *, fresh: bool = False) -> None:
        """:param fresh: whether to begin as if this dump had never been open."""
        no_color = bool(os.environ.get("NO_COLOR"))
        # Textual must be told in its constructor that colours are to go, not only to turn grey.
        super().__init__(ansi_color=True if no_color else None)
        self._main = MainScreen()
        self.session = session
        self.config, self._config_error = _configuration()
        self.set_keymap(keymap(self.config.keys))
        self.animation_level = "none"
        for known in theme.THEMES:
            self.register_theme(known)
        self.theme = theme.suitable_theme(
            self.console.color_system, no_color=no_color, light=self.config.theme == "light"
        )
        self._identity: Identity | None = None
        self._debug_info: DebugInfo | None = None
        self._left_unsaved = False
        self._said_at = 0.0
        self._facts: list[Cell] = []
        self._current = SCREENS[0].digit
        self._history: list[tuple[str, object]] = []
        self._begins_fresh = fresh
        self._last_time = LastTime()
        self._fingerprint: Fingerprint | None = None
        self._key_pressed = False

    def get_default_screen(self) -> MainScreen:
        """The only screen, as Textual counts them."""
        return self._main

    async def on_load(self) -> None:
        """Before the terminal is taken: whatever ends the dashboard from then on gives it back."""
        leave_on_signals(self.exit)

    async def on_ready(self) -> None:
        """Show the first screen, and open the target behind it."""
        self.session.on_lost = self._worker_lost
        start(self, self._open)
        self._show_identity()
        await self._show_screen(self._current)
        if self._config_error:
            self.say(self._config_error, "critical")
        elif found := _doubts(self.config):
            others = f" {len(found) - 1} more: kscope config" if len(found) > 1 else ""
            self._config_error = found[0] + others
            self.say(self._config_error, "warning")

    async def on_unmount(self) -> None:
        """Save what is unsaved, and leave no worker behind."""
        if "reports" in self.__dict__:
            await self.reports.close()
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

    _current_task = ""
    """crash's current task, if the reader has set one."""

    # The target.

    @property
    def identity(self) -> Identity | None:
        """What is being debugged, as far as it is known."""
        return self._identity

    @property
    def debug_info(self) -> DebugInfo | None:
        """Where types come from, once they are loaded."""
        return self._debug_info

    async def _open(self) -> None:
        try:
            self._opened(await self.session.connect(part=self._opened))
        except QueryError as error:
            self.exit(str(error), return_code=1)
            return
        try:
            await self._restore()
            self._described(await self.session.ask(SystemQuery()))
        except QueryError as error:
            self.frame.equivalent.show_message((str(error), "critical"))

    def _opened(self, opened: Opened) -> None:
        identity = self._identity = opened.identity
        self._debug_info = opened.debug_info
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
        facts = (
            [*self._facts, (self._current_task, "accent")] if self._current_task else self._facts
        )
        self.frame.identity.show_identity("kscope", name, facts)

    def _worker_lost(self, sentence: str) -> None:
        self.frame.equivalent.show_message((sentence, "critical"))

    # What was open the last time.

    async def _restore(self) -> None:
        """Show what was open when this dump was left, unless the reader was faster."""
        self._fingerprint = fingerprint = await self.session.ask(FingerprintQuery())
        if self._begins_fresh:
            return
        self._last_time = last_time(fingerprint)
        if self._key_pressed:
            return
        for entry in SCREENS:
            if (screen := self._screen(entry)) is not None:
                self._restore_screen(entry, screen)
                if entry.digit == self._current:
                    screen.focus_first()
            if entry.module == self._last_time.screen and entry.digit != self._current:
                await self._show_screen(entry.digit)

    def _restore_screen(self, entry: ScreenEntry, screen: DashboardScreen) -> None:
        kept = self._last_time.screens.get(entry.module)
        if kept is not None and screen.REMEMBERS is not None:
            screen.restore(decoded(kept, screen.REMEMBERS))

    def _keep(self) -> None:
        """Keep what is open for the next time."""
        if self._fingerprint is None:
            return
        for entry in SCREENS:
            self._note_how_it_is(entry)
        opened = next(entry.module for entry in SCREENS if entry.digit == self._current)
        left = msgspec.structs.replace(self._last_time, screen=opened)
        keep_last_time(self._fingerprint, left)

    def _note_how_it_is(self, entry: ScreenEntry) -> None:
        """Note what a screen wants to be told again."""
        screen = self._screen(entry)
        remembered = screen.remembered() if screen is not None else None
        if remembered is not None:
            kept = {entry.module: msgspec.Raw(to_json(remembered))}
            self._last_time = LastTime(screens=self._last_time.screens | kept)

    def exit(
        self, result: str | None = None, return_code: int = 0, message: object | None = None
    ) -> None:
        """Leave, whatever the reason is; what is open is kept for the next time."""
        self._keep()
        super().exit(result, return_code, message)  # type: ignore[arg-type]

    async def on_event(self, event: Event) -> None:
        """Notice that the reader has begun."""
        self._key_pressed = self._key_pressed or isinstance(event, Key)
        await super().on_event(event)

    # The screens.

    def _screen(self, entry: ScreenEntry) -> DashboardScreen | None:
        """A screen, if it was opened."""
        found = self._main.switcher.query(f"#screen-{entry.digit}")
        return found.first(DashboardScreen) if found else None

    async def _show_screen(self, digit: str) -> DashboardScreen:
        switcher = self._main.switcher
        entry = next(entry for entry in SCREENS if entry.digit == digit)
        name = f"screen-{digit}"
        if self._screen(entry) is None:
            await switcher.mount(screen := entry.create())
            self._restore_screen(entry, screen)
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

    async def action_read_again(self) -> None:
        """Read the open screen again, and show it as it was."""
        entry = next(entry for entry in SCREENS if entry.digit == self._current)
        screen = self._screen(entry)
        assert screen is not None
        self._note_how_it_is(entry)
        place = screen.place()
        await screen.remove()
        (await self._show_screen(entry.digit)).go_to(place)

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
                start(self, partial(self._open_link, entry.digit, link))
                return
        self.copy(str(link))

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
            await self.action_quit()
            return
        digit, place = self._history.pop()
        (await self._show_screen(digit)).go_to(place)

    async def action_quit(self) -> None:
        """Leave; with a report that cannot be saved only when asked twice."""
        if "reports" in self.__dict__ and not self.reports.is_saved:
            await self.reports.save()
        if "reports" in self.__dict__ and self.reports.problem and not self._left_unsaved:
            self._left_unsaved = True
            self.say(f"{self.reports.problem}; once more leaves without it", "critical")
            return
        self.exit()

    @on(OneLine.Clicked)
    async def _screen_clicked(self, message: OneLine.Clicked) -> None:
        if isinstance(message.target, ScreenLabel):
            await self.action_open_screen(message.target.digit)

    # Commands and the report.

    @cached_property
    def commands(self) -> "CommandLine":
        """The crash command line."""
        from kscope.config import SavedAliases
        from kscope.screens.command_line import CommandLine

        aliases = SavedAliases(self.config.aliases)
        return CommandLine(self.session.ask, aliases, radix=self.config.radix)

    @cached_property
    def reports(self) -> "Reports":
        """The report of this dump."""
        from kscope.screens.reports import Reports

        return Reports(self.session.ask, lambda: self._identity.path if self._identity else "")

    def say(self, message: str, role: Role = "") -> None:
        """Say what just happened, where the equivalent is shown otherwise."""
        self._said_at = time.monotonic()
        self.frame.equivalent.show_message((message, role))

    async def action_command(self) -> None:
        """To the command line."""
        if self._current != _COMMAND:
            await self.action_open_screen(_COMMAND)
        elif self.current is not None:
            self.current.focus_first()

    async def _run_alias(self, name: str, line: str) -> None:
        await self.action_command()
        from kscope.screens.command import CommandScreen

        screen = self.current
        assert isinstance(screen, CommandScreen)
        if "$" in line:
            screen.prefill(f"{name} ")
        else:
            screen.run_line(name)

    def action_set_context(self) -> None:
        """Make the task in the focused pane the current one of crash commands."""
        link = self.current.task_in_focus() if self.current else None
        if link is None:
            self.say("no task is selected here", "dim")
        else:
            start(self, partial(self._set_context, link))

    async def _set_context(self, link: TaskLink) -> None:
        wanted = str(link)
        output = await self.commands.interpreter.run(f"set {wanted}")
        self.say(output.error or f"set {wanted}", "critical" if output.error else "good")
        if not output.error:
            self._current_task = f"set {link.pid}"
            self._show_identity()

    def action_add_to_report(self) -> None:
        """Add what the focused pane shows to the report."""
        start(self, self._add_to_report, group="add")

    async def _add_to_report(self) -> None:
        screen = self.current
        if screen is None:
            return
        block = screen.draft_in_focus() or await self._draft(screen)
        if block is None:
            self.say("there is nothing to add here", "dim")
            return
        await self.reports.open()
        number = self.reports.add(block)
        self.say(f"added to the report as {number}: {block.heading}", "good")

    async def _draft(self, screen: DashboardScreen) -> "Block | None":
        """The focused pane's command and its output, in crash's layout where there is one."""
        from kscope.report.notebook import Block, Step

        query, shown = screen.query_in_focus(), screen.equivalent()
        text = screen.text_in_focus()
        if query is not None:
            with contextlib.suppress(QueryError, LookupError):
                view = find_view(subsystem_of(type(query)).replace("_", "-"))
                text = view.text(query, await self.session.ask(query))
        if not text:
            return None
        crash, drgn, note = (shown.crash, shown.drgn, shown.note) if shown else ("", "", "")
        step = Step(command=crash, drgn=drgn, output=text, answered_by="kscope", note=note)
        return Block(steps=(step,))

    # The equivalent line.

    @on(DashboardScreen.EquivalentChanged)
    def _show_equivalent(self) -> None:
        if time.monotonic() - self._said_at < _SAID_SECONDS:
            # What was done has moved the cursor too: that it was done is the news.
            return
        if self._config_error and not self._key_pressed:
            return  # nobody may have read it: opening takes longer than that
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
        self.copy(equivalent.crash if equivalent else "")

    def action_copy_drgn(self) -> None:
        """Copy the drgn code for what the focused pane shows."""
        equivalent = self.current.equivalent() if self.current else None
        self.copy(equivalent.drgn if equivalent else "")

    def action_copy_text(self) -> None:
        """Copy the focused pane's text."""
        self.copy(self.current.text_in_focus() if self.current else "")

    def copy(self, text: str) -> None:
        """Put ``text`` on the clipboard, and say so."""
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

    async def action_help(self) -> None:
        """Every key that works here."""
        await toggle(self.screen, HelpOverlay(self.screen))

    async def action_palette(self) -> None:
        """Find an action by its name."""
        screens = [
            Entry(f"open {e.name}", "Screens", partial(self._go, e.digit), e.digit) for e in SCREENS
        ]
        saved = [
            Entry(f"{name}   {line}", "Saved commands", partial(self._go_alias, name, line))
            for name, line in self.commands.interpreter.aliases.items()
        ]
        await toggle(self.screen, Palette(self.screen, [*screens, *saved]))

    def _go_alias(self, name: str, line: str) -> None:
        self.call_later(self._run_alias, name, line)

    def _go(self, digit: str) -> None:
        self.call_later(self.action_open_screen, digit)


def _configuration() -> tuple[Config, str]:
    """The reader's configuration; with a sentence if it cannot be used."""
    try:
        return load(), ""
    except ConfigError as error:
        return Config(), str(error)


def _doubts(config: Config) -> tuple[str, ...]:
    """What the configuration says that stands for nothing."""
    if not config.keys:
        return doubts(None)
    # Imports every screen, which otherwise happens when one is opened.
    return doubts(key_ids(), is_key)


def _opens(digit: str) -> tuple[type[Any], ...]:
    import importlib

    entry = next(entry for entry in SCREENS if entry.digit == digit)
    module = importlib.import_module(f"kscope.screens.{entry.module}")
    opens: tuple[type[Any], ...] = getattr(module, entry.class_name).OPENS
    return opens


def run(worker: WorkerProcess, *, mouse: bool, fresh: bool) -> int:
    """Run the dashboard on a worker that was just started; returns the exit status."""
    session = Session(worker)
    app = KscopeApp(session, fresh=fresh)
    try:
        keep_pauses_short()
        sentence = app.run(mouse=mouse or app.config.mouse)
    finally:
        session.kill()
    if sentence:
        print(f"kscope: {sentence}", file=sys.stderr)
    return app.return_code or 0
