"""crash 8.0.6 of Debian 13, to compare with."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.lab import debian13
from tests.lab.cache import LabError, cache_directory, hash_of, locked
from tests.lab.catalogue import LabDump

MARK = "kscope-lab-mark"


def crash(dump: LabDump, commands: Sequence[str], timeout: float = 300) -> list[str]:
    """The output of each command, in order; LabError if crash cannot open the dump.

    crash takes up to a quarter of a minute to start: what it said of a dump is kept in the cache,
    also that it cannot open it.
    """
    kept = _kept(dump, commands)
    with locked(kept):
        if not kept.exists():
            # With other characters than ASCII escaped, also bytes that are not UTF-8.
            text = json.dumps(_ask(dump, commands, timeout))
            new = kept.with_name(f".{kept.name}.{os.getpid()}")
            new.write_text(text)
            new.rename(kept)
    answers: list[str] | str = json.loads(kept.read_text())
    if isinstance(answers, str):
        raise LabError(answers)
    return answers


def _kept(dump: LabDump, commands: Sequence[str]) -> Path:
    status = dump.vmcore.stat()
    name = hash_of([str(dump.vmlinux), f"{status.st_size} {status.st_mtime_ns}", *commands])
    return cache_directory() / "oracle-answers" / dump.series / dump.name / f"{name}.json"


def _ask(dump: LabDump, commands: Sequence[str], timeout: float) -> list[str] | str:
    """The output of each command, or in one string how crash ended before."""
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
        return f"crash on {dump.series} {dump.name}:\n{result.stdout[-2000:]}"
    return parts[1:-1]
