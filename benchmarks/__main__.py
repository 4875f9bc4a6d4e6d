"""``make bench``: every figure as Markdown tables."""

import os
import platform
from itertools import chain
from pathlib import Path

from benchmarks import inspecting, opening, task_keys, tasks, terminal
from benchmarks.processes import Timing


def main() -> None:
    """Measure and print."""
    print(f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for title, timings in chain(opening.tables(), tasks.tables()):
        print(f"\n### {title}\n\n| | seconds | of the fastest | memory |\n|---|--:|--:|--:|")
        for timing in timings:
            print(_row(timing, min(t.seconds for t in timings)))
    print("\n### in a terminal of 120x40\n\n| | |\n|---|--:|")
    for figure in chain(terminal.figures(), task_keys.figures(), inspecting.figures()):
        print(f"| {figure.name} | {figure.value} |")


def _row(timing: Timing, fastest: float) -> str:
    ratio = timing.seconds / fastest
    memory = timing.peak_bytes >> 20
    return f"| {timing.name} | {timing.seconds:.2f} | {ratio:.1f} | {memory} MB |"


def _processor() -> str:
    with Path("/proc/cpuinfo").open(encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


if __name__ == "__main__":
    main()
