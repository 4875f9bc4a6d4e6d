"""Searching a large dump: others are served meanwhile, and it stops when it is told to."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from kscope.kernel.search import search
from kscope.model.base import Progress
from kscope.model.expressions import PlaceQuery
from kscope.model.search import Search, SearchQuery
from kscope.model.target import OpenQuery
from kscope.session.answering import finish
from kscope.session.client import Session
from kscope.session.process import WorkerProcess
from tests.lab.catalogue import find
from tests.on_lab.opening import open_lab

pytestmark = pytest.mark.lab


@pytest.fixture
async def large() -> AsyncIterator[Session]:
    session = Session(WorkerProcess(OpenQuery(path=str(find("many", "6.1").vmcore))))
    await session.connect()
    await session.ask(PlaceQuery(text="init_task"))
    yield session
    await session.close()


async def test_a_short_question_is_answered_while_a_search_goes_on(large: Session) -> None:
    parts: list[Search] = []
    searching = asyncio.create_task(large.ask(SearchQuery(value="init_task"), part=parts.append))
    while not parts:
        await asyncio.sleep(0.05)
    began = time.monotonic()
    await large.ask(PlaceQuery(text="pid 1"))
    taken = time.monotonic() - began
    assert not searching.done()
    searching.cancel()
    assert taken < 0.5


@pytest.mark.alone
@pytest.mark.parametrize("stacks", [False, True], ids=["memory", "stacks"])
async def test_a_search_stops_a_fifth_of_a_second_after_it_is_cancelled(
    large: Session, stacks: bool
) -> None:
    await large.ask(SearchQuery(value="0xdead000000000122", stacks=stacks, limit=1))
    before = large.worker_process_id
    for steps in range(5, 10):
        going: list[Progress] = []
        query = SearchQuery(value="init_task", stacks=stacks, limit=1000 + steps)
        searching = asyncio.create_task(large.ask(query, progress=going.append))
        while len(going) < steps:
            await asyncio.sleep(0.01)
        began = time.monotonic()
        searching.cancel()
        await large.ask(PlaceQuery(text=f"init_task+{steps}"))
        assert time.monotonic() - began < 0.2
    assert large.worker_process_id == before


@pytest.mark.parametrize("name", ["deadlock", "demo"])
def test_a_lock_that_tasks_wait_for_is_on_their_stacks(name: str) -> None:
    dump = find(name, "6.1")
    target = open_lab(name, "6.1")
    lock = next(each for each in dump.manifest["locks"] if each["waiters"])
    found = finish(search(target, SearchQuery(value=lock["address"], stacks=True)), None)
    waiting = {waiter["pid"] for waiter in lock["waiters"]}
    assert waiting <= {hit.pid for hit in found.hits}
    assert any(hit.frame for hit in found.hits)
