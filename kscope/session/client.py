"""The asynchronous client: asks Queries of the worker, remembers answers, survives its death."""

import asyncio
import contextlib
import gc
import os
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from kscope.model.base import Progress, Query, QueryError, Result, result_type
from kscope.model.codec import unpack
from kscope.model.target import Opened
from kscope.session import wire
from kscope.session.process import WorkerProcess, next_id

R = TypeVar("R", bound=Result)

_LARGE_BYTES = 100_000
"""What an answer with some ten thousand addresses takes on its way."""
_READ_SIZE = 1 << 20
_CANCEL_GRACE_SECONDS = 2.0
"""How long a worker may take to obey a cancel before it is killed."""
_CACHE_BYTES = 64 << 20
"""What the remembered answers may take, counted as they crossed the wire."""


@dataclass
class _Pending:
    """A question on its way."""

    query: Query[Any]
    future: "asyncio.Future[Any]"
    progress: Callable[[Progress], None] | None
    part: Callable[[Any], None] | None


@dataclass
class _Cache:
    """Answers by Query, the least recently used forgotten first. A dump never changes."""

    limit_bytes: int
    _answers: "OrderedDict[Query[Any], tuple[Any, int]]" = field(default_factory=OrderedDict)
    _bytes: int = 0

    def get(self, query: Query[R]) -> R | None:
        if query not in self._answers:
            return None
        self._answers.move_to_end(query)
        result: R = self._answers[query][0]
        return result

    def put(self, query: Query[R], result: R, size: int) -> None:
        # Whoever asks while it is being answered gets an answer of their own.
        _, replaced = self._answers.pop(query, (None, 0))
        self._bytes -= replaced
        self._answers[query] = (result, size)
        self._bytes += size
        while self._bytes > self.limit_bytes:
            _, (_, freed) = self._answers.popitem(last=False)
            self._bytes -= freed


