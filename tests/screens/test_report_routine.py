"""An analyst's routine from start to report, by keys in a real terminal."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_terminal import Terminal


def kscope_run(demo: Path, line: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "kscope", "run", str(demo), line],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


def drgn_comms_of_blocked_tasks(demo: Path) -> list[str]:
    line = (
        "drgn print(*[t.comm.string_().decode() for t in for_each_task(prog)"
        " if task_state_to_char(t) == 'D'])"
    )
    return kscope_run(demo, line).split()


def test_from_the_panic_to_an_exported_report(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    terminal = Terminal(str(demo))
    try:
        terminal.wait_for("hung_task: blocked tasks")
        terminal.wait_for("Deadlock")
        terminal.press("a")
        terminal.wait_for("added to the report as 1")
        terminal.press(":")
        terminal.wait_for("a crash command")
        terminal.press("ps -m | grep UN\r")
        terminal.wait_for("rtowner")
        terminal.press("\x1b")
        terminal.wait_for("output before")
        terminal.press("a")
        terminal.wait_for("added to the report as 2")
        terminal.press("9")
        terminal.wait_for("2 blocks")
        terminal.press("r")
        terminal.wait_for("PID: 162")
        terminal.press("G")
        terminal.press("e")
        terminal.wait_for("done")
        terminal.press("logrotated and backupd wait for each other")
        terminal.wait_for("each other")
        terminal.press("\x1b")
        terminal.wait_for("new block")
        terminal.press("x")
        terminal.wait_for("written to")
        terminal.press("qqqq")
        assert terminal.wait_for_end() == 0
    finally:
        terminal.close()
    report = (tmp_path / "vmcore-report.md").read_text()
    for line in ("ps -m | grep UN", "bt 162", "bt -f 163"):
        assert f"~~~\ncrash> {line}\n{kscope_run(demo, line)}~~~\n" in report
    for comm in drgn_comms_of_blocked_tasks(demo):
        assert f'COMMAND: "{comm}"' in report
    assert "logrotated and backupd wait for each other" in report.rpartition("~~~")[2]
