"""Screen 5, Inspect, on the bundled dump."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from kscope.app import KscopeApp
from kscope.model.list import ListQuery
from kscope.model.search import SearchQuery
from kscope.model.struct import StructQuery
from kscope.screens.address_bar import AddressBar
from kscope.screens.inspect import InspectAsLeft, InspectScreen
from kscope.screens.inspect_visits import Visit
from kscope.screens.type_chooser import TypeChooser
from kscope.widgets.line import plain
from kscope.widgets.line_view import LineView
from kscope.widgets.one_line import OneLine
from kscope.widgets.text_view import TextView
from tests.screens.conftest import SIZES, keys, painted, settle


def opened(text: str, *pressed: str) -> Callable[[Pilot[Any]], Awaitable[None]]:
    """Open ``text`` on the Inspect screen as a link does, then press keys."""

    async def run(pilot: Pilot[Any]) -> None:
        await keys("5")(pilot)
        assert isinstance(pilot.app, KscopeApp)
        screen(pilot.app)._open_text(text)
        await settle(pilot)
        for key in pressed:
            await pilot.press(key)
            await settle(pilot)

    return run


def typed(text: str) -> tuple[str, ...]:
    """The keys that type ``text``."""
    named = {" ": "space", "_": "underscore", ".": "full_stop"}
    return tuple(named.get(each, each) for each in text)


def screen(app: KscopeApp) -> InspectScreen:
    return app.query_one(InspectScreen)


def lines(app: KscopeApp) -> list[str]:
    view: LineView = screen(app)._pane.current
    return [plain(view.line_at(index, 200)) for index in range(view.line_count())]


def move_to(app: KscopeApp, member: str) -> None:
    """Put the cursor on a member."""
    members = screen(app)._pane.members
    members.move_to([row.path for row in members.rows].index(member))


def path(app: KscopeApp) -> str:
    return plain(app.query_one("#inspect-path", OneLine).spans(200))


@pytest.mark.parametrize("size", SIZES)
def test_picture_of_an_object(
    snap_compare: Any, dashboard: KscopeApp, size: tuple[int, int]
) -> None:
    assert snap_compare(dashboard, run_before=opened("pid 1"), terminal_size=size)


@pytest.mark.parametrize("size", SIZES)
def test_picture_of_a_filter(
    snap_compare: Any, dashboard: KscopeApp, size: tuple[int, int]
) -> None:
    pressed = ("slash", *typed("mm"))
    assert snap_compare(dashboard, run_before=opened("pid 1", *pressed), terminal_size=size)


@pytest.mark.parametrize("size", SIZES)
def test_picture_of_a_layout(
    snap_compare: Any, dashboard: KscopeApp, size: tuple[int, int]
) -> None:
    assert snap_compare(dashboard, run_before=opened("struct rq"), terminal_size=size)


@pytest.mark.parametrize("size", SIZES)
def test_picture_of_who_points_here(
    snap_compare: Any, dashboard: KscopeApp, size: tuple[int, int]
) -> None:
    assert snap_compare(dashboard, run_before=opened("pid 1", "F"), terminal_size=size)


@pytest.mark.parametrize("size", SIZES)
def test_picture_of_a_mask_that_is_none(
    snap_compare: Any, dashboard: KscopeApp, size: tuple[int, int]
) -> None:
    pressed = ("F", "F", "backspace", *typed("tags"), "enter")
    assert snap_compare(dashboard, run_before=opened("pid 1", *pressed), terminal_size=size)


async def test_a_search_takes_a_mask_and_so_do_its_equivalents(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened("init_task", "F", "F", "backspace", *typed("f0ff"), "enter")(pilot)
        query = screen(dashboard).query_in_focus()
        assert isinstance(query, SearchQuery)
        assert (query.stacks, query.mask) == (True, "f0ff")
        shown = screen(dashboard).equivalent()
        assert shown is not None
        assert shown.crash.startswith("search -t -m f0ff ffffffff")
        assert "ignored = 0xf0ff" in shown.drgn
        await keys("F", *4 * ["backspace"], "enter")(pilot)
        shown = screen(dashboard).equivalent()
        assert shown is not None
        assert "-m" not in shown.crash


@pytest.mark.parametrize("size", SIZES)
def test_picture_of_memory(snap_compare: Any, dashboard: KscopeApp, size: tuple[int, int]) -> None:
    assert snap_compare(dashboard, run_before=opened("storlab_pointers", "x"), terminal_size=size)


@pytest.mark.parametrize("size", SIZES)
def test_picture_of_code(snap_compare: Any, dashboard: KscopeApp, size: tuple[int, int]) -> None:
    assert snap_compare(dashboard, run_before=opened("schedule"), terminal_size=size)


@pytest.mark.parametrize("size", SIZES)
def test_picture_of_a_walk(snap_compare: Any, dashboard: KscopeApp, size: tuple[int, int]) -> None:
    assert snap_compare(dashboard, run_before=opened("init_task.tasks", "l"), terminal_size=size)


@pytest.mark.parametrize("size", SIZES)
def test_picture_of_what_an_address_is(
    snap_compare: Any, dashboard: KscopeApp, size: tuple[int, int]
) -> None:
    assert snap_compare(dashboard, run_before=opened("pid 1", "i"), terminal_size=size)


def test_picture_of_the_address_bar(snap_compare: Any, dashboard: KscopeApp) -> None:
    assert snap_compare(dashboard, run_before=keys("5", "o", *"mutex"), terminal_size=(80, 24))


async def test_enter_follows_a_pointer_and_backspace_comes_back(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened("pid 1")(pilot)
        move_to(dashboard, "real_parent")
        await keys("enter")(pilot)
        assert path(dashboard).startswith("pid 1 › real_parent › *(struct task_struct *)0x")
        assert any('"swapper/0"' in line for line in lines(dashboard))
        await keys("backspace")(pilot)
        assert path(dashboard).startswith("pid 1 › *(struct task_struct *)0x")
        await keys("right_square_bracket")(pilot)
        assert "real_parent" in path(dashboard)


async def test_a_list_is_walked_to_a_table_whose_rows_lead_on(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened("pid 2")(pilot)
        move_to(dashboard, "children")
        await keys("l")(pilot)
        assert "rcu_gp" in lines(dashboard)[0]
        query = screen(dashboard).query_in_focus()
        assert isinstance(query, ListQuery)
        assert query.entry == "struct task_struct.sibling"
        await keys("enter")(pilot)
        assert any('"rcu_gp"' in line for line in lines(dashboard))


async def test_a_structure_unfolds(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened("init_task")(pilot)
        before = len(lines(dashboard))
        await keys("g", "right")(pilot)
        assert len(lines(dashboard)) == before + 4


async def test_what_cannot_be_understood_keeps_the_bar_open_with_a_sentence(
    dashboard: KscopeApp,
) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("5", "o", *typed("task stuct"), "enter")(pilot)
        bar = dashboard.query_one(AddressBar)
        assert bar._table.state is not None
        assert "There is no symbol or type" in str(bar._table.state)


async def test_the_equivalent_has_the_address(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened("pid 1")(pilot)
        query = screen(dashboard).query_in_focus()
        assert isinstance(query, StructQuery)
        equivalent = screen(dashboard).equivalent()
        assert equivalent is not None
        assert equivalent.crash == f"struct task_struct {query.address.removeprefix('0x')}"


@pytest.mark.parametrize(
    ("list_", "elements", "what"),
    [("looping", 7, "came before: it is a loop"), ("poisoned", 5, "LIST_POISON1")],
)
async def test_where_a_list_is_corrupted_is_said_below_its_elements(
    dashboard: KscopeApp, list_: str, elements: int, what: str
) -> None:
    async with dashboard.run_test(size=(80, 24)) as pilot:
        await opened(f"list_head storlab_{list_}_list", "l")(pilot)
        assert len(lines(dashboard)) == elements
        remark = dashboard.query_one("#inspect-remark", TextView)
        assert remark.display
        said = plain(remark.line_at(0, 200))
        assert said.startswith(f"! Element {elements - 1} at ")
        assert what in said


async def test_elements_of_a_type_that_is_not_known_here_have_telling_columns(
    dashboard: KscopeApp,
) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened("list_head storlab_list", "l")(pilot)
        assert [column.title for column in screen(dashboard)._pane.table.columns][1:] == [
            "NUMBER", "NAME", "STATE", "READY",
        ]  # fmt: skip


async def test_an_address_in_an_unsigned_long_is_named_and_followed(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened("pid 1.thread")(pilot)
        move_to(dashboard, "sp")
        await pilot.pause()
        assert any("stack of init 1 +0x" in line for line in lines(dashboard))
        await keys("enter")(pilot)
        visit = screen(dashboard)._visit
        assert visit is not None
        assert visit.face == "address"


async def test_the_columns_of_a_walk_are_chosen(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened("pid 2")(pilot)
        move_to(dashboard, "children")
        await keys("l", "C", "ctrl+u", *"tgid", "enter")(pilot)
        assert lines(dashboard)[0].split() == [lines(dashboard)[0].split()[0], "3"]


async def test_a_place_is_kept_with_a_note_and_found_again(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened("pid 1", "b", *"mine", "enter")(pilot)
        await opened("init_task", "B", "enter")(pilot)
        assert any('"init"' in line for line in lines(dashboard))


async def test_an_address_can_be_looked_at_as_another_type(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened("pid 1", "t", *"thread", "underscore", *"info", "enter")(pilot)
        assert "as thread_info" in path(dashboard)
        assert len(lines(dashboard)) == 4


async def test_searching_names_who_points_here(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened("pid 1", "f")(pilot)
        assert any("task_struct.real_parent" in line for line in lines(dashboard))


async def test_o_opens_the_bar_from_another_screen(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("2", "o")(pilot)
        assert dashboard.query(AddressBar)


async def test_a_pointer_that_was_opened_is_followed(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened("pid 1.mm", "enter")(pilot)
        assert any("mmap_base" in line for line in lines(dashboard))
        visit = screen(dashboard)._visit
        assert visit is not None
        assert visit.expression.endswith("->mm")


async def test_memory_goes_on_after_what_is_shown(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened("init_task", "x")(pilot)
        start = int(lines(dashboard)[0].split()[0], 16)
        await keys("greater_than_sign")(pilot)
        assert int(lines(dashboard)[0].split()[0], 16) == start + 2048


async def test_a_filter_hides_what_does_not_match_as_it_is_typed(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened("pid 1", "slash", *typed("load.wei"))(pilot)
        shown = [line.split()[0] for line in lines(dashboard)]
        assert len(shown) == 3, "se, load and weight"
        assert "weight" in lines(dashboard)[2]
        await keys("enter", "q")(pilot)
        assert len(lines(dashboard)) > 100


async def test_an_inverted_filter_hides_what_matches(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened("init_task.tasks", "slash", "exclamation_mark", *"next")(pilot)
        assert [row.path for row in screen(dashboard)._pane.members.rows] == ["prev"]


async def test_a_filter_leaves_out_what_is_only_inside_of_what_matches(
    dashboard: KscopeApp,
) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened("pid 1.mm", "enter", "slash", *typed("mm_mt"))(pilot)
        found = [row.path for row in screen(dashboard)._pane.members.rows if row.matches]
        assert found == ["mm_mt"]
        row = screen(dashboard)._pane.members.cursor_row
        assert row is not None
        assert row.path == "mm_mt"


async def test_a_member_that_a_filter_found_is_in_sight_without_it(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened("pid 1", "slash", *typed("se.load.wei"), "enter", "escape")(pilot)
        row = screen(dashboard)._pane.members.cursor_row
        assert row is not None
        assert row.path == "se.load.weight"


async def test_rows_of_a_walk_and_lines_of_code_are_filtered(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened("init_task.tasks", "l", "slash", *"storlab")(pilot)
        assert lines(dashboard)
        assert all("storlab" in line for line in lines(dashboard))
        await opened("schedule", "slash", *"call")(pilot)
        assert lines(dashboard)
        assert all("call" in line for line in lines(dashboard))


async def test_the_code_up_to_a_place_and_from_it_on(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        parts = []
        for pressed in ("m", "d", "d"):
            await (opened("schedule+0x1e") if pressed == "m" else keys(pressed))(pilot)
            parts.append([line for line in lines(dashboard) if "+" in line])
        whole, before, after = parts
        assert before[-1] == after[0]
        assert len(before) + len(after) == len(whole) + 1


async def test_the_mask_that_is_offered_is_that_of_tagged_pointers(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened("pid 1", "F", "F", "enter")(pilot)
        equivalent = screen(dashboard).equivalent()
        assert equivalent is not None
        assert equivalent.crash.startswith("search -t -m 7 ")


async def test_what_is_typed_right_behind_the_key_that_opens_the_bar_is_typed_in_it(
    dashboard: KscopeApp,
) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("5")(pilot)
        await settle(pilot)
        for key in "offff000":
            dashboard.simulate_key(key)
            await asyncio.sleep(0.005)
        await settle(pilot)
        assert screen(dashboard).display
        assert dashboard.query_one(AddressBar)._prompt.input.value == "ffff000"


async def test_a_walk_has_the_same_columns_when_it_is_opened_again(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        seen = []
        for _ in range(2):
            await opened("shrinker_list", "l")(pilot)
            seen.append(painted(dashboard).split("\n")[4:8])
        assert "COUNT_OBJECTS" in seen[0][0]
        assert seen[1] == seen[0]


async def test_an_answer_about_a_place_that_was_left_changes_nothing(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened("pid 1")(pilot)
        before = painted(dashboard)
        await opened("init_task")(pilot)
        worker = dashboard.session.worker_process_id
        os.kill(worker, signal.SIGSTOP)
        await pilot.press("u", "q")  # what holds it; back
        os.kill(worker, signal.SIGCONT)
        await settle(pilot)
        assert painted(dashboard) == before


async def test_types_to_choose_among_do_not_come_over_another_screen(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("2")(pilot)
        await opened("init_task.tasks")(pilot)
        worker = dashboard.session.worker_process_id
        os.kill(worker, signal.SIGSTOP)
        await pilot.press("u", "2")  # what holds it
        os.kill(worker, signal.SIGCONT)
        await settle(pilot)
        assert not dashboard.query(TypeChooser)
        await keys("5", "u")(pilot)
        assert dashboard.query(TypeChooser)


async def test_the_drgn_code_takes_into_account_what_could_not_be_read(
    dashboard: KscopeApp,
) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened("struct task_struct ffff888000000000")(pilot)
        shown = screen(dashboard).equivalent()
        assert shown is not None
        assert "except FaultError" in shown.drgn


@pytest.mark.parametrize(
    "edited",
    [
        Visit("&init_task", 0xFFFFFFFF81000000, face="search", mask="tags"),
        Visit("&init_task", face="memory"),
        Visit("&init_task", 0xFFFFFFFF81000000, face="walk"),
    ],
    ids=["a mask that is none", "memory at no address", "a walk of nothing"],
)
async def test_a_remembered_place_that_cannot_be_shown_counts_as_none(
    dashboard: KscopeApp, edited: Visit
) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("5")(pilot)
        await settle(pilot)
        before = painted(dashboard)
        screen(dashboard).restore(InspectAsLeft((Visit("struct rq", type="struct rq"), edited)))
        await settle(pilot)
        assert painted(dashboard) == before


async def test_where_there_are_few_rows_the_object_has_them_all(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(80, 19)) as pilot:
        await opened("init_task")(pilot)
        assert "─ Memory ─" not in painted(dashboard)
