"""The virtual table."""

from __future__ import annotations

import sys
import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

from rich.text import Text
from textual.app import App
from textual.color import Color

from kscope.widgets.line import Span
from kscope.widgets.line_view import LineView
from kscope.widgets.states import Empty, Failed, Loading
from kscope.widgets.table import Column, Fold, VirtualTable
from kscope.widgets.text_filter import parse_filter

from .support import Stage, repainted_rows, screen_lines, screen_text, segments_of


@dataclass(frozen=True)
class Task:
    pid: int
    comm: str
    state: str = "IN"
    depth: int = 0
    is_open: bool | None = None


def tasks(count: int) -> list[Task]:
    return [Task(pid, f"worker-{pid}") for pid in range(count)]


def task_table(*, tree: bool = False) -> VirtualTable[Task]:
    return VirtualTable(
        Column[Task]("PID", lambda task: str(task.pid), width=7, right=True),
        Column[Task](
            "ST", lambda task: (task.state, "critical" if task.state == "UN" else ""), width=2
        ),
        Column[Task]("COMMAND", lambda task: task.comm, tree=tree),
        key=lambda task: task.pid,
        fold=(lambda task: Fold(task.depth, task.is_open)) if tree else None,
    )


async def test_rows_stand_under_their_titles_and_numbers_align_to_the_right() -> None:
    table = task_table()
    app = Stage(table)
    async with app.run_test(size=(40, 6)):
        table.show_rows([Task(1, "systemd"), Task(4711, "sh", "UN")])
        assert screen_lines(app)[:3] == [
            "     PID  ST  COMMAND",
            "       1  IN  systemd",
            "    4711  UN  sh",
        ]


async def test_a_flexible_column_gets_what_the_others_leave_and_is_cut_with_an_ellipsis() -> None:
    table = task_table()
    app = Stage(table)
    async with app.run_test(size=(30, 4)):
        table.show_rows([Task(1, "a-very-long-name-indeed")])
        assert screen_lines(app)[1] == "       1  IN  a-very-long-na…"


async def test_wide_characters_count_as_the_two_cells_they_take() -> None:
    table = VirtualTable(
        Column[str]("A", lambda name: name, width=6), Column[str]("B", lambda _name: "end", width=3)
    )
    app = Stage(table)
    async with app.run_test(size=(20, 4)):
        table.show_rows(["日本語", "日本語x", "plain"])
        assert screen_lines(app)[1:] == [" 日本語  end", " 日本 …  end", " plain   end"]


async def test_names_from_a_dump_are_never_markup_nor_control_sequences() -> None:
    table = task_table()
    app = Stage(table)
    hostile = ["[red]x", "[/0]", "\x1b]52;c;aGk=\x07", "a\nb", "\u202egnp"]
    async with app.run_test(size=(60, 10)):
        table.show_rows([Task(n, name) for n, name in enumerate(hostile)])
        shown = [text[14:] for text in screen_lines(app)[1:6]]
        assert shown == ["[red]x", "[/0]", r"\x1b]52;c;aGk=\x07", r"a\x0ab", r"\u202egnp"]


async def test_a_cell_may_be_rich_text_with_its_own_styles() -> None:
    table = VirtualTable(Column[int]("N", lambda _n: Text.assemble("a", ("[b]", "bold"))))
    app = Stage(table)
    async with app.run_test(size=(20, 4)):
        table.show_rows([1])
        assert screen_lines(app)[1] == " a[b]"
        (segment,) = segments_of(app, "[b]")
        assert segment.style is not None
        assert segment.style.bold


async def test_a_role_gives_a_cell_the_theme_colour() -> None:
    table = task_table()
    app = Stage(table)
    async with app.run_test(size=(40, 4)):
        table.show_rows([Task(1, "a"), Task(2, "b", "UN")])
        (segment,) = segments_of(app, "UN")
        assert segment.style is not None
        assert segment.style.color is not None
        assert segment.style.color == Color.parse(app.theme_variables["error"]).rich_color


async def test_arrow_vim_and_page_keys_move_the_cursor() -> None:
    table = task_table()
    app = Stage(table)
    async with app.run_test(size=(40, 11)) as pilot:
        table.show_rows(tasks(100))
        table.focus()
        where = []
        for key in ("down", "j", "up", "k", "pagedown", "pageup", "G", "g", "end", "home"):
            await pilot.press(key)
            where.append(table.cursor)
        assert where == [1, 2, 1, 0, 9, 0, 99, 0, 99, 0]


async def test_the_row_under_the_cursor_is_always_on_screen() -> None:
    table = task_table()
    app = Stage(table)
    async with app.run_test(size=(40, 9)):
        table.show_rows(tasks(50))
        for index in [*range(50), *range(49, -1, -1), 49, 41, 33, 0, 8, 30]:
            table.move_to(index)
            assert any(f"worker-{table.cursor}" in shown for shown in screen_lines(app))


async def test_the_last_page_is_full() -> None:
    table = task_table()
    app = Stage(table)
    async with app.run_test(size=(40, 9)) as pilot:
        table.show_rows(tasks(50))
        table.focus()
        await pilot.press("G")
        assert [text.split()[0] for text in screen_lines(app)[1:]] == [
            str(n) for n in range(42, 50)
        ]


