"""The dashboard in a pseudo-terminal of 120x40: time to its first frame, bytes and time per key."""

import os
import pty
import select
import statistics
import struct
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import ioctl

from benchmarks.processes import environment
from tests.lab.catalogue import find


@dataclass(frozen=True)
class Measured:
    """One figure."""

    name: str
    value: str


class Dashboard:
    """kscope on a dump."""

    def __init__(self, dump: str) -> None:
        self.started = time.monotonic()
        self.process_id, self._master = pty.fork()
        if self.process_id == 0:
            ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
            command = [sys.executable, "-m", "kscope", dump, "--fresh"]
            variables = environment(TERM="xterm-256color", COLORTERM="truecolor")
            os.execve(sys.executable, command, variables)

    def until(self, wanted: bytes) -> float:
        """Seconds from the start until ``wanted`` is painted."""
        painted = b""
        while wanted not in painted:
            painted += os.read(self._master, 65536)
        return time.monotonic() - self.started

    def press(self, key: str, quiet: float = 0.5) -> tuple[int, float]:
        """Press a key; returns the bytes it cost and the seconds until its last byte."""
        begun = last = time.monotonic()
        os.write(self._master, key.encode())
        count = 0
        while select.select([self._master], [], [], quiet)[0]:
            count += len(os.read(self._master, 65536))
            last = time.monotonic()
        return count, last - begun

    def close(self) -> None:
        os.kill(self.process_id, 9)
        os.waitpid(self.process_id, 0)
        os.close(self._master)


@contextmanager
def dashboard(dump: str = "demo") -> Iterator[Dashboard]:
    """A dashboard that is ended in any case."""
    running = Dashboard(dump)
    try:
        yield running
    finally:
        running.close()


def figures() -> Iterator[Measured]:
    """The figures of the terminal."""
    frames, whole = [], []
    for _ in range(5):
        with dashboard() as running:
            frames.append(running.until(b"Survey"))
            whole.append(running.until(b"BTF"))
    yield Measured("first frame", f"{statistics.median(frames):.2f} s")
    yield Measured("first screen with its facts", f"{statistics.median(whole):.2f} s")
    with dashboard() as running:
        running.until(b"BTF")
        running.press("2", quiet=1.5)
        running.press("g")
        down = [running.press("j") for _ in range(30)]
        page = [running.press("\x1b[6~") for _ in range(5)]
        idle = running.press("", quiet=3.0)[0]
    yield Measured("a line down", f"{statistics.median(count for count, _ in down):.0f} bytes")
    yield Measured(
        "a line down, key to paint", f"{1000 * statistics.median(s for _, s in down):.0f} ms"
    )
    yield Measured("a page down", f"{statistics.median(count for count, _ in page):.0f} bytes")
    yield Measured("idle for 3 s", f"{idle} bytes")
    busy = sorted(while_the_worker_is_busy())
    median, late = statistics.median(busy), busy[len(busy) * 95 // 100]
    yield Measured(
        "a line down in 20,000 tasks while the worker searches memory, key to paint",
        f"{1000 * median:.0f} ms, 95 % within {1000 * late:.0f} ms",
    )


def while_the_worker_is_busy() -> list[float]:
    """Seconds from key to paint, of keys that come while all memory is searched."""
    with dashboard(str(find("many", "6.12").vmcore)) as running:
        running.until(b"BTF")
        running.press("3", quiet=5.0)
        running.press(":")
        running.press("search -k 1234567812345678")
        running.press("\r")
        running.press("3")
        return [running.press("j", quiet=0.1)[1] for _ in range(40)]
