"""The text view: lines, links, items of several lines, folding."""

from __future__ import annotations

import pytest

from kscope.widgets.line import Line, line
from kscope.widgets.line_view import LineView
from kscope.widgets.states import Empty
from kscope.widgets.text_filter import parse_filter
from kscope.widgets.text_view import TextView, link

from .support import Stage, repainted_rows, screen_lines, segments_of

BACKTRACE: list[Line] = [
    line((" #0", "dim"), " context_switch"),
    line(
        ("wants ", "dim"), link("mutex c05700a0", 0xC05700A0), " held by ", link("backupd 162", 162)
    ),
    line("the end"),
]


class Reader(Stage):
    def __init__(self, view: TextView) -> None:
        super().__init__(view)
        self.followed: list[object] = []

    def on_text_view_link_followed(self, message: TextView.LinkFollowed) -> None:
        self.followed.append(message.target)


async def test_enter_follows_the_link_under_the_cursor_and_right_goes_to_the_next() -> None:
    view = TextView(BACKTRACE)
    app = Reader(view)
    async with app.run_test(size=(60, 8)) as pilot:
        view.focus()
        await pilot.press("j", "enter", "l", "enter", "h", "enter")
        assert app.followed == [0xC05700A0, 162, 0xC05700A0]


async def test_enter_on_a_line_without_links_chooses_the_line() -> None:
    view = TextView(BACKTRACE)
    app = Reader(view)
    async with app.run_test(size=(60, 8)) as pilot:
        view.focus()
        await pilot.press("G", "enter")
        assert app.followed == []
        assert [m.index for m in app.heard if isinstance(m, LineView.Chosen)] == [2]


async def test_links_are_underlined_and_of_several_the_one_enter_follows_is_marked() -> None:
    view = TextView(BACKTRACE)
    app = Reader(view)
    async with app.run_test(size=(60, 8)) as pilot:
        view.focus()
        (before,) = segments_of(app, "mutex c05700a0")
        assert before.style is not None
        assert before.style.underline
        await pilot.press("j")
        (here,) = segments_of(app, "mutex c05700a0")
        (other,) = segments_of(app, "backupd 162")
        assert here.style is not None
        assert other.style is not None
        assert here.style.bgcolor != other.style.bgcolor


async def test_a_click_follows_a_link() -> None:
    view = TextView(BACKTRACE)
    app = Reader(view)
    async with app.run_test(size=(60, 8)) as pilot:
        await pilot.click(view, offset=(32, 1))
        assert app.followed == [162]


async def test_the_cursor_shows_only_with_the_focus() -> None:
    view = TextView([line("only line")])
    other = TextView([line("other")])
    app = Stage(view, other)
    async with app.run_test(size=(30, 6)) as pilot:
        view.focus()
        await pilot.pause()
        (with_focus,) = segments_of(app, "only")
        other.focus()
        await pilot.pause()
        (without,) = segments_of(app, "only")
        assert with_focus.style is not None
        assert without.style is not None
        assert with_focus.style.bgcolor != without.style.bgcolor


async def test_right_scrolls_a_long_line_where_there_is_no_other_link() -> None:
    view = TextView([line("0123456789" * 4)])
    app = Stage(view)
    async with app.run_test(size=(20, 4)) as pilot:
        view.focus()
        assert screen_lines(app)[0] == "0123456789012345678…"
        await pilot.press("l")
        assert screen_lines(app)[0] == "8901234567890123456…"
        await pilot.press("l", "l", "l")
        assert screen_lines(app)[0] == "01234567890123456789"


async def test_w_folds_long_lines_and_unfolds_them() -> None:
    view = TextView([line("a long line of text that does not fit"), line("next")])
    app = Stage(view)
    async with app.run_test(size=(20, 6)) as pilot:
        view.focus()
        await pilot.press("w")
        assert screen_lines(app)[:4] == [
            "a long line of text",
            "  that does not fit",
            "next",
            "",
        ]
        await pilot.press("w")
        assert screen_lines(app)[:2] == ["a long line of text…"[:19] + "…", "next"]


async def test_folded_the_cursor_covers_all_rows_of_its_line_and_stays_in_view() -> None:
    view = TextView([line(f"line {n} " + "words and words " * 3) for n in range(30)], wrapped=True)
    app = Stage(view)
    async with app.run_test(size=(24, 9)) as pilot:
        view.focus()
        await pilot.pause()
        for index in [*range(30), *range(28, -1, -1), 29, 0]:
            view.move_to(index)
            shown = "\n".join(screen_lines(app))
            assert f"line {index} " in shown
            assert shown.count("words") >= 3


async def test_the_cursor_goes_from_item_to_item() -> None:
    view = TextView()
    app = Stage(view)
    finding: list[Line] = [
        line("C Deadlock"),
        line("  2 tasks"),
        line("W rwsem"),
        line("  4 queue"),
    ]
    async with app.run_test(size=(30, 6)) as pilot:
        view.show_lines(finding, items=[0, 2])
        view.focus()
        await pilot.pause()
        assert view.position == "1/2"
        await pilot.press("j")
        assert (view.item, view.cursor, view.position) == (1, 2, "2/2")
        await pilot.press("j")
        assert view.item == 1
        await pilot.press("k")
        assert view.item == 0
        await pilot.pause()
        view.move_to(3)
        assert repainted_rows(view) == [0, 1, 2, 3]


async def test_new_lines_begin_at_the_top_unless_told_to_keep_the_place() -> None:
    view = TextView([line(str(n)) for n in range(50)])
    app = Stage(view)
    async with app.run_test(size=(20, 5)):
        view.move_to(40)
        view.show_lines([line(f"{n}!") for n in range(50)], keep_place=True)
        assert view.cursor == 40
        assert "40!" in screen_lines(app)
        view.show_lines([line(f"{n}?") for n in range(50)])
        assert view.cursor == 0
        assert screen_lines(app)[0] == "0?"


async def test_nothing_to_show_says_why() -> None:
    view = TextView()
    app = Stage(view)
    async with app.run_test(size=(40, 4)):
        view.show_lines([], empty=Empty("no stack: the task is running"))
        assert screen_lines(app)[0] == " · no stack: the task is running"


@pytest.mark.parametrize("wrapped", [False, True])
async def test_search_highlights_and_finds(wrapped: bool) -> None:
    view = TextView([line(f"line {n}") for n in range(100)], wrapped=wrapped)
    app = Stage(view)
    async with app.run_test(size=(20, 5)) as pilot:
        view.focus()
        view.search = parse_filter("7$")
        await pilot.press("n", "n")
        assert view.cursor == 17
        assert [s.text for s in segments_of(app, "7") if s.text == "7"]


async def test_the_text_is_copied_whole_without_the_ellipsis() -> None:
    view = TextView([line("0123456789" * 4), line(("b", "dim"), "  ")])
    app = Stage(view)
    async with app.run_test(size=(20, 5)):
        assert view.as_text() == "0123456789" * 4 + "\nb\n"


async def test_a_folded_text_without_lines_is_empty() -> None:
    view = TextView(wrapped=True)
    app = Stage(view)
    async with app.run_test(size=(40, 5)) as pilot:
        await pilot.resize_terminal(60, 8)
        view.show_lines([])
        await pilot.pause()
        assert "".join(screen_lines(app)).strip() == ""
