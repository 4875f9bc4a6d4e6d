"""The session: questions to a worker process, and what happens when it dies, hangs or is stopped.

Scheduling and cancelling are tested on a worker whose answers take a known time, everything else
on the bundled dump.
"""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kscope.model.base import Progress, QueryError
from kscope.model.log import LogQuery
from kscope.model.system import SystemQuery
from kscope.model.target import Opened, OpenQuery
from kscope.model.tasks import TasksQuery
from kscope.session.client import Session, _Cache
from kscope.session.process import WorkerProcess

SLOW_WORKER = (str(Path(__file__).with_name("slow_worker.py")),)

pytestmark = pytest.mark.alone


@pytest.fixture
async def slow() -> AsyncIterator[Session]:
    session = Session(WorkerProcess(OpenQuery(path="/vmcore"), SLOW_WORKER))
    await session.connect()
    yield session
    await session.close()


def is_running(process_id: int) -> bool:
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def test_identity_arrives_before_types_are_loaded(session: Session) -> None:
    parts: list[Opened] = []
    opened = await session.connect(part=parts.append)
    assert parts[0].debug_info is None
    assert parts[0].identity == opened.identity
    assert opened.debug_info is not None


async def test_garbage_is_not_looked_for_in_a_large_answer(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kscope.session.client._LARGE_BYTES", 20_000)
    await session.connect()
    gc.unfreeze()
    await session.ask(SystemQuery())
    assert gc.get_freeze_count() == 0
    tasks = await session.ask(TasksQuery())
    assert gc.get_freeze_count() > len(tasks.tasks)
    gc.unfreeze()


async def test_answers_equal_those_given_in_process(session: Session, demo_target: object) -> None:
    from kscope.kernel.log import log

    await session.connect()
    assert await session.ask(LogQuery()) == log(demo_target, LogQuery())  # type: ignore[arg-type]


async def test_an_answer_is_remembered(slow: Session) -> None:
    query = LogQuery(match="busy 0.3")
    await slow.ask(query)
    started = time.monotonic()
    await slow.ask(query)
    assert time.monotonic() - started < 0.1


async def test_what_is_asked_by_several_at_once_takes_no_more_room(slow: Session) -> None:
    query, many = LogQuery(match="busy 0"), 20
    await slow.ask(query)
    size = slow._cache._bytes
    slow._cache = _Cache(limit_bytes=size)
    await asyncio.gather(*(slow.ask(query) for _ in range(many)))
    assert slow.remembered(query) is not None


async def test_a_live_target_is_never_remembered() -> None:
    session = Session(WorkerProcess(OpenQuery(live=True), SLOW_WORKER))
    await session.connect()
    await session.ask(SystemQuery())
    assert session.remembered(SystemQuery()) is None
    await session.close()


async def test_a_short_question_overtakes_a_long_one(slow: Session) -> None:
    long = asyncio.create_task(slow.ask(LogQuery(match="sliced 5")))
    await asyncio.sleep(0.1)
    started = time.monotonic()
    await slow.ask(SystemQuery())
    assert time.monotonic() - started < 0.5
    assert not long.done()
    long.cancel()


async def test_progress_is_told_while_a_long_answer_is_made(slow: Session) -> None:
    steps: list[Progress] = []
    await slow.ask(LogQuery(match="sliced 0.2"), progress=steps.append)
    assert [step.done for step in steps] == list(range(10))


async def test_an_asker_that_fails_on_progress_harms_nobody_else(slow: Session) -> None:
    def fail(_progress: Progress) -> None:
        raise RuntimeError("no such widget")

    with pytest.raises(RuntimeError, match="no such widget"):
        await slow.ask(LogQuery(match="sliced 1"), progress=fail)
    assert await slow.ask(SystemQuery())


@pytest.mark.parametrize("work", ["busy 30", "sliced 30"])
async def test_cancelling_frees_the_worker_within_a_fifth_of_a_second(
    slow: Session, work: str
) -> None:
    worker = slow.worker_process_id
    question = asyncio.create_task(slow.ask(LogQuery(match=work)))
    await asyncio.sleep(0.2)
    started = time.monotonic()
    question.cancel()
    await slow.ask(SystemQuery())
    assert time.monotonic() - started < 0.2
    assert slow.worker_process_id == worker


async def test_cancelling_a_question_leaves_the_others_alone(slow: Session) -> None:
    first = asyncio.create_task(slow.ask(LogQuery(match="sliced 1")))
    second = asyncio.create_task(slow.ask(LogQuery(match="sliced 1.1")))
    await asyncio.sleep(0.2)
    first.cancel()
    assert (await second).records == ()


async def test_a_worker_that_does_not_obey_a_cancel_is_replaced(slow: Session) -> None:
    lost: list[str] = []
    slow.on_lost = lost.append
    worker = slow.worker_process_id
    question = asyncio.create_task(slow.ask(LogQuery(match="stuck")))
    await asyncio.sleep(0.2)
    question.cancel()
    while not lost:
        await asyncio.sleep(0.05)
    assert slow.worker_process_id != worker
    assert await slow.ask(SystemQuery())


async def test_a_worker_silent_past_its_deadline_is_replaced(
    slow: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LogQuery, "deadline_seconds", 0.5)
    with pytest.raises(QueryError, match="SIGKILL while answering LogQuery"):
        await slow.ask(LogQuery(match="stuck"))
    assert await slow.ask(SystemQuery())


async def test_a_worker_that_sends_garbage_is_replaced(slow: Session) -> None:
    with pytest.raises(QueryError, match="sent what cannot be read"):
        await slow.ask(LogQuery(match="garbage"))
    assert await slow.ask(SystemQuery())


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGSEGV])
async def test_the_next_question_is_answered_after_the_worker_was_killed(
    session: Session, death: signal.Signals
) -> None:
    lost: list[str] = []
    session.on_lost = lost.append
    await session.connect()
    question = asyncio.create_task(session.ask(SystemQuery()))
    await asyncio.sleep(0)
    os.kill(session.worker_process_id, death)
    with pytest.raises(QueryError, match=f"killed by {death.name}") as caught:
        await question
    assert caught.value.kind == "worker-lost"
    answer = await session.ask(SystemQuery())
    assert answer.tasks
    assert death.name in lost[0]
    assert "started again" in lost[0]


