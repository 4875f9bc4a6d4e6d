"""The tasks screen with 20,000 threads: what a key of a filter or of an order costs."""

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator

from benchmarks.terminal import Measured
from kscope.app import KscopeApp
from kscope.model.target import OpenQuery
from kscope.screens.task_list_pane import ARRANGEMENTS
from kscope.screens.tasks import TasksScreen
from kscope.session.client import Session
from kscope.session.process import WorkerProcess
from tests.lab.catalogue import find

_TYPED = (
    "worker", "^worker$", "1234", "ffff8", "!kworker", "pause|nanosleep", "w.*k.*[0-9]$",
    ".", "!zzz", "^[0-9]*[02468]$",
)  # fmt: skip
"""Commands, PIDs, addresses, functions; leaving all tasks, most, half and few of them. Each is
typed letter by letter."""
_ORDERS = ("time", "rss", "pid", "comm")


def figures() -> Iterator[Measured]:
    """A figure for each arrangement and kind of key."""
    for name, milliseconds in asyncio.run(_measure()).items():
        middle, worst = statistics.median(milliseconds), max(milliseconds)
        yield Measured(f"20,000 tasks, {name}", f"{middle:.0f} ms, at most {worst:.0f} ms")


async def _measure() -> dict[str, list[float]]:
    session = Session(WorkerProcess(OpenQuery(path=str(find("many", "6.12").vmcore))))
    dashboard = KscopeApp(session)
    measured: dict[str, list[float]] = {}
    async with dashboard.run_test(size=(120, 40)) as pilot:
        await pilot.press("3")
        screen = dashboard.current
        assert isinstance(screen, TasksScreen)
        for arrangement in ARRANGEMENTS:
            screen.action_arrange(arrangement)
            await dashboard.workers.wait_for_complete()
            await pilot.pause()
            filtering = measured[f"a letter of a filter, {arrangement}"] = []
            for typed in _TYPED:
                for end in range(1, len(typed) + 1):
                    filtering.append(_milliseconds(screen.filter_by, typed[:end]))
                    await pilot.pause()
            screen.filter_by("")
            if arrangement != "stacks":
                sorting = measured[f"another order, {arrangement}"] = []
                for order in _ORDERS * 3:
                    sorting.append(_milliseconds(screen.action_sort_by, order))
                    await pilot.pause()
    await session.close()
    return measured


def _milliseconds(call: Callable[[str], None], argument: str) -> float:
    begun = time.perf_counter()
    call(argument)
    return 1000 * (time.perf_counter() - begun)


if __name__ == "__main__":
    for figure in figures():
        print(f"{figure.name}: {figure.value}")
