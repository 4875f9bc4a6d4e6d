"""The crash command of every piece of evidence, typed into crash itself."""

import pytest

from tests.lab.catalogue import find
from tests.lab.oracle import crash
from tests.on_lab.surveys import surveyed

pytestmark = pytest.mark.lab

REFUSALS = (
    "invalid", "Usage", "command not found", "gdb request failed", "symbol not found",
    "not a valid",
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "series"),
    [
        *(
            (name, series)
            for name in ("demo", "soft-lockup", "rcu-stall", "oom", "null-deref")
            for series in ("6.1", "6.12")
        ),
        # crash does not open 6.1's dumps of guests that did not panic.
        ("io-stuck", "6.12"),
        ("memory-low", "6.12"),
        ("stuck-cpus", "6.12"),
        ("deferred-work", "6.12"),
        # Debian 12's own 6.1 is configured without machine checks.
        ("machine-check", "6.12"),
    ],
)
def test_crash_understands_every_command(name: str, series: str) -> None:
    dump = find(name, series)
    findings = surveyed(name, series).findings
    commands = sorted({e.crash for f in findings for e in f.evidence if e.crash} - {"log"})
    outputs = dict(zip(commands, crash(dump, commands), strict=True))
    refused = {c: o for c, o in outputs.items() if any(word in o for word in REFUSALS)}
    assert refused == {}
    assert [command for command, output in outputs.items() if not output.strip()] == []