@pytest.fixture
async def dying() -> AsyncIterator[Session]:
    """A worker that dies of what it is to open."""
    command = ("-c", "raise SystemExit('no memory')")
    session = Session(WorkerProcess(OpenQuery(path="/vmcore"), command))
    yield session
    await session.close()


async def test_a_worker_that_dies_of_opening_is_said_to_whoever_asks(dying: Session) -> None:
    with pytest.raises(QueryError, match="while answering OpenQuery"):
        await dying.connect()
    with pytest.raises(QueryError, match=r"OpenQuery\. no memory"):
        await dying.ask(SystemQuery())


async def test_a_dump_that_is_gone_when_the_worker_was_killed_is_said_to_whoever_asks(
    demo: Path, tmp_path: Path
) -> None:
    path = tmp_path / "vmcore"
    path.symlink_to(demo)
    session = Session(WorkerProcess(OpenQuery(path=str(path))))
    try:
        await session.connect()
        path.unlink()
        os.kill(session.worker_process_id, signal.SIGKILL)
        lost = asyncio.Event()
        session.on_lost = lambda _sentence: lost.set()
        await lost.wait()
        await session.idle()
        with pytest.raises(QueryError, match="cannot be read: No such file"):
            await session.ask(SystemQuery())
    finally:
        await session.close()


async def test_a_target_that_cannot_be_opened_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a dump\n")
    session = Session(WorkerProcess(OpenQuery(path=str(path))))
    with pytest.raises(QueryError, match="is text, not a dump"):
        await session.connect()
    await session.close()


async def test_closing_leaves_no_worker_behind(demo: Path) -> None:
    session = Session(WorkerProcess(OpenQuery(path=str(demo))))
    await session.connect()
    await session.close()
    assert not is_running(session.worker_process_id)


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_no_worker_outlives_a_killed_client(demo: Path, death: signal.Signals) -> None:
    code = (
        "import sys, time\n"
        "from kscope.model.target import OpenQuery\n"
        "from kscope.session.process import WorkerProcess\n"
        "worker = WorkerProcess(OpenQuery(path=sys.argv[1]))\n"
        "print(worker.process_id, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(demo)], stdout=subprocess.PIPE, text=True
    ) as client:
        assert client.stdout is not None
        worker = int(client.stdout.readline())
        time.sleep(0.5)
        client.send_signal(death)
    end = time.monotonic() + 5
    while is_running(worker) and time.monotonic() < end:
        time.sleep(0.05)
    assert not is_running(worker)
