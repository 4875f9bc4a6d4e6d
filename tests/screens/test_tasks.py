"""Screen 3, tasks, on the bundled dump."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from kscope.app import KscopeApp
from kscope.screens.links import TaskLink
from kscope.screens.task_rows import GroupRow, MemberRow, Row, TaskRow
from kscope.screens.tasks import TasksScreen
from tests.screens.conftest import SIZES, keys, settle
from tests.widgets.support import screen_lines


def quiet(*pressed: str) -> Callable[[Pilot[Any]], Awaitable[None]]:
    """Press keys, and wait for what the cursor rests on to be shown."""
    press = keys("3", *pressed)

    async def run(pilot: Pilot[Any]) -> None:
        await press(pilot)
        await asyncio.sleep(0.1)
        await settle(pilot)

    return run


def screen_of(dashboard: KscopeApp) -> TasksScreen:
    current = dashboard.current
    assert isinstance(current, TasksScreen)
    return current


def rows(dashboard: KscopeApp) -> list[Row]:
    return list(screen_of(dashboard)._list.rows)


def screen_text(dashboard: KscopeApp) -> str:
    return "\n".join(screen_lines(dashboard))  # type: ignore[arg-type]


def comms(dashboard: KscopeApp) -> list[str | None]:
    return [row.task.comm for row in rows(dashboard) if isinstance(row, TaskRow)]


def command(dashboard: KscopeApp) -> str:
    equivalent = screen_of(dashboard).equivalent()
    assert equivalent is not None
    return equivalent.crash


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "pressed",
    [
        pytest.param(("s", "enter"), id="by-stack"),
        pytest.param(("T",), id="as-a-tree"),
        pytest.param(("F", "t"), id="flat-by-time"),
    ],
)
def test_picture_of_the_arrangement(
    snap_compare: Any, dashboard: KscopeApp, pressed: tuple[str, ...], size: tuple[int, int]
) -> None:
    assert snap_compare(dashboard, run_before=quiet(*pressed), terminal_size=size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "tab",
    [pytest.param(n, id=t) for n, t in enumerate(("identity", "files", "memory", "threads"), 1)],
)
def test_picture_of_the_tab(
    snap_compare: Any, dashboard: KscopeApp, tab: int, size: tuple[int, int]
) -> None:
    pressed = ("s", *["right_square_bracket"] * tab)
    assert snap_compare(dashboard, run_before=quiet(*pressed), terminal_size=size)


async def test_the_first_arrangement_shows_blocked_tasks_first(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await quiet()(pilot)
        first = rows(dashboard)[0]
        assert isinstance(first, GroupRow)
        assert first.group.state == "UN"


async def test_a_group_opens_to_its_tasks_and_closes(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await quiet("enter")(pilot)
        members = [row for row in rows(dashboard) if isinstance(row, MemberRow)]
        assert {member.group.comms[member.member] for member in members} == {"rtowner", "exportd"}
        await pilot.press("enter")
        assert not any(isinstance(row, MemberRow) for row in rows(dashboard))


async def test_filters_combine_and_each_is_seen_in_the_equivalent(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await quiet("F", "s", "u")(pilot)
        assert command(dashboard) == "ps -u | grep -w UN"
        assert "storlab/trim" not in comms(dashboard)
        await pilot.press("p", "p")
        await settle(pilot)
        assert set(comms(dashboard)) == {"rtowner", "rtclient"}
        assert command(dashboard) == "ps -u -y FIFO | grep -w UN"


async def test_filters_are_taken_away_by_one_key(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await quiet("F", "s", "u", "L", "m", "X")(pilot)
        assert len(comms(dashboard)) == 114


async def test_typing_filters_by_command_pid_and_in_stacks_by_function(
    dashboard: KscopeApp,
) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await quiet("F", "slash", *"logrot", "enter")(pilot)
        assert comms(dashboard) == ["logrotated"]
        await pilot.press("slash", *["backspace"] * 6, *"rwsem_down_write", "enter", "S")
        await settle(pilot)
        shown = {c for row in rows(dashboard) if isinstance(row, GroupRow) for c in row.group.comms}
        assert shown == {"rotator", "storlab/resync"}


async def test_sorting_again_turns_the_order_round(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await quiet("F", "t")(pilot)
        times = [
            row.task.since_last_arrival_ns or 0
            for row in rows(dashboard)
            if isinstance(row, TaskRow)
        ]
        assert times == sorted(times, reverse=True)
        assert command(dashboard) == "ps -m"
        await pilot.press("t")
        first = rows(dashboard)[0]
        assert isinstance(first, TaskRow)
        assert first.task.since_last_arrival_ns == min(times)


async def test_the_tree_folds_threads_and_shows_them_when_asked(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await quiet("T")(pilot)
        assert comms(dashboard).count("workers") == 1
        tasks = screen_of(dashboard)
        leader = next(r for r in rows(dashboard) if isinstance(r, TaskRow) and r.is_open is False)
        tasks._list.move_to_key(leader.key)
        await pilot.press("right")
        assert comms(dashboard).count("workers") == 12


async def test_in_the_tree_a_filter_keeps_the_ancestors_of_what_it_leaves(
    dashboard: KscopeApp,
) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await quiet("T", "slash", *"logrotated", "enter")(pilot)
        assert comms(dashboard) == ["swapper/0", "init", "logrotated"]
        meant = [row.meant for row in rows(dashboard) if isinstance(row, TaskRow)]
        assert meant == [False, False, True]


async def test_marked_tasks_are_what_is_copied_and_asked_for(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await quiet("F", "slash", *"^(logrotated|backupd)$", "enter", "asterisk", "X")(pilot)
        pids = sorted(task.pid or 0 for task in screen_of(dashboard)._marked_tasks)
        assert command(dashboard) == f"ps {pids[0]} {pids[1]}"
        assert screen_of(dashboard).text_in_focus().count("COMMAND") == 2
        await pilot.press("x")
        await settle(pilot)
        assert command(dashboard) == f"foreach {pids[0]} {pids[1]} bt"
        assert sum(len(row.members) for row in rows(dashboard) if isinstance(row, GroupRow)) == 2


async def test_the_detail_says_which_lock_is_wanted_and_who_holds_it(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await quiet("F", "slash", *"^logrotated$", "enter")(pilot)
        text = " ".join(screen_text(dashboard).split())
        assert "wants mutex storlab_a" in text
        assert "__mutex_lock.constprop.0+0x" in text


async def test_details_have_an_equivalent_of_their_own(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await quiet("F", "slash", *"^logrotated$", "enter", "enter", "right_square_bracket")(pilot)
        pid = next(r.task.pid for r in rows(dashboard) if isinstance(r, TaskRow))
        await pilot.press("right_square_bracket")
        await settle(pilot)
        assert command(dashboard) == f"files {pid}"


async def test_a_link_leads_to_a_task_that_the_filters_had_left_out(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await quiet("F", "s")(pilot)
        dashboard.open_link(TaskLink(1))
        await settle(pilot)
        task = screen_of(dashboard)._task_at_cursor
        assert task is not None
        assert task.comm == "init"


async def test_the_arrangement_and_columns_are_those_of_the_last_time(
    dashboard: KscopeApp, demo: Any
) -> None:
    from kscope.model.target import OpenQuery
    from kscope.session.client import Session
    from kscope.session.process import WorkerProcess

    async with dashboard.run_test(size=(120, 40)) as pilot:
        await quiet("F", "C", "space", "C")(pilot)
    again = KscopeApp(Session(WorkerProcess(OpenQuery(path=str(demo)))))
    async with again.run_test(size=(120, 40)) as pilot:
        await quiet()(pilot)
        assert comms(again)
        titles = [column.title for column in screen_of(again)._list.columns]
        assert titles[0] == "ST"
        assert "PID" not in titles


async def test_an_impossible_cpu_is_refused_where_it_is_typed(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await quiet("F", "c", *"3-1", "enter")(pilot)
        assert "does not name CPUs" in screen_text(dashboard)
        await pilot.press(*["backspace"] * 3, "2", "enter")
        await settle(pilot)
        cpus = {row.task.cpu for row in rows(dashboard) if isinstance(row, TaskRow)}
        assert cpus == {2}


async def test_back_leads_from_the_details_to_the_list(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await quiet("F", "enter", "q")(pilot)
        assert screen_of(dashboard)._list.has_focus
