"""Screen 4, the CPUs, on the bundled dump and on made-up numbers of CPUs."""

import os
import signal
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot

from kscope.app import KscopeApp
from kscope.model.base import Address, Query
from kscope.model.cpus import Cpu, Cpus, CpusQuery, OnCpu
from kscope.screens.cpu_grid import CpuGrid, state_words
from kscope.screens.cpus import CpusScreen
from kscope.screens.links import CpuLink
from kscope.widgets.line import plain
from kscope.widgets.text_view import TextView
from tests.screens.conftest import SIZES, keys, settle


def grid(app: KscopeApp) -> CpuGrid:
    return app.query_one("#cpus-grid", CpuGrid)


def lines(app: KscopeApp, pane: str) -> list[str]:
    view = app.query_one(f"#cpus-{pane}", TextView)
    return [plain(view.line_at(index, 100)) for index in range(view.line_count())]


def screen(app: KscopeApp) -> CpusScreen:
    assert isinstance(app.current, CpusScreen)
    return app.current


def selected(app: KscopeApp) -> int:
    cpu = grid(app).selected
    assert cpu is not None
    return cpu.cpu


def cpu_number(number: int, comm: str = "", **members: Any) -> Cpu:
    """A CPU as it would be answered; idle unless it has a task."""
    known: dict[str, Any] = {
        "online": True, "active": True, "idle": not comm, "runqueue": Address(0xFFFF888000000000),
        "current": OnCpu(
            pid=1000 + number if comm else 0, comm=comm or f"swapper/{number}",
            task=Address(0xFFFF888100000000 + 0x1000 * number), prio=120,
        ),
        "nr_running": 1 if comm else 0, "clock_ns": 10**11, "lag_ns": 0, "tick_ago_ns": None,
        "irqs_enabled": True, "interrupt": "", "panicked": False, "registers": "crash note",
        "registers_note": "", "lockup": None, "spinning": None, "rt": (), "fair": (), "dl": (),
    }  # fmt: skip
    return Cpu(cpu=number, **(known | members))


def test_an_idle_cpu_in_a_softirq_is_not_shown_as_one_that_idles() -> None:
    cpu = cpu_number(3, softirq="run_timer_softirq", irqs_enabled=False)
    assert cpu.busy
    assert cpu.irqs_off
    assert state_words(cpu_number(3, softirq="run_timer_softirq")) == "in softirq"
    assert not cpu_number(3, irqs_enabled=False).irqs_off


def many(count: int) -> Cpus:
    """Most idle, every fifth busy, some in trouble, the last ones offline."""
    cpus = []
    for number in range(count):
        if number >= count - count // 8:
            cpus.append(cpu_number(number, online=False, active=False, clock_ns=0, lag_ns=10**11))
        elif number == 7:
            cpus.append(cpu_number(number, "wedged", irqs_enabled=False, lag_ns=23 * 10**9,
                                   tick_ago_ns=23 * 10**9))  # fmt: skip
        elif number % 5 == 0:
            cpus.append(cpu_number(number, f"worker/{number}"))
        else:
            cpus.append(cpu_number(number))
    return Cpus(
        cpus=tuple(cpus), possible=count, online=count - count // 8, clock_ns=10**11, clock_cpu=0,
        panic_cpu=None, watchdog_threshold_seconds=10,
    )  # fmt: skip


async def show_many(pilot: Pilot[Any], count: int) -> None:
    """Made-up CPUs in the grid; the panes show what a CPU of the bundled dump was doing."""
    await keys("4")(pilot)
    assert isinstance(pilot.app, KscopeApp)
    shown, ask = screen(pilot.app), screen(pilot.app).ask

    def ask_of_a_real_cpu(query: Query[Any], *arguments: Any, **options: Any) -> None:
        if isinstance(query, CpusQuery) and query.cpu:
            query = msgspec.structs.replace(query, cpu=str(int(query.cpu) % 4))
        ask(query, *arguments, **options)

    shown.ask = ask_of_a_real_cpu  # type: ignore[method-assign]
    shown._show(many(count))
    await settle(pilot)


