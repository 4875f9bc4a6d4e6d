"""The filter: typed in a row above a list, in force with every key."""

from __future__ import annotations

from textual.app import ComposeResult

from kscope.widgets.filter_bar import Chip, FilterBar
from kscope.widgets.one_line import OneLine
from kscope.widgets.table import Column, VirtualTable

from .support import Stage, screen_lines, segments_of

NAMES = [f"kworker/{n}:0" for n in range(5)] + ["systemd", "sh"]


class Filtered(Stage):
    """A list of names under a filter bar."""

    def compose(self) -> ComposeResult:
        self.table = VirtualTable(Column[str]("COMMAND", lambda name: name), key=lambda name: name)
        self.bar = FilterBar(self.table)
        self.clicked: list[object] = []
        yield self.bar
        yield self.table

    def on_mount(self) -> None:
        self.table.show_rows(NAMES)
        self.table.focus()

    def on_filter_bar_changed(self, message: FilterBar.Changed) -> None:
        chosen = [NAMES[index] for index in message.filter.select(NAMES)]
        self.table.show_rows(chosen)
        self.bar.show_count(len(chosen), len(NAMES))

    def on_one_line_clicked(self, message: OneLine.Clicked) -> None:
        self.clicked.append(message.target)


async def test_a_bar_with_nothing_to_say_takes_no_room() -> None:
    app = Filtered()
    async with app.run_test(size=(60, 10)):
        assert screen_lines(app)[0] == " COMMAND"


async def test_each_key_filters_and_enter_keeps_it_as_a_chip() -> None:
    app = Filtered()
    async with app.run_test(size=(60, 10)) as pilot:
        app.bar.open()
        await pilot.press("s")
        assert app.table.rows == ["systemd", "sh"]
        await pilot.press("h")
        await pilot.pause()
        assert app.table.rows == ["sh"]
        assert screen_lines(app)[0].split() == ["/", "sh", "1", "of", "7"]
        await pilot.press("enter")
        await pilot.pause()
        assert screen_lines(app)[0] == "  /sh"
        assert app.table.has_focus


async def test_escape_gives_the_filter_up() -> None:
    app = Filtered()
    async with app.run_test(size=(60, 10)) as pilot:
        app.bar.open()
        await pilot.press("s", "h", "enter")
        app.bar.open()
        await pilot.press("escape")
        await pilot.pause()
        assert app.table.rows == NAMES
        assert not app.bar.filter.active
        assert screen_lines(app)[0] == " COMMAND"


async def test_opened_again_it_goes_on_with_the_filter_in_force() -> None:
    app = Filtered()
    async with app.run_test(size=(60, 10)) as pilot:
        app.bar.open()
        await pilot.press("s", "enter")
        app.bar.open()
        await pilot.press("y", "enter")
        assert app.table.rows == ["systemd"]


async def test_half_an_expression_is_shown_as_such_and_the_last_whole_one_stays() -> None:
    app = Filtered()
    async with app.run_test(size=(70, 10)) as pilot:
        app.bar.open()
        await pilot.press("s", "left_parenthesis")
        await pilot.pause()
        assert "bad expression: missing )" in screen_lines(app)[0]
        assert app.table.rows == ["systemd", "sh"]
        await pilot.press("backspace")
        await pilot.pause()
        assert "bad expression" not in screen_lines(app)[0]


async def test_the_arrow_keys_move_through_the_list_while_one_types() -> None:
    app = Filtered()
    async with app.run_test(size=(60, 10)) as pilot:
        app.bar.open()
        await pilot.press("down", "down", "up", "k")
        assert app.table.cursor_row in ("kworker/0:0", "kworker/1:0")
        assert app.bar.filter.source == "k"


async def test_what_matches_is_highlighted() -> None:
    app = Filtered()
    async with app.run_test(size=(60, 10)) as pilot:
        app.bar.open()
        await pilot.press("y", "enter")
        assert [segment.text for segment in segments_of(app, "y")] == [" /y ", "y"]


async def test_chips_show_counts_and_the_active_one_stands_out() -> None:
    app = Filtered()
    async with app.run_test(size=(60, 10)) as pilot:
        app.bar.show_chips(
            [
                ("", [Chip("UN", 14, active=True, role="critical", target="UN"), Chip("RU", 1700)]),
                ("policy", [Chip("FIFO", 3, target="FIFO")]),
            ]
        )
        await pilot.pause()
        assert screen_lines(app)[0] == "  UN 14  RU 1,700   policy FIFO 3"
        (chip,) = segments_of(app, "UN 14")
        assert chip.style is not None
        assert chip.style.bgcolor is not None
        await pilot.click(app.bar, offset=(3, 0))
        await pilot.click(app.bar, offset=(28, 0))
        assert app.clicked == ["UN", "FIFO"]


async def test_a_filter_can_be_applied_without_typing() -> None:
    app = Filtered()
    async with app.run_test(size=(60, 10)) as pilot:
        app.bar.apply("!kworker")
        await pilot.pause()
        assert app.table.rows == ["systemd", "sh"]
        assert "/!kworker" in screen_lines(app)[0]


async def test_the_cursor_does_not_blink() -> None:
    app = Filtered()
    async with app.run_test(size=(60, 10)) as pilot:
        app.bar.open()
        await pilot.press("s")
        await pilot.pause()
        seen = set()
        for _ in range(4):
            await pilot.pause(0.3)
            seen.add(app.export_screenshot())
        assert len(seen) == 1
