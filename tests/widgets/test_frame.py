"""The frame: identity, screens, equivalent, keys; help and palette from the same bindings."""

from __future__ import annotations

from typing import ClassVar

import pytest
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from kscope.widgets.frame import Frame, FrameScreen, ScreenLabel
from kscope.widgets.help import HelpOverlay
from kscope.widgets.keys import key_name
from kscope.widgets.line import line
from kscope.widgets.overlay import toggle
from kscope.widgets.palette import Entry, Palette
from kscope.widgets.pane import Pane
from kscope.widgets.table import Column, VirtualTable
from kscope.widgets.text_view import TextView

from .support import Stage, screen_lines, screen_text, segments_of

NAMES = ["Survey", "Log", "Tasks", "CPUs", "Inspect", "Locks", "Memory", "System", "Report"]
SCREENS = [ScreenLabel(str(digit), name) for digit, name in enumerate(NAMES, start=1)]


class TasksScreen(FrameScreen):
    """A screen as the dashboard has them."""

    HELP_HEADING = "Tasks"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter", id="tasks.filter"),
        Binding("h,j", "nothing", id="tasks.undescribed"),
        Binding("s,S", "state", "state", tooltip="show one state only", id="tasks.state"),
        Binding("tab", "app.focus_next", "next pane", show=False, id="screen.next-pane"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.done: list[str] = []
        self.table = VirtualTable(Column[int]("N", str))
        self.text = TextView([line("text")])
        self.frame = Frame()

    def compose(self) -> ComposeResult:
        with self.frame:
            yield Pane("List", self.table)
            yield Pane("Text", self.text)

    def on_mount(self) -> None:
        self.table.show_rows(list(range(100)))
        self.table.focus()

    def action_filter(self) -> None:
        self.done.append("filter")

    def action_state(self) -> None:
        self.done.append("state")


class Dashboard(Stage):
    ENABLE_COMMAND_PALETTE = False

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "copy", id="app.copy"),
        Binding("question_mark", "help", "help", id="app.help"),
        Binding("q", "back", "back", id="app.back"),
        Binding("ctrl+p", "palette", "palette", show=False, id="app.palette"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.tasks = TasksScreen()
        self.done: list[str] = []

    def get_default_screen(self) -> TasksScreen:
        return self.tasks

    def action_copy(self) -> None:
        self.done.append("copy")

    async def action_back(self) -> None:
        self.done.append("back")

    async def action_help(self) -> None:
        await toggle(self.screen, HelpOverlay(self.screen))

    async def action_palette(self) -> None:
        saved = Entry("my report", "Saved commands", lambda: self.done.append("saved"))
        await toggle(self.screen, Palette(self.screen, [saved]))


async def test_the_identity_line_names_the_dump_and_its_facts() -> None:
    app = Dashboard()
    async with app.run_test(size=(100, 20)) as pilot:
        app.tasks.frame.identity.show_identity(
            "kscope", "vmcore", ["6.1.0-56-cloud-amd64", ("hung_task", "critical"), "4 CPUs"]
        )
        await pilot.pause()
        assert screen_lines(app)[0] == " kscope vmcore · 6.1.0-56-cloud-amd64 · hung_task · 4 CPUs"


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (
            120,
            " 1 Survey  2 Log   3 Tasks   4 CPUs  5 Inspect  6 Locks  7 Memory  8 System  9 Report",
        ),
        (80, " 1 Survey 2 Log  3 Tasks  4 CPUs 5 Inspect 6 Locks 7 Memory 8 System 9 Report"),
        (40, " 1 2  3 Tasks  4 5 6 7 8 9"),
    ],
)
async def test_the_screens_line_fits_every_width(columns: int, expected: str) -> None:
    app = Dashboard()
    async with app.run_test(size=(columns, 20)) as pilot:
        app.tasks.frame.screens.show_screens(SCREENS, "3")
        await pilot.pause()
        assert screen_lines(app)[1] == expected
        (current,) = segments_of(app, "3 Tasks")
        assert current.style is not None
        assert current.style.bold


async def test_the_equivalent_line_shows_the_command() -> None:
    app = Dashboard()
    async with app.run_test(size=(80, 20)) as pilot:
        app.tasks.frame.equivalent.show_command("ps -m | grep UN", note="nearest")
        await pilot.pause()
        assert screen_lines(app)[-2] == " crash> ps -m | grep UN   nearest"


