"""The Inspect screen on a dump with 20,000 threads: opening, walking, completing, searching."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from statistics import median
from typing import Any

from benchmarks.terminal import Measured
from kscope.kernel.access.physical_ranges import physical_ranges
from kscope.kernel.search import search
from kscope.model.expressions import CompletionQuery, PlaceQuery
from kscope.model.list import ListQuery
from kscope.model.search import SearchQuery
from kscope.model.struct import StructQuery
from kscope.model.target import OpenQuery
from kscope.session.answering import finish
from kscope.session.client import Session
from kscope.session.process import WorkerProcess
from tests.lab.catalogue import find
from tests.on_lab.opening import open_lab

_TYPED = ("mutex_lock", "struct task_struct", "init_task.signal", "_", "zone", "e_d")


def figures() -> Iterator[Measured]:
    """A figure for each thing that one waits for."""
    yield from asyncio.run(_asked())
    yield _searched()


async def _asked() -> list[Measured]:
    session = Session(WorkerProcess(OpenQuery(path=str(find("many", "6.12").vmcore))))
    await session.connect()
    await session.ask(CompletionQuery(text="_"))
    opened = []
    for pid in range(1, 12):
        place = await session.ask(PlaceQuery(text=f"pid {pid}"))
        query = StructQuery(type="struct task_struct", address=f"{place.address:#x}", elements=32)
        opened.append(await _milliseconds(session.ask, query))
    completed = [
        await _milliseconds(session.ask, CompletionQuery(text=typed[:end]))
        for typed in _TYPED
        for end in range(1, len(typed) + 1)
    ]
    first: list[float] = []
    walk = ListQuery(start="init_css_set.tasks", entry="task_struct.cg_list", columns="pid,comm")
    begun = time.perf_counter()
    rows = (
        await session.ask(walk, part=lambda _: first.append(1000 * (time.perf_counter() - begun)))
    ).rows
    end = 1000 * (time.perf_counter() - begun)
    await session.close()
    return [
        Measured("opening a task_struct", f"{median(opened):.0f} ms, at most {max(opened):.0f} ms"),
        Measured("a letter in the address bar",
                 f"{median(completed):.0f} ms, at most {max(completed):.0f} ms"),
        Measured(f"a list of {len(rows):,} tasks: first rows, all rows",
                 f"{first[0]:.0f} ms, {end:.0f} ms"),
    ]  # fmt: skip


async def _milliseconds(ask: Callable[[Any], Awaitable[object]], query: object) -> float:
    begun = time.perf_counter()
    await ask(query)
    return 1000 * (time.perf_counter() - begun)


def _searched() -> Measured:
    target = open_lab("many", "6.12")
    value = target.program["init_task"].address_
    query = SearchQuery(value=f"{value:#x}")
    finish(search(target, query), None)  # once, for what is read only once
    begun = time.perf_counter()
    megabytes = finish(search(target, query), None).bytes_searched / 1e6
    ours = megabytes / (time.perf_counter() - begun)
    begun = time.perf_counter()
    for each in physical_ranges(target):
        list(
            target.program.search_memory_u64(value).set_address_range(
                each.start, each.stop - 1, True
            )
        )
    theirs = megabytes / (time.perf_counter() - begun)
    return Measured(
        "a search of memory, of drgn's own rate", f"{ours:.0f} MB/s, {ours / theirs:.0%}"
    )


if __name__ == "__main__":
    for figure in figures():
        print(f"{figure.name}: {figure.value}")