async def test_moving_by_a_line_repaints_two_lines() -> None:
    table = task_table()
    app = Stage(table)
    async with app.run_test(size=(40, 11)) as pilot:
        table.show_rows(tasks(100))
        await pilot.pause()
        table.move_to(1)
        assert repainted_rows(table) == [1, 2]


async def test_holding_a_key_scrolls_by_most_of_a_page_at_once() -> None:
    table = task_table()
    app = Stage(table)
    async with app.run_test(size=(40, 21)) as pilot:
        table.show_rows(tasks(1000))
        await pilot.pause()
        scrolled = 0
        for index in range(1, 100):
            table.move_to(index)
            scrolled += len(repainted_rows(table)) > 2
        assert scrolled <= 6


async def test_the_cursor_stays_on_its_row_when_rows_are_sorted_and_filtered() -> None:
    table = task_table()
    app = Stage(table)
    async with app.run_test(size=(40, 11)):
        rows = tasks(1000)
        table.show_rows(rows)
        table.move_to_key(700)
        table.show_rows(sorted(rows, key=lambda task: -task.pid))
        assert table.cursor_row == rows[700]
        assert any("worker-700" in shown for shown in screen_lines(app))
        table.show_rows([task for task in rows if task.pid % 7 == 0])
        assert table.cursor_row == rows[700]


async def test_when_its_row_is_filtered_away_the_cursor_stays_near() -> None:
    table = task_table()
    app = Stage(table)
    async with app.run_test(size=(40, 11)):
        table.show_rows(tasks(10))
        table.move_to(9)
        table.show_rows(tasks(3))
        assert table.cursor == 2


async def test_rows_stream_in_below_without_touching_those_on_screen() -> None:
    table = task_table()
    app = Stage(table)
    async with app.run_test(size=(40, 11)) as pilot:
        rows = tasks(4)
        table.show_rows(rows)
        await pilot.pause()
        rows += tasks(100)[4:6]
        table.rows_added()
        assert repainted_rows(table)[0] == 5
        assert "worker-5" in screen_text(app)
        await pilot.pause()
        rows += tasks(100)[6:100]
        table.rows_added()
        await pilot.pause()
        table.move_to(99)
        assert table.position == "100/100"


async def test_rows_added_off_screen_repaint_nothing() -> None:
    table = task_table()
    app = Stage(table)
    async with app.run_test(size=(40, 11)) as pilot:
        rows = tasks(100)
        table.show_rows(rows)
        await pilot.pause()
        rows += tasks(10)
        table.rows_added()
        assert repainted_rows(table) == []


async def test_a_hundred_thousand_rows_cost_what_one_page_costs() -> None:
    class Lazy(Sequence[Task]):
        asked = 0

        def __len__(self) -> int:
            return 100_000

        @overload
        def __getitem__(self, index: int) -> Task: ...
        @overload
        def __getitem__(self, index: slice) -> Sequence[Task]: ...
        def __getitem__(self, index: int | slice) -> Task | Sequence[Task]:
            assert isinstance(index, int)
            self.asked += 1
            return Task(index, f"worker-{index}")

    table = task_table()
    app = Stage(table)
    rows = Lazy()
    async with app.run_test(size=(120, 40)) as pilot:
        table.show_rows(rows)
        await pilot.pause()
        table.move_to(99_999)
        await pilot.pause()
        assert "worker-99999" in screen_text(app)
        assert rows.asked < 500


async def test_moving_through_a_hundred_thousand_rows_is_quick_and_needs_no_memory() -> None:
    table = task_table()
    app = Stage(table)
    rows = tasks(100_000)
    async with app.run_test(size=(120, 40)) as pilot:
        tracemalloc.start()
        started = time.process_time()
        table.show_rows(rows)
        for index in range(0, 100_000, 5_000):
            table.move_to(index)
            await pilot.pause()
        spent = time.process_time() - started
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert spent < 4.0
    assert peak < 8_000_000, sys.getsizeof(rows)


async def test_loading_empty_and_failed_look_different_and_say_why() -> None:
    table = task_table()
    app = Stage(table)
    async with app.run_test(size=(60, 5)):
        table.show_state(Loading("reading tasks", 10_055, 20_110))
        assert screen_lines(app)[:2] == [
            " … reading tasks",
            "   ━━━━━━━━━━━━────────────  10,055 of 20,110",
        ]
        table.show_rows([], empty=Empty("no task is in state UN", "escape clears the filter"))
        assert screen_lines(app)[:2] == [" · no task is in state UN", "   escape clears the filter"]
        table.show_state(Failed("the page with task_list is not in the dump", "o opens another"))
        assert screen_lines(app)[:2] == [
            " ! the page with task_list is not in the dump",
            "   o opens another",
        ]


async def test_keys_do_nothing_while_there_are_no_rows() -> None:
    table = task_table()
    app = Stage(table)
    async with app.run_test(size=(40, 11)) as pilot:
        table.show_rows([])
        table.focus()
        await pilot.press("j", "G", "pagedown", "l", "h", "enter", "n")
        assert table.cursor_row is None
        assert table.position == ""
        assert not [m for m in app.heard if isinstance(m, LineView.Chosen)]


