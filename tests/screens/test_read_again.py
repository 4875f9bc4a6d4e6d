"""F5 reads a screen again, and shows it as it was."""

from kscope.app import KscopeApp
from tests.screens.conftest import keys, painted


def headings(app: KscopeApp) -> list[str]:
    """The columns with the mark of their order, and the tabs of the details."""
    return painted(app).split("\n")[3:5]


async def test_tasks_read_again_say_how_they_are_sorted_and_which_tab_is_open(
    dashboard: KscopeApp,
) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("3", "F", "t", "right_square_bracket")(pilot)
        before, tabs = headings(dashboard), dashboard.query_one("#tasks-tabs").render_line(0)
        assert "TIME↓" in "".join(before) or "TIME↑" in "".join(before)
        await keys("f5")(pilot)
        assert headings(dashboard) == before
        assert dashboard.query_one("#tasks-tabs").render_line(0) == tabs


async def test_a_place_read_again_is_no_step_of_the_way_back(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("5", "o", "ctrl+u", *"pid 1", "enter")(pilot)
        before = painted(dashboard)
        await keys("f5", "o", "ctrl+u", *"pid 2", "enter", "q")(pilot)
        assert painted(dashboard) == before
        await keys("q")(pilot)
        assert "pid 1" not in painted(dashboard)
