"""The worker process: owns the target and answers Queries, short ones before long ones.

Run as ``python -m kscope.session.worker``: frames come in on descriptor 0 and go out on
descriptor 1, which are moved away at once, so that nothing printed by a library can corrupt them.

SIGINT interrupts what is being answered, and only then: the handler raises KeyboardInterrupt in
the main thread, which also ends a memory search inside drgn's C code. What was interrupted is
looked up in the Cancel messages; an interrupt that no Cancel explains restarts the answer.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
import traceback
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any

import msgspec

from kscope.model.base import Part, Progress, Query, QueryError, Result
from kscope.model.codec import pack
from kscope.model.target import OpenQuery
from kscope.session import wire

if TYPE_CHECKING:
    from kscope.target.target import Target

_READ_SIZE = 1 << 20
_PR_SET_PDEATHSIG = 1


@dataclass
class Job:
    """A request that is waiting or partly answered."""

    id: int
    query: Query[Any]
    slices: Generator[Any, None, Any] | None = None


class Worker:
    """Answers requests from one descriptor on another until the first is closed."""

    def __init__(self, read_descriptor: int, write_descriptor: int) -> None:
        self._read = read_descriptor
        self._write = write_descriptor
        self._frames = wire.FrameReader(wire.ToWorker)
        self._fresh: deque[Job] = deque()
        self._long: deque[Job] = deque()
        self._cancelled: set[int] = set()
        self._target: Target | None = None
        self._interruptible = False

    def run(self) -> None:
        """Answer until the client closes its end."""
        signal.signal(signal.SIGINT, self._interrupt)
        with contextlib.suppress(EOFError):
            while True:
                self._receive()
                self._advance(self._next())

    def _next(self) -> Job:
        """New requests before partly answered ones, but nothing before the target is open."""
        if self._long and (not self._fresh or isinstance(self._long[0].query, OpenQuery)):
            return self._long.popleft()
        return self._fresh.popleft()

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        if self._interruptible:
            self._interruptible = False
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        self._interruptible = True
        try:
            yield
        finally:
            self._interruptible = False

    def _receive(self) -> None:
        """Take in what has arrived; wait for it only when there is nothing else to do."""
        while not (self._fresh or self._long) or self._arrived():
            self._read_frames()

    def _arrived(self) -> bool:
        return bool(select.select([self._read], [], [], 0)[0])

    def _read_frames(self) -> None:
        data = os.read(self._read, _READ_SIZE)
        if not data:
            raise EOFError
        for message in self._frames.feed(data):
            if isinstance(message, wire.Cancel):
                self._cancel(message.id)
            else:
                self._accept(message)

    def _accept(self, message: wire.Request) -> None:
        try:
            self._fresh.append(Job(message.id, wire.query_of(message)))
        except QueryError as error:
            self._send(wire.Failure(message.id, error.kind, error.sentence, error.hint))

    def _cancel(self, request_id: int) -> None:
        for queue in (self._fresh, self._long):
            for job in queue:
                if job.id == request_id:
                    queue.remove(job)
                    self._send(wire.Cancelled(request_id))
                    return
        self._cancelled.add(request_id)

    def _advance(self, job: Job) -> None:
        self._cancelled.clear()
        try:
            with self._answering():
                step = self._step(job)
                body = (
                    msgspec.Raw(pack(step.result if isinstance(step, Part) else step))
                    if isinstance(step, Result)
                    else None
                )
        except KeyboardInterrupt:
            while self._arrived():
                self._read_frames()
            if job.id in self._cancelled:
                self._send(wire.Cancelled(job.id))
            else:
                self._fresh.append(Job(job.id, job.query))
        except QueryError as error:
            self._send(wire.Failure(job.id, error.kind, error.sentence, error.hint))
        except Exception as error:
            traceback.print_exc()
            sentence = f"kscope could not answer this: {type(error).__name__}: {error}"
            self._send(wire.Failure(job.id, "bug", sentence, ""))
        else:
            if isinstance(step, Progress):
                self._send(wire.ProgressMessage(job.id, step.done, step.total, step.what))
                self._long.append(job)
            elif isinstance(step, Part):
                assert body is not None
                self._send(wire.PartMessage(job.id, body))
                self._long.append(job)
            else:
                assert body is not None
                self._send(wire.Answer(job.id, body))

    def _step(self, job: Job) -> Progress | Part[Any] | Result:
        if job.slices is None:
            begun = self._begin(job.query)
            if not isinstance(begun, Generator):
                answered: Result = begun
                return answered
            job.slices = begun
        try:
            step: Progress | Part[Any] = next(job.slices)
        except StopIteration as stop:
            result: Result = stop.value
            return result
        return step

    def _begin(self, query: Query[Any]) -> Any:
        if isinstance(query, OpenQuery):
            return self._open(query)
        if self._target is None:
            raise QueryError("No target is open.", kind="cannot-open")
        from kscope.session import answering

        return answering.begin(self._target, query)

    def _open(self, query: OpenQuery) -> Generator[Any, None, Any]:
        from kscope.target.opening import open_target

        self._target = yield from open_target(query)
        return self._target.opened()

    def _send(self, message: wire.FromWorker) -> None:
        data = memoryview(wire.frame(message))
        while data:
            data = data[os.write(self._write, data) :]


def _die_with_parent() -> None:
    # The kernel's own guarantee that no worker outlives a dashboard that was killed.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:
        sys.exit(0)


def main() -> None:
    """Serve on descriptors 0 and 1."""
    _die_with_parent()
    read_descriptor = os.dup(0)
    write_descriptor = os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    with contextlib.suppress(BrokenPipeError):
        Worker(read_descriptor, write_descriptor).run()


if __name__ == "__main__":
    main()
