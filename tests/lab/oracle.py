"""crash 8.0.6 of Debian 13, to compare with."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.lab import debian13
from tests.lab.cache import LabError, cache_directory, hash_of
from tests.lab.catalogue import LabDump

MARK = "kscope-lab-mark"


def crash(dump: LabDump, commands: Sequence[str], timeout: float = 300) -> list[str]:
    """The output of each command, in order; LabError if crash cannot open the dump.

    crash takes up to a quarter of a minute to start: what it said of a dump is kept in the cache.
    """
    kept = _kept(dump, commands)
    if kept.exists():
        answers: list[str] = json.loads(kept.read_text())
        return answers
    answers = _ask(dump, commands, timeout)
    kept.parent.mkdir(parents=True, exist_ok=True)
    new = kept.with_name(f".{kept.name}.{os.getpid()}")
    # With other characters than ASCII escaped, also bytes that are not UTF-8.
    new.write_text(json.dumps(answers))
    new.rename(kept)
    return answers


def _kept(dump: LabDump, commands: Sequence[str]) -> Path:
    status = dump.vmcore.stat()
    name = hash_of([str(dump.vmlinux), f"{status.st_size} {status.st_mtime_ns}", *commands])
    return cache_directory() / "oracle-answers" / dump.series / dump.name / f"{name}.json"


def _ask(dump: LabDump, commands: Sequence[str], timeout: float) -> list[str]:
    debian13.ensure_debian13()
    lines = ["set scroll off", "set radix 10"]
    for command in commands:
        lines += [f"echo {MARK}", command]
    lines += [f"echo {MARK}", "quit"]
    try:
        result = subprocess.run(
            [*debian13.program("crash"), "-s", str(dump.vmlinux), str(dump.vmcore)],
            input="\n".join(lines) + "\n",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="surrogateescape",
            # As a program without a terminal, and without a .crashrc of the user's.
            env={"TERM": "dumb", "HOME": "/nonexistent", "PATH": "/usr/bin:/bin"},
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LabError(f"crash did not end within {timeout:.0f} s") from None
    parts = result.stdout.split(MARK + "\n")
    if len(parts) != len(commands) + 2:
        raise LabError(f"crash on {dump.series} {dump.name}:\n{result.stdout[-2000:]}")
    return parts[1:-1]