async def test_the_keys_line_shows_the_bindings_around_the_focus() -> None:
    app = Dashboard()
    async with app.run_test(size=(80, 20)) as pilot:
        await pilot.pause()
        assert screen_lines(app)[-1] == " / filter  s state  y copy  ? help  q back"


async def test_on_a_narrow_terminal_help_and_back_stay() -> None:
    app = Dashboard()
    async with app.run_test(size=(30, 20)) as pilot:
        await pilot.pause()
        assert screen_lines(app)[-1] == " / filter  ? help  q back"


async def test_a_changed_keymap_changes_footer_and_help() -> None:
    app = Dashboard()
    async with app.run_test(size=(80, 30)) as pilot:
        app.set_keymap({"tasks.state": "f4"})
        await pilot.press("tab", "?")
        await pilot.pause()
        assert "f4 state" in screen_lines(app)[-1]
        assert any("f4" in each and "show one state only" in each for each in screen_lines(app))


async def test_help_lists_the_focused_widget_first_then_screen_then_app() -> None:
    app = Dashboard()
    async with app.run_test(size=(100, 40)) as pilot:
        await pilot.press("?")
        await pilot.pause()
        shown = screen_text(app)
        headings = [shown.index(text) for text in ("In a list", "│ Tasks ", "Everywhere")]
        assert headings == sorted(headings)
        assert "↓ j" in shown
        assert "s S" in shown
        assert "show one state only" in shown
        assert "Copy selected text" not in shown


@pytest.mark.parametrize("key", ["escape", "question_mark", "q", "backspace"])
async def test_help_closes_and_gives_the_focus_back(key: str) -> None:
    app = Dashboard()
    async with app.run_test(size=(100, 40)) as pilot:
        await pilot.press("?")
        await pilot.pause()
        assert app.screen.query(HelpOverlay)
        await pilot.press(key)
        await pilot.pause()
        assert not app.screen.query(HelpOverlay)
        assert app.tasks.table.has_focus
        assert app.done == []


async def test_help_fits_the_smallest_screen_and_scrolls() -> None:
    app = Dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("?", "G")
        await pilot.pause()
        assert "back" in screen_text(app)
        assert screen_lines(app)[0].strip() == ""


async def test_an_overlay_follows_a_change_of_the_terminal_s_size() -> None:
    app = Dashboard()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("?")
        await pilot.pause()
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        region = app.screen.query_one(HelpOverlay).region
        assert app.screen.region.contains_region(region)


async def test_the_palette_finds_an_action_and_does_it() -> None:
    app = Dashboard()
    async with app.run_test(size=(100, 40)) as pilot:
        await pilot.press("ctrl+p")
        await pilot.pause()
        await pilot.press(*"one state")
        await pilot.press("enter")
        await pilot.pause()
        assert app.tasks.done == ["state"]
        assert not app.screen.query(Palette)
        assert app.tasks.table.has_focus


async def test_the_palette_does_actions_of_the_focused_list() -> None:
    app = Dashboard()
    async with app.run_test(size=(100, 40)) as pilot:
        await pilot.press("ctrl+p")
        await pilot.pause()
        await pilot.press(*"last line", "enter")
        await pilot.pause()
        assert app.tasks.table.cursor == 99


async def test_the_palette_offers_more_than_keys() -> None:
    app = Dashboard()
    async with app.run_test(size=(100, 40)) as pilot:
        await pilot.press("ctrl+p")
        await pilot.pause()
        await pilot.press(*"my rep", "enter")
        await pilot.pause()
        assert app.done == ["saved"]


async def test_the_palette_says_when_nothing_is_called_that() -> None:
    app = Dashboard()
    async with app.run_test(size=(100, 40)) as pilot:
        await pilot.press("ctrl+p")
        await pilot.pause()
        await pilot.press(*"zzzz", "enter")
        await pilot.pause()
        assert "nothing is called that" in screen_text(app)
        await pilot.press("escape")
        assert app.tasks.table.has_focus


async def test_escape_in_the_palette_does_nothing_else() -> None:
    app = Dashboard()
    async with app.run_test(size=(100, 40)) as pilot:
        await pilot.press("ctrl+p", "escape")
        await pilot.pause()
        assert (app.done, app.tasks.done) == ([], [])


def test_keys_are_named_as_they_are_typed() -> None:
    names = [key_name(key) for key in ("slash", "ctrl+y", "pagedown", "G", "question_mark")]
    assert names == ["/", "ctrl+y", "pgdn", "G", "?"]
