"""A worker whose every answer but the first takes as long as its Query says; run by tests."""

import time
from collections.abc import Generator
from typing import Any

from kscope.model.base import Progress, Query
from kscope.model.log import Log, LogQuery
from kscope.model.system import System, SystemQuery
from kscope.model.target import Identity, Opened, OpenQuery
from kscope.session import worker

IDENTITY = Identity(
    path="/vmcore", name="vmcore", format="kdump", compression="", dump_level=31, size_bytes=0,
    complete=True, missing_bytes=0, incomplete_why="", live=False, release="6.1", version="",
    machine="x86_64", nodename="", build_id="", crash_time_seconds=None,
)  # fmt: skip


class SlowWorker(worker.Worker):
    """``LogQuery(match="busy 5")`` computes for 5 s, ``sliced 5`` in slices, ``stuck`` ignores
    every signal it can; a SystemQuery answers at once."""

    def _begin(self, query: Query[Any]) -> Any:
        if isinstance(query, OpenQuery):
            return Opened(identity=IDENTITY)
        if isinstance(query, SystemQuery):
            return System(dumpfile="/vmcore")
        assert isinstance(query, LogQuery)
        kind, _, seconds = query.match.partition(" ")
        if kind == "sliced":
            return self._slices(float(seconds))
        if kind == "stuck":
            self._interruptible = False
            time.sleep(60)
        if kind == "garbage":
            self._send_garbage()
        end = time.monotonic() + float(seconds or 0)
        while time.monotonic() < end:
            pass
        return Log(records=(), reports=(), boot_time_ns=None)

    def _send_garbage(self) -> None:
        import os

        os.write(self._write, b"\0\0\0\x03abc")

    def _slices(self, seconds: float) -> Generator[Progress, None, Log]:
        for done in range(int(seconds * 50)):
            time.sleep(0.02)
            yield Progress(done, int(seconds * 50), "working")
        return Log(records=(), reports=(), boot_time_ns=None)


if __name__ == "__main__":
    worker.Worker = SlowWorker  # type: ignore[misc]
    worker.main()