class Session:
    """A target in a worker process.

    ``connect`` attaches the running event loop to a worker that was started before it.
    """

    def __init__(self, worker: WorkerProcess) -> None:
        self.target = worker.target
        self.on_lost: Callable[[str], None] = _ignore
        """Called when the worker died and was replaced, with a sentence that says so."""
        self._worker = worker
        self._pending: dict[int, _Pending] = {}
        self._cache = _Cache(_CACHE_BYTES)
        self._last_heard = 0.0
        self._closing = False
        self._gone: QueryError | None = None
        """Why there is no worker that could answer."""
        self._reader_task: asyncio.Task[None] | None = None
        self._watch_task: asyncio.Task[None] | None = None

    async def connect(
        self,
        progress: Callable[[Progress], None] | None = None,
        part: Callable[[Opened], None] | None = None,
    ) -> Opened:
        """Attach to the running event loop and wait until the target is open.

        :param part: called with the target's identity as soon as it is known, ahead of types.
        :raises QueryError: if it cannot be opened.
        """
        future: asyncio.Future[Opened] = asyncio.get_running_loop().create_future()
        self._pending[self._worker.open_id] = _Pending(self.target, future, progress, part)
        self._attach()
        opened: Opened = await self._wait(self._worker.open_id)
        return opened

    @property
    def worker_process_id(self) -> int:
        """The worker's PID."""
        return self._worker.process_id

    def remembered(self, query: Query[R]) -> R | None:
        """The answer to ``query`` if it was given before."""
        return self._cache.get(query)

    async def ask(
        self,
        query: Query[R],
        progress: Callable[[Progress], None] | None = None,
        part: Callable[[R], None] | None = None,
    ) -> R:
        """Ask the worker. Cancelling the caller's task cancels the question.

        :param progress: called as a long answer comes along.
        :param part: called with what was found so far.
        :raises QueryError: if it cannot be answered.
        """
        remembered = self._cache.get(query)
        if remembered is not None:
            return remembered
        if self._gone is not None:
            raise self._gone
        request_id = next_id()
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._pending[request_id] = _Pending(query, future, progress, part)
        self._heard()
        self._worker.write(wire.request(request_id, query))
        result: R = await self._wait(request_id)
        return result

    async def close(self) -> None:
        """End the worker."""
        self._closing = True
        for task in (self._reader_task, self._watch_task):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        self.kill()

    def kill(self) -> None:
        """End the worker at once; needs no event loop."""
        self._closing = True
        self._worker.close()

    async def idle(self) -> None:
        """Wait until every question asked so far is answered."""
        while self._pending:
            await asyncio.wait([pending.future for pending in self._pending.values()])
            await asyncio.sleep(0)

    def _attach(self) -> None:
        self._heard()
        self._reader_task = asyncio.create_task(self._read())
        if self._watch_task is None:
            self._watch_task = asyncio.create_task(self._watch())

    async def _wait(self, request_id: int) -> Any:
        future = self._pending[request_id].future
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            self._cancel(request_id)
            raise
        finally:
            if future.done():
                self._pending.pop(request_id, None)

    def _cancel(self, request_id: int) -> None:
        pending = self._pending.get(request_id)
        if pending is None or pending.future.done() or self._closing:
            return
        pending.progress = pending.part = None
        # The answer that may still cross the cancel on its way is dropped unseen.
        pending.future.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._worker.write(wire.Cancel(request_id))
        self._worker.interrupt()
        asyncio.get_running_loop().call_later(
            _CANCEL_GRACE_SECONDS, self._kill_unless_obeyed, request_id, self._worker
        )

    def _kill_unless_obeyed(self, request_id: int, worker: WorkerProcess) -> None:
        if request_id in self._pending and worker is self._worker and not self._closing:
            worker.kill()

    def _heard(self) -> None:
        self._last_heard = asyncio.get_running_loop().time()

    async def _read(self) -> None:
        reader = asyncio.StreamReader(limit=_READ_SIZE)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader),
            os.fdopen(os.dup(self._worker.output), "rb"),
        )
        frames = wire.FrameReader(wire.FromWorker)
        reason = ""
        try:
            while data := await reader.read(_READ_SIZE):
                self._heard()
                for message in frames.feed(data):
                    self._take(message)
        except Exception as error:  # whatever it is, those who wait for answers must hear of it
            reason = str(error) or type(error).__name__
        finally:
            transport.close()
        self._lost(reason)

    def _take(self, message: wire.FromWorker) -> None:
        pending = self._pending.get(message.id)
        if pending is None:
            return
        future = pending.future
        if isinstance(message, wire.ProgressMessage | wire.PartMessage):
            self._tell(pending, message)
            return
        del self._pending[message.id]
        if future.done():
            return
        if isinstance(message, wire.Answer):
            try:
                result = self._result(pending.query, message.body)
            except msgspec.DecodeError as error:
                future.set_exception(
                    QueryError(f"The worker's answer cannot be read: {error}.", kind="bug")
                )
                return
            if not self.target.live and not self.target.qemu:
                self._cache.put(pending.query, result, len(message.body))
            future.set_result(result)
        elif isinstance(message, wire.Failure):
            future.set_exception(QueryError(message.sentence, message.hint, kind=message.kind))
        else:
            future.cancel()

    def _tell(self, pending: _Pending, message: wire.ProgressMessage | wire.PartMessage) -> None:
        """Hand over what arrived ahead of the answer. What the asker does with it may fail: that
        is the asker's, and must not end the reading for all others."""
        try:
            if isinstance(message, wire.PartMessage):
                if pending.part is not None:
                    pending.part(self._result(pending.query, message.body))
            elif pending.progress is not None:
                pending.progress(Progress(message.done, message.total, message.what))
        except Exception as error:
            pending.progress = pending.part = None
            if not pending.future.done():
                pending.future.set_exception(error)

    @staticmethod
    def _result(query: Query[R], body: msgspec.Raw) -> R:
        result = unpack(body, result_type(type(query)))
        if len(body) > _LARGE_BYTES:
            # An answer has no cycles: to look for garbage among all its addresses again and again
            # only keeps keys waiting, up to 0.25 s for the stacks of 20,000 tasks.
            gc.freeze()
        return result

    async def _watch(self) -> None:
        """Kill a worker that has been silent for longer than its current Query allows."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(0.5)
            if not self._pending:
                continue
            allowed = max(p.query.deadline_seconds for p in self._pending.values())
            if loop.time() - self._last_heard > allowed:
                self._worker.kill()

    def _lost(self, reason: str) -> None:
        if self._closing:
            return
        worker = self._worker
        if reason:
            worker.kill()
        ended = worker.how_it_ended()
        if reason:
            ended = f"sent what cannot be read ({reason})"
        asked = ", ".join(sorted({type(p.query).__name__ for p in self._pending.values()}))
        sentence = f"The worker {ended}" + (f" while answering {asked}." if asked else ".")
        errors = worker.last_error()
        worker.close()
        lost, self._pending = self._pending, {}
        opening = self._worker.open_id in lost
        kind = "cannot-open" if opening else "worker-lost"
        for pending in lost.values():
            if not pending.future.done():
                pending.future.set_exception(QueryError(sentence, errors, kind=kind))
        if opening:
            # It would only die again.
            self._gone = QueryError(sentence, errors, kind=kind)
            return
        self._worker = WorkerProcess(self.target, worker.command)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.add_done_callback(self._opened_again)
        self._pending[self._worker.open_id] = _Pending(self.target, future, None, None)
        self._attach()
        self.on_lost(sentence + " It was started again.")

    def _opened_again(self, opened: "asyncio.Future[Any]") -> None:
        """Where the target cannot be opened any more, every question is told why."""
        error = None if opened.cancelled() else opened.exception()
        if isinstance(error, QueryError):
            self._gone = error


def _ignore(_sentence: str) -> None:
    pass
