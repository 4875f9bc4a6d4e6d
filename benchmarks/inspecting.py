"""The Inspect screen on a dump with 20,000 threads: opening, walking, completing, searching."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from statistics import median
from typing import Any

from benchmarks.terminal import Measured
from kscope.kernel.access.names import NAMES, Names, names_of
from kscope.kernel.access.physical_ranges import physical_ranges
from kscope.kernel.search import search
from kscope.model.expressions import CompletionQuery, PlaceQuery
from kscope.model.list import ListQuery
from kscope.model.search import SearchQuery
from kscope.model.struct import StructQuery
from kscope.model.survey import SurveyQuery
from kscope.model.system import SystemQuery
from kscope.model.target import OpenQuery
from kscope.session.answering import answer, finish
from kscope.session.client import Session
from kscope.session.process import WorkerProcess
from tests.lab.catalogue import find
from tests.on_lab.opening import open_lab

_TYPED = ("mutex_lock", "struct task_struct", "init_task.signal", "_", "zone", "e_d")

_TURNS = 3


def figures() -> Iterator[Measured]:
    """A figure for each thing that one waits for."""
    yield from asyncio.run(_asked())
    yield _completed_among_more_names()
    yield _searched()


async def _asked() -> list[Measured]:
    session = Session(WorkerProcess(OpenQuery(path=str(find("many", "6.12").vmcore))))
    await session.connect()
    # As in the dashboard, which opens with these two.
    await session.ask(SystemQuery())
    await session.ask(SurveyQuery())
    await session.ask(CompletionQuery(text="_"))
    opened = []
    for pid in range(1, 12):
        place = await session.ask(PlaceQuery(text=f"pid {pid}"))
        query = StructQuery(type="struct task_struct", address=f"{place.address:#x}", elements=32)
        opened.append(await _milliseconds(session.ask, query))
    completed = [await _milliseconds(session.ask, query) for query in _typed()]
    first: list[float] = []
    walk = ListQuery(start="init_css_set.tasks", entry="task_struct.cg_list", columns="pid,comm")
    begun = time.perf_counter()
    rows = (
        await session.ask(walk, part=lambda _: first.append(1000 * (time.perf_counter() - begun)))
    ).rows
    end = 1000 * (time.perf_counter() - begun)
    cancelled = await _cancelled(session)
    await session.close()
    return [
        Measured("opening a task_struct", f"{median(opened):.0f} ms, at most {max(opened):.0f} ms"),
        Measured("a letter in the address bar",
                 f"{median(completed):.0f} ms, at most {max(completed):.0f} ms"),
        Measured(f"a list of {len(rows):,} tasks: first rows, all rows",
                 f"{first[0]:.0f} ms, {end:.0f} ms"),
        cancelled,
    ]  # fmt: skip


def _typed() -> Iterator[CompletionQuery]:
    for typed in _TYPED:
        for end in range(1, len(typed) + 1):
            yield CompletionQuery(text=typed[:end])


def _completed_among_more_names() -> Measured:
    """As a kernel has them that all drivers are built into."""
    target = open_lab("many", "6.12")
    names = names_of(target)
    known = list(zip(names.names, names.kinds, strict=True))
    more = Names.of(sorted([*known, *((f"{name}_{kind}", kind) for name, kind in known)]))
    target.program.cache[NAMES] = more
    milliseconds = []
    for query in _typed():
        begun = time.perf_counter()
        answer(target, query)
        milliseconds.append(1000 * (time.perf_counter() - begun))
    target.program.cache[NAMES] = names
    return Measured(
        f"the same among {len(more.names):,} names, in the worker",
        f"{median(milliseconds):.0f} ms, at most {max(milliseconds):.0f} ms",
    )


async def _milliseconds(ask: Callable[[Any], Awaitable[object]], query: object) -> float:
    begun = time.perf_counter()
    await ask(query)
    return 1000 * (time.perf_counter() - begun)


def _searched() -> Measured:
    """In turns, each in its best processor time: both run in one thread, and what else the machine
    does lasts longer than one of them."""
    target = open_lab("many", "6.12")
    value = target.program["init_task"].address_
    query = SearchQuery(value=f"{value:#x}")
    found = finish(search(target, query), None)  # once, for what is read only once

    def theirs() -> None:
        for each in physical_ranges(target):
            list(
                target.program.search_memory_u64(value).set_address_range(
                    each.start, each.stop - 1, True
                )
            )

    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(_TURNS):
        seconds["theirs"].append(_processor_seconds(theirs))
        seconds["ours"].append(_processor_seconds(lambda: finish(search(target, query), None)))
    ours, drgns = min(seconds["ours"]), min(seconds["theirs"])
    rate = found.bytes_searched / 1e6 / ours
    return Measured(
        "a search of memory, of drgn's own rate", f"{rate:.0f} MB/s, {drgns / ours:.0%}"
    )


def _processor_seconds(call: Callable[[], object]) -> float:
    begun = time.process_time()
    call()
    return time.process_time() - begun


async def _cancelled(session: Session) -> Measured:
    """From the cancel of a search of all memory to the answer to another question."""
    task = (await session.ask(PlaceQuery(text="init_task"))).address
    milliseconds = []
    for number in range(_TURNS * 3):
        searching = asyncio.create_task(
            session.ask(SearchQuery(value=f"{task:#x}", limit=10_000 + number))
        )
        await asyncio.sleep(0.5 + 0.1 * number)
        begun = time.perf_counter()
        searching.cancel()
        await session.ask(StructQuery(type="task_struct", address=f"pid {number + 20}"))
        milliseconds.append(1000 * (time.perf_counter() - begun))
    return Measured(
        "a search that is cancelled, to the next answer",
        f"{median(milliseconds):.0f} ms, at most {max(milliseconds):.0f} ms",
    )


if __name__ == "__main__":
    for figure in figures():
        print(f"{figure.name}: {figure.value}")
