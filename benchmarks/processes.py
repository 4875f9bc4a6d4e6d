"""Whole processes timed in turn, so that a machine that slows down slows all of them."""

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """Something to be timed."""

    name: str
    arguments: Sequence[str]
    input: str = ""


@dataclass(frozen=True)
class Timing:
    """What came of it."""

    name: str
    seconds: float
    """Median from start to end."""
    peak_bytes: int
    """The largest resident set of its process."""


def compare(commands: Sequence[Command], runs: int = 5) -> list[Timing]:
    """Run each command once unmeasured, then all of them in turn ``runs`` times."""
    seconds: dict[str, list[float]] = {command.name: [] for command in commands}
    peaks: dict[str, int] = {}
    for turn in range(runs + 1):
        for command in commands:
            elapsed, peak = _run(command)
            if turn:
                seconds[command.name].append(elapsed)
                peaks[command.name] = max(peak, peaks.get(command.name, 0))
    return [Timing(name, statistics.median(each), peaks[name]) for name, each in seconds.items()]


_BYTECODE = tempfile.TemporaryDirectory(prefix="kscope-bench-")


def environment(**changes: str) -> dict[str, str]:
    """As users have it: compiled once, when it was installed, whatever this checkout is set to."""
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, "PYTHONPYCACHEPREFIX": _BYTECODE.name, **changes}


def _run(command: Command) -> tuple[float, int]:
    started = time.monotonic()
    process = subprocess.Popen(
        command.arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(TERM="dumb"),
    )
    assert process.stdin is not None
    process.stdin.write(command.input.encode())
    process.stdin.close()
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    return time.monotonic() - started, usage.ru_maxrss * 1024
