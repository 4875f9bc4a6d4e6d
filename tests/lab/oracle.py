"""crash 8.0.6 of Debian 13, to compare with."""

import subprocess
from collections.abc import Sequence

from tests.lab import debian13
from tests.lab.cache import LabError
from tests.lab.catalogue import LabDump

MARK = "kscope-lab-mark"


def crash(dump: LabDump, commands: Sequence[str], timeout: float = 300) -> list[str]:
    """The output of each command, in order; LabError if crash cannot open the dump."""
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
