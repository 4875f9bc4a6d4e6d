"""The worker as a process: started, written to, ended. Imports no asyncio, so that the command line
can start it first thing and import the rest while it opens the dump."""

import contextlib
import itertools
import signal
import subprocess
import sys
import tempfile
from typing import IO

from kscope.model.target import OpenQuery
from kscope.session import wire

WORKER = ("-m", "kscope.session.worker")

_ids = itertools.count(1)


def next_id() -> int:
    """A request ID that no other request has."""
    return next(_ids)


class WorkerProcess:
    """A worker that was asked to open ``target``."""

    def __init__(self, target: OpenQuery, command: tuple[str, ...] = WORKER) -> None:
        self.target = target
        self.command = command
        self.open_id = next_id()
        """The ID of the request that opens the target."""
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._popen = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            # Signals from the terminal are the dashboard's business; PDEATHSIG ends the worker.
            start_new_session=True,
        )
        self.write(wire.request(self.open_id, target))

    @property
    def process_id(self) -> int:
        """Its PID."""
        return self._popen.pid

    @property
    def output(self) -> int:
        """The descriptor that its frames come from."""
        assert self._popen.stdout is not None
        return self._popen.stdout.fileno()

    def write(self, message: wire.ToWorker) -> None:
        """Send it a message; a dead worker is noticed by the end of its output, not here."""
        assert self._popen.stdin is not None
        with contextlib.suppress(OSError):
            self._popen.stdin.write(wire.frame(message))
            self._popen.stdin.flush()

    def interrupt(self) -> None:
        """Interrupt what it is answering."""
        with contextlib.suppress(ProcessLookupError):
            self._popen.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            self._popen.kill()

    def how_it_ended(self) -> str:
        """Wait for its end and say how it was, as in "was killed by SIGSEGV"."""
        status = self._popen.wait()
        if status < 0:
            return f"was killed by {signal.Signals(-status).name}"
        return f"ended with status {status}"

    def last_error(self) -> str:
        """The last line it wrote to its standard error."""
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "backslashreplace").strip().splitlines()
        return lines[-1] if lines else ""

    def close(self) -> None:
        """End it and free what it holds in this process."""
        self.kill()
        self._popen.wait()
        for file in (self._popen.stdin, self._popen.stdout, self._errors):
            if file is not None:
                with contextlib.suppress(OSError):
                    file.close()