async def test_enter_chooses_the_row_under_the_cursor() -> None:
    table = task_table()
    app = Stage(table)
    async with app.run_test(size=(40, 11)) as pilot:
        table.show_rows(tasks(10))
        table.focus()
        await pilot.press("j", "j", "enter")
        chosen = [m.index for m in app.heard if isinstance(m, LineView.Chosen)]
        assert chosen == [2]


async def test_a_table_wider_than_the_screen_scrolls_sideways_with_its_titles() -> None:
    table = VirtualTable(
        *(Column[int](f"C{n}", lambda row, n=n: f"{row}.{n}", width=10) for n in range(6))  # type: ignore[misc]
    )
    app = Stage(table)
    async with app.run_test(size=(30, 4)) as pilot:
        table.show_rows([7])
        table.focus()
        await pilot.press("l", "right")
        assert screen_lines(app)[:2] == [
            "         C2          C3      …",
            "         7.2         7.3     …",
        ]
        await pilot.press(*["right"] * 9)
        assert screen_lines(app)[1].endswith("7.5")
        await pilot.press(*["left"] * 9)
        assert screen_lines(app)[1].startswith(" 7.0")


async def test_a_tree_is_indented_marked_and_asks_its_owner_to_fold() -> None:
    asked: list[tuple[int, bool]] = []

    class Owner(Stage):
        def on_virtual_table_fold_requested(self, message: VirtualTable.FoldRequested) -> None:
            asked.append((message.index, message.opened))

    table = task_table(tree=True)
    app = Owner(table)
    async with app.run_test(size=(40, 8)) as pilot:
        table.show_rows(
            [
                Task(1, "systemd", is_open=True),
                Task(20, "sshd", depth=1, is_open=False),
                Task(30, "cron", depth=1),
            ]
        )
        table.focus()
        assert [text[14:] for text in screen_lines(app)[1:4]] == [
            "▾ systemd",
            "  ▸ sshd",
            "    cron",
        ]
        await pilot.press("h", "j", "l", "j", "h")
        assert asked == [(0, False), (1, True)]
        assert table.cursor == 0


async def test_the_sorted_column_is_marked() -> None:
    table = task_table()
    app = Stage(table)
    async with app.run_test(size=(40, 4)):
        table.show_rows(tasks(1))
        table.show_sorted_by("PID", descending=True)
        assert screen_lines(app)[0] == "    PID↓  ST  COMMAND"


async def test_n_finds_the_next_row_that_matches_and_highlights_it() -> None:
    table = task_table()
    app = Stage(table)
    async with app.run_test(size=(40, 11)) as pilot:
        table.show_rows(tasks(5000))
        table.focus()
        table.search = parse_filter("r-4[0-9]{3}$")
        await pilot.press("n")
        assert table.cursor == 4000
        await pilot.press("n", "n", "N")
        assert table.cursor == 4001
        assert [s.text for s in segments_of(app, "r-4001")] == ["r-4001"]


async def test_a_search_that_finds_nothing_leaves_the_cursor_alone() -> None:
    table = task_table()
    app = Stage(table)
    async with app.run_test(size=(40, 11)) as pilot:
        table.show_rows(tasks(50))
        table.focus()
        table.search = parse_filter("nowhere")
        await pilot.press("n", "N")
        assert table.cursor == 0


async def test_rows_shown_before_there_is_a_screen_begin_at_the_top_once_there_is() -> None:
    table = task_table()
    table.show_rows(tasks(5))
    table.move_to(2)
    app = Stage(table)
    async with app.run_test(size=(40, 11)) as pilot:
        await pilot.pause()
        assert [text.split()[0] for text in screen_lines(app)[1:6]] == ["0", "1", "2", "3", "4"]


async def test_a_larger_screen_shows_more_rows_not_a_gap_below_them() -> None:
    table = task_table()
    app = Stage(table)
    async with app.run_test(size=(40, 6)) as pilot:
        table.show_rows(tasks(20))
        table.move_to(19)
        await pilot.resize_terminal(40, 16)
        await pilot.pause()
        shown = [text.split()[0] for text in screen_lines(app)[1:]]
        assert shown == [str(n) for n in range(5, 20)]


async def test_a_margin_marks_rows() -> None:
    marked = {2}
    table = VirtualTable(
        Column[int]("N", str, width=3),
        margin=lambda row: Span("*" if row in marked else " ", "accent"),
    )
    app = Stage(table)
    async with app.run_test(size=(20, 5)):
        table.show_rows([1, 2])
        assert screen_lines(app)[1:3] == [" 1", "*2"]
        marked.add(1)
        table.row_changed(0)
        assert screen_lines(app)[1] == "*1"


async def test_a_click_moves_the_cursor() -> None:
    table = task_table()
    app: App[None] = Stage(table)
    async with app.run_test(size=(40, 11)) as pilot:
        table.show_rows(tasks(5))
        await pilot.click(table, offset=(3, 4))
        assert table.cursor == 3
