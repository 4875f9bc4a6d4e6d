"""What the Inspect screen keeps of the way to a place, and what it says of the place itself."""

import pytest

from kscope.app import KscopeApp
from kscope.model.address import FittingType
from kscope.model.base import Address
from kscope.screens.type_chooser import TypeChooser
from kscope.widgets.keys import footer_keys
from kscope.widgets.line import plain
from kscope.widgets.one_line import OneLine
from kscope.widgets.overlay import toggle
from tests.screens.conftest import keys, painted, settle
from tests.screens.test_inspect import lines, move_to, opened, path, screen, typed


def row_of(app: KscopeApp, text: str) -> int:
    """The first line or row with ``text`` in it."""
    return next(index for index, each in enumerate(lines(app)) if text in each)


def copied(app: KscopeApp, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is copied from now on."""
    texts: list[str] = []
    monkeypatch.setattr(app, "copy", texts.append)
    return texts


def rest_of_line(app: KscopeApp) -> str | None:
    """What is said below the lines; ``None`` where there is no room for it."""
    rest = app.query_one("#inspect-rest", OneLine)
    return plain(rest.spans(200)) if rest.display else None


@pytest.mark.parametrize("address", ["0x7fff00001000", "0xdead000000000100"])
async def test_what_an_address_is_is_said_once(dashboard: KscopeApp, address: str) -> None:
    async with dashboard.run_test(size=(80, 24)) as pilot:
        await opened(address)(pilot)
        said = lines(dashboard)[0]
        assert said
        assert [said in each for each in lines(dashboard)].count(True) == 1


async def test_a_byte_order_is_that_of_one_place_and_said_in_its_title(
    dashboard: KscopeApp,
) -> None:
    async with dashboard.run_test(size=(80, 24)) as pilot:
        await opened("init_task", "x", "e")(pilot)
        assert ", big-endian ─" in painted(dashboard)
        await opened("pid 1", "x")(pilot)
        assert "big-endian" not in painted(dashboard)
        await keys("backspace", "backspace")(pilot)
        assert ", big-endian ─" in painted(dashboard)


async def test_a_call_is_followed_by_name_and_come_back_to(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened("schedule", "slash", *"call", "enter")(pilot)
        call = next(each for each in lines(dashboard) if "<__schedule>" in each)
        screen(dashboard)._pane.text.move_to(lines(dashboard).index(call))
        await keys("enter")(pilot)
        assert path(dashboard) == "schedule › __schedule"
        await keys("backspace")(pilot)
        assert path(dashboard) == "schedule"
        assert lines(dashboard)[screen(dashboard)._pane.text.cursor] == call
        await keys("right_square_bracket")(pilot)
        assert path(dashboard) == "schedule › __schedule"


@pytest.mark.parametrize(
    ("text", "expression"),
    [("schedule", "schedule"), ("schedule+0x1e", "(void *)schedule + 0x1e")],
)
async def test_code_is_copied_as_c(
    dashboard: KscopeApp, monkeypatch: pytest.MonkeyPatch, text: str, expression: str
) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened(text)(pilot)
        texts = copied(dashboard, monkeypatch)
        await keys("c")(pilot)
        assert texts == [expression]
        assert path(dashboard) == text


async def test_giving_up_a_filter_leaves_the_cursor_on_its_line(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened("schedule", "slash", *"call", "enter", "G")(pilot)
        here = lines(dashboard)[-1]
        await keys("escape")(pilot)
        assert lines(dashboard)[screen(dashboard)._pane.text.cursor] == here


async def test_one_comes_back_to_the_element_that_was_followed(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened("init_task.tasks", "l", "j", "j", "j", "enter", "backspace")(pilot)
        assert screen(dashboard)._pane.table.cursor == 3
        await opened("list_head storlab_list", "l")(pilot)
        assert screen(dashboard)._pane.table.cursor == 0, "another walk begins with its first"


async def test_an_element_begins_with_its_first_member_and_a_nameless_one_has_a_title(
    dashboard: KscopeApp,
) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened("list_head storlab_list", "l", "enter")(pilot)
        members = screen(dashboard)._pane.members
        assert members.cursor == 0
        members.move_to([row.path for row in members.rows].index(""))
        await pilot.pause(0.1)
        await settle(pilot)
        assert "─ union {…} = {…} ─" in painted(dashboard)


async def test_columns_that_are_pointers_to_text_show_the_text_alone(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(80, 24)) as pilot:
        await opened("list_head slab_caches", "l")(pilot)
        names = [each.split()[1] for each in lines(dashboard)]
        assert "task_struct" in names
        assert not any(name.startswith("ffff") for name in names)


async def test_the_name_that_a_line_of_memory_has_no_room_for_is_below(
    dashboard: KscopeApp,
) -> None:
    async with dashboard.run_test(size=(80, 24)) as pilot:
        await opened("init_task", "x")(pilot)
        screen(dashboard)._pane.text.move_to(2)
        await settle(pilot)
        assert rest_of_line(dashboard) == lines(dashboard)[2].split("  ")[-1]
        assert rest_of_line(dashboard)


async def test_where_all_names_fit_they_take_no_row_of_their_own(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(160, 40)) as pilot:
        await opened("init_task", "x")(pilot)
        assert rest_of_line(dashboard) is None


async def test_the_member_under_the_cursor_is_cast_and_the_way_to_it_kept(
    dashboard: KscopeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened("init_task")(pilot)
        move_to(dashboard, "tasks")
        texts = copied(dashboard, monkeypatch)
        await keys("t", *typed("hlist_node"), "enter")(pilot)
        assert path(dashboard).startswith(
            "init_task › tasks as hlist_node › *(struct hlist_node *)"
        )
        assert [row.path for row in screen(dashboard)._pane.members.rows] == ["next", "pprev"]
        await keys("c")(pilot)
        assert texts == ["((struct hlist_node *)&init_task.tasks)->next"]
        await keys("backspace")(pilot)
        row = screen(dashboard)._pane.members.cursor_row
        assert row is not None
        assert row.path == "tasks"


async def test_of_a_long_way_the_end_is_seen(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(80, 24)) as pilot:
        await opened("list_head storlab_list", "l", "enter")(pilot)
        move_to(dashboard, "link")
        await keys("t", *typed("list_head"), "enter")(pilot)
        visit = screen(dashboard)._visit
        assert visit is not None
        assert path(dashboard) == f"… › link as list_head › {visit.name}"
        await pilot.resize_terminal(160, 24)
        await settle(pilot)
        assert path(dashboard).startswith("list_head storlab_list › elements › ")


async def test_on_a_member_that_is_no_object_the_place_is_cast(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened("init_task")(pilot)
        move_to(dashboard, "prio")
        await keys("t", *typed("thread_info"), "enter")(pilot)
        assert path(dashboard).startswith("init_task › as thread_info › ")


async def test_the_key_for_walking_is_shown_where_there_is_something_to_walk(
    dashboard: KscopeApp,
) -> None:
    def shown() -> list[str]:
        return [each.what for each in footer_keys(dashboard.screen)]

    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened("init_task")(pilot)
        move_to(dashboard, "prio")
        await settle(pilot)
        assert "walk list" not in shown()
        await keys("l")(pilot)
        assert "prio is no list, tree or array" in painted(dashboard)
        move_to(dashboard, "tasks")
        await settle(pilot)
        assert shown()[0] == "walk list"


async def test_following_a_pointer_to_the_same_type_leaves_the_cursor_on_that_pointer(
    dashboard: KscopeApp,
) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await opened("pid 1")(pilot)
        move_to(dashboard, "real_parent")
        await keys("enter")(pilot)
        row = screen(dashboard)._pane.members.cursor_row
        assert row is not None
        assert row.path == "real_parent"
        await opened("init_task.tasks")(pilot)
        assert screen(dashboard)._pane.members.cursor == 0, "another place begins with its first"


async def test_a_type_that_is_not_certain_says_so_and_is_one_key_away(
    dashboard: KscopeApp,
) -> None:
    async with dashboard.run_test(size=(80, 24)) as pilot:
        await opened("pid 1")(pilot)
        visit = screen(dashboard)._visit
        assert visit is not None
        assert visit.address is not None
        fitting = FittingType(
            type="struct task_struct", start=Address(visit.address), member="", size=9792,
            why="it is in the slab cache task_struct, which 1 other of its size share",
            certain=False,
        )  # fmt: skip
        chosen: list[tuple[str, int]] = []
        chooser = TypeChooser((fitting,), lambda *place: chosen.append(place))
        await toggle(dashboard.screen, chooser)
        await settle(pilot)
        assert "It may lie in" in painted(dashboard)
        assert "perhaps" in painted(dashboard)
        await keys("enter")(pilot)
        assert chosen == [("struct task_struct", visit.address)]