# Pictures.


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pane", ["backtrace", "runqueue", "timers", "watchdog"])
def test_picture_of_a_pane(
    snap_compare: Any, dashboard: KscopeApp, size: tuple[int, int], pane: str
) -> None:
    pressed = ("4", "l", "l", pane[0])
    assert snap_compare(dashboard, run_before=keys(*pressed), terminal_size=size)


@pytest.mark.parametrize("count", [64, 512])
@pytest.mark.parametrize("size", SIZES)
def test_picture_of_many_cpus(
    snap_compare: Any, dashboard: KscopeApp, size: tuple[int, int], count: int
) -> None:
    async def run(pilot: Pilot[Any]) -> None:
        await show_many(pilot, count)

    assert snap_compare(dashboard, run_before=run, terminal_size=size)


# The grid.


async def test_the_cursor_begins_on_the_cpu_that_says_most(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("4")(pilot)
        cpu = grid(dashboard).selected
        assert cpu is not None
        assert cpu.panicked


async def test_the_panes_follow_the_cursor(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("4", "g", "l", "l")(pilot)
        cpu = grid(dashboard).selected
        assert cpu is not None
        assert cpu.current is not None
        assert f"{cpu.current.comm} {cpu.current.pid}" in lines(dashboard, "runqueue")[0]


async def test_an_answer_that_comes_when_the_cursor_has_moved_on_is_not_shown(
    dashboard: KscopeApp,
) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("4", "g")(pilot)
        before = lines(dashboard, "runqueue")
        worker = dashboard.session.worker_process_id
        os.kill(worker, signal.SIGSTOP)
        await pilot.press("j", "k")
        os.kill(worker, signal.SIGCONT)
        await settle(pilot)
        assert selected(dashboard) == 0
        assert lines(dashboard, "runqueue") == before


async def test_hjkl_move_by_rows_and_columns(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("4", "g")(pilot)
        path = []
        for key in ("l", "j", "h", "k"):
            await pilot.press(key)
            path.append(selected(dashboard))
        assert path == [1, 3, 2, 0]


async def test_64_cpus_scroll_to_the_one_under_the_cursor(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(80, 24)) as pilot:
        await show_many(pilot, 64)
        await pilot.press("z", "z", "z")  # from tiles to letters, to the largest cells, and to rows
        await pilot.press("G")
        await pilot.pause()
        assert selected(dashboard) == 63
        view = grid(dashboard)
        shown = "".join(view.render_line(y).text for y in range(view.size.height))
        assert " 63 O" in shown
        assert " 0 B" not in shown


async def test_512_cpus_are_seen_at_once_as_letters_beside_the_number_of_the_first(
    dashboard: KscopeApp,
) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await show_many(pilot, 512)
        view = grid(dashboard)
        shown = [view.render_line(y).text for y in range(view.size.height)]
        assert shown[3].startswith("   0 BIIIIBIX IIBIIIIB")
        assert shown[4].startswith("  32 IIIBIIII")
        assert shown[3 + 15].startswith(" 480 OOOOOOOO")


async def test_the_cursor_goes_to_the_letter_below(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await show_many(pilot, 512)
        await pilot.press("g", "j", "j", "l")
        assert selected(dashboard) == 65


async def test_every_state_that_the_legend_names_is_whole(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await show_many(pilot, 64)
        _, *legend = grid(dashboard).header_lines(40)
        assert [plain(row).split("  ")[:-1] for row in legend] == [
            ["X interrupts off 1", "B busy 12", "I idle 43"],
            ["O offline 8"],
        ]


async def test_states_are_counted_above_many_cpus(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await show_many(pilot, 64)
        legend = plain(grid(dashboard).header_lines(100)[1])
        assert legend.split("  ")[:4] == [
            "X interrupts off 1", "B busy 12", "I idle 43", "O offline 8",
        ]  # fmt: skip


async def test_f_goes_through_the_filters_by_state(dashboard: KscopeApp) -> None:
    busy = [0, 5, 7, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55]
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await show_many(pilot, 64)
        shown = []
        for _ in range(6):
            await pilot.press("f")
            await pilot.pause()
            shown.append(grid(dashboard).numbers)
        # busy, lagging, interrupts off, offline, real-time, and all again
        assert shown == [busy, [7], [7], list(range(56, 64)), [], list(range(64))]


async def test_sorting_by_lag_puts_the_cpu_that_stands_still_first(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await show_many(pilot, 64)
        await pilot.press("s", "s")
        await pilot.pause()
        assert grid(dashboard).numbers[0] == 7


async def test_a_cpu_is_jumped_to_by_its_number(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await show_many(pilot, 64)
        await pilot.press("c", "4", "2", "enter")
        await pilot.pause()
        assert selected(dashboard) == 42
        assert grid(dashboard).has_focus


async def test_a_filter_by_text_finds_the_task(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("4", "slash", *"rtpoll", "enter")(pilot)
        (number,) = grid(dashboard).numbers
        assert number == selected(dashboard)


# Panes.


async def test_b_goes_from_the_backtrace_to_the_words_and_the_raw_stack(
    dashboard: KscopeApp,
) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("4", "b")(pilot)
        commands = []
        for _ in range(4):
            equivalent = screen(dashboard).equivalent()
            assert equivalent is not None
            commands.append(equivalent.crash.split(" -c")[0])
            await keys("b")(pilot)
        assert commands == ["bt", "bt -f", "bt -r", "bt"]


async def test_the_equivalent_is_that_of_the_focused_pane(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("4", "g")(pilot)
        commands = []
        for key in ("b", "r", "t", "w"):
            await keys(key)(pilot)
            equivalent = screen(dashboard).equivalent()
            assert equivalent is not None
            commands.append(equivalent.crash)
        assert commands == ["bt -c 0", "runq -c 0", "timer -C 0", "p watchdog_touch_ts:0"]


@pytest.mark.parametrize("key", ["r", "w"])
async def test_a_pane_filled_while_it_was_hidden_is_whole_when_it_is_shown(
    dashboard: KscopeApp, key: str
) -> None:
    async with dashboard.run_test(size=(80, 24)) as pilot:
        await keys("4", key)(pilot)
        (view,) = (view for view in screen(dashboard).query(TextView) if view.size.height)
        rows = [view.render_line(y).text.strip() for y in range(view.size.height)]
        assert sum(map(bool, rows)) >= min(view.line_count(), view.size.height) > 1


async def test_four_cpus_are_two_by_two_where_three_would_fit(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(80, 24)) as pilot:
        await keys("4", "g", "j")(pilot)
        assert selected(dashboard) == 2


async def test_a_narrow_terminal_shows_one_pane_below_the_grid(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(80, 24)) as pilot:
        await keys("4", "r")(pilot)
        shown = {view.id for view in screen(dashboard).query(TextView) if view.size.height}
        assert shown == {"cpus-runqueue"}


async def test_q_leads_from_a_pane_to_the_grid(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("4", "b", "q")(pilot)
        assert screen(dashboard) is dashboard.current
        assert grid(dashboard).has_focus


async def test_a_link_to_a_cpu_opens_it_here(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        dashboard.open_link(CpuLink(3))
        await settle(pilot)
        assert selected(dashboard) == 3


async def test_the_clock_links_to_the_most_advanced_cpu(dashboard: KscopeApp) -> None:
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await keys("4")(pilot)
        known = dashboard.session.remembered(CpusQuery())
        assert known is not None
        behind = next(cpu.cpu for cpu in known.cpus if cpu.lag_ns)
        dashboard.open_link(CpuLink(behind))
        await settle(pilot)
        view = dashboard.query_one("#cpus-runqueue", TextView)
        targets = [span.target for i in range(view.line_count()) for span in view.line_at(i, 100)]
        assert CpuLink(known.clock_cpu or 0) in targets
