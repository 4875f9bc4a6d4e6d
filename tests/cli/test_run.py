"""``kscope run``: crash command lines without a screen."""

import subprocess
import sys
from pathlib import Path

import pytest


def kscope(*arguments: str, script: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "kscope", *arguments],
        capture_output=True, text=True, input=script, check=False,
    )  # fmt: skip


def test_lines_are_answered_in_order_on_standard_output(demo: Path) -> None:
    done = kscope("run", str(demo), "ps -m | grep UN | wc -l", "echo between", "p 1+1")
    assert done.stdout.split() == ["13", "between", "$1", "=", "2"]
    assert (done.stderr, done.returncode) == ("", 0)


def test_a_script_of_plain_commands_works(demo: Path, tmp_path: Path) -> None:
    script = f"# hung tasks\nset 161\nset > {tmp_path}/set\nforeach UN bt | grep -c PID\nq\nps\n"
    done = kscope("run", str(demo), script=script)
    assert done.stdout.splitlines()[-1] == "13"
    assert 'COMMAND: "rtowner"' in (tmp_path / "set").read_text()


def test_a_failure_is_on_standard_error_and_the_rest_still_runs(demo: Path) -> None:
    done = kscope("run", str(demo), "nosuch", "p 3")
    assert done.stdout == "$1 = 3\n"
    assert done.stderr == "crash: command not found: nosuch\n"
    assert done.returncode == 1


def test_a_reader_that_goes_away_is_no_error(demo: Path) -> None:
    command = f"{sys.executable} -m kscope run {demo} log | head -1"
    done = subprocess.run(
        ["/bin/bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False
    )
    assert "Linux version" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [("run",), ("run", "demo", "-x", "ps")])
def test_bad_usage_is_status_2(arguments: tuple[str, ...]) -> None:
    assert kscope(*arguments).returncode == 2


def test_no_screen_is_imported(demo: Path) -> None:
    code = (
        "import sys\nfrom kscope.cli import main\n"
        "status = main(sys.argv[1:])\n"
        "print(status, 'textual' in sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "run", str(demo), "ps 1"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr.strip() == "0 False"
