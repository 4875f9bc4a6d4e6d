"""Screen 6, the locks, on the bundled dump."""

from typing import Any

from kscope.app import KscopeApp
from kscope.screens.locks import LocksScreen
from tests.screens.conftest import keys, settle


async def locks_screen(dashboard: KscopeApp, pilot: Any) -> LocksScreen:
    await settle(pilot)
    await pilot.press("6")
    await settle(pilot)
    screen = dashboard.current
    assert isinstance(screen, LocksScreen)
    return screen


def test_picture_of_the_locks(snap_compare: Any, dashboard: KscopeApp) -> None:
    assert snap_compare(dashboard, run_before=keys("6"), terminal_size=(120, 40))


async def test_the_cycle_is_drawn_first_and_marked_where_it_closes(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        screen = await locks_screen(dashboard, pilot)
        lines = screen.text_in_focus().splitlines()
        assert lines[0].startswith("● cycle")
        assert any("closes the cycle" in line for line in lines[:5])


async def test_a_filter_leaves_the_lines_and_locks_that_match(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        screen = await locks_screen(dashboard, pilot)
        await pilot.press("slash", *"storlab_rt")
        await settle(pilot)
        assert [lock.name for lock in screen._list.rows] == ["storlab_rt"]


async def test_the_equivalent_of_a_lock_is_its_structure(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        screen = await locks_screen(dashboard, pilot)
        await pilot.press("tab")
        await settle(pilot)
        equivalent = screen.equivalent()
        lock = screen._list.cursor_row
        assert equivalent is not None
        assert lock is not None
        assert equivalent.crash.endswith(f"{lock.address:x}")


async def test_a_task_in_the_tree_opens_on_its_own_screen(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await locks_screen(dashboard, pilot)
        await pilot.press("down", "enter")
        await settle(pilot)
        assert dashboard.current is not None
        assert dashboard.current.NAME == "Tasks"
