"""The pane and the row that repaints only what changed."""

from __future__ import annotations

import pytest
from textual.app import ComposeResult

from kscope.widgets.line import line
from kscope.widgets.one_line import OneLine
from kscope.widgets.pane import Pane
from kscope.widgets.text_view import TextView

from .support import Stage, screen_lines, segments_of


async def test_title_and_counts_sit_in_a_round_border() -> None:
    pane = Pane("Findings  2 critical", TextView([line("content")]), subtitle="1/5")
    app = Stage(pane)
    async with app.run_test(size=(40, 4)):
        assert screen_lines(app) == [
            "╭─ Findings  2 critical ───────────────╮",
            "│ content                              │",
            "│                                      │",
            "╰──────────────────────────────── 1/5 ─╯",
        ]


async def test_without_title_and_counts_the_border_is_closed() -> None:
    app = Stage(Pane("", TextView([line("x")])))
    async with app.run_test(size=(12, 3)):
        assert screen_lines(app) == ["╭──────────╮", "│ x        │", "╰──────────╯"]


async def test_a_title_too_long_is_cut() -> None:
    app = Stage(Pane("a very long title", TextView(), subtitle="and a very long subtitle"))
    async with app.run_test(size=(20, 3)) as pilot:
        await pilot.pause()
        top, _, bottom = screen_lines(app)
        assert top == "╭─ a very long t… ─╮"
        assert bottom.startswith("╰")
        assert bottom.endswith("… ─╯")
        assert len(bottom) == 20


@pytest.mark.parametrize("cells", range(1, 8))
async def test_where_no_letter_of_the_title_has_room_there_is_the_border(cells: int) -> None:
    app = Stage(Pane("title", TextView(), subtitle="1/5"))
    async with app.run_test(size=(cells, 3)):
        assert set(screen_lines(app)[0]) <= set("╭─╮ …")


async def test_counts_grow_and_shrink_without_a_gap() -> None:
    pane = Pane("T", TextView([line("x")]))
    app = Stage(pane)
    async with app.run_test(size=(30, 3)) as pilot:
        for text in ("9/10", "100,000/100,000", "1/1", ""):
            pane.show_subtitle(text)
            await pilot.pause()
            await pilot.pause()
            bottom = screen_lines(app)[2]
            assert len(bottom) == 30
            assert text in bottom
            assert bottom.replace(text, "").replace(" ", "").strip("╰─╯") == ""


async def test_the_focused_pane_has_the_accent_border() -> None:
    left, right = TextView([line("left")]), TextView([line("right")])
    app = Stage(Pane("L", left), Pane("R", right))
    async with app.run_test(size=(30, 8)) as pilot:

        def border_colours() -> list[str]:
            return [
                segment.style.color.name
                for segment in segments_of(app, "╭")
                if segment.style and segment.style.color
            ]

        left.focus()
        await pilot.pause()
        first = border_colours()
        right.focus()
        await pilot.pause()
        assert first[0] != first[1]
        assert border_colours() == first[::-1]


async def test_a_fitting_pane_is_as_high_as_its_content() -> None:
    view = TextView([line("1"), line("2")])
    app = Stage(Pane("A", view, classes="fit"), Pane("B", TextView()))
    async with app.run_test(size=(20, 12)) as pilot:
        assert screen_lines(app)[3].startswith("╰")
        view.show_lines([line(str(n)) for n in range(5)])
        await pilot.pause()
        assert screen_lines(app)[6].startswith("╰")


async def test_children_can_be_given_in_a_with_block() -> None:
    class WithBlock(Stage):
        def compose(self) -> ComposeResult:
            with Pane("T"):
                yield TextView([line("inside")])

    app = WithBlock()
    async with app.run_test(size=(20, 3)):
        assert screen_lines(app)[1] == "│ inside           │"


async def test_a_row_shows_another_text_only_as_far_as_it_differs_in_length() -> None:
    row = OneLine()
    app = Stage(row)
    async with app.run_test(size=(80, 3)) as pilot:
        row.show(line("a longer text"))
        await pilot.pause()
        row.show(line("short"))
        assert {region.width for region in row._repaint_regions} == {13}
        await pilot.pause()
        assert screen_lines(app)[0] == "short"


async def test_a_row_that_stays_the_same_is_not_painted() -> None:
    row = OneLine()
    app = Stage(row)
    async with app.run_test(size=(80, 3)) as pilot:
        row.show(line("same"))
        await pilot.pause()
        row.show(line("same"))
        assert not row._repaint_regions
