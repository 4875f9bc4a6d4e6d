"""The command line: what it prints where, its exit status, and what it does not import."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kscope import __version__


def kscope(*arguments: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "kscope", *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
        cwd=cwd,
    )


def test_version_is_the_packages() -> None:
    assert kscope("--version").stdout == f"kscope {__version__}\n"


def test_help_names_every_form() -> None:
    printed = kscope("--help").stdout
    for form in ("kscope demo", "kscope survey", "kscope show", "--live", "--qemu"):
        assert form in printed


def test_a_view_is_text_on_standard_output(demo: Path) -> None:
    done = kscope("show", "system", str(demo))
    assert done.returncode == 0
    assert "PANIC" in done.stdout
    assert done.stderr == ""


def test_a_view_as_json_is_the_result_with_addresses_as_text(demo: Path) -> None:
    done = kscope("show", "system", str(demo), "--json")
    answer = json.loads(done.stdout)
    assert answer["panic_task"]["task"].startswith("0xffff")


def test_demo_stands_where_a_vmcore_is_named() -> None:
    assert kscope("show", "system", "demo").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("show", "system", "/nonexistent"), 1, "No such file"),
        (("show", "weather", "x"), 2, "no view weather"),
        (("show", "system"), 2, "required: vmcore"),
        (("show", "system", "x", "--live"), 2, "unrecognized arguments: x"),
        (("show", "log", "demo", "--level", "loud"), 1, "no log level"),
        (("demo",), 2, "no terminal"),
        (("--nonsense",), 2, "usage"),
    ],
)
def test_what_goes_wrong_is_said_on_standard_error_with_its_status(
    demo: Path, arguments: tuple[str, ...], status: int, said: str
) -> None:
    done = kscope(*arguments)
    assert done.returncode == status
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("view", ["system", "log"])
def test_a_reader_that_goes_away_is_no_error(demo: Path, view: str) -> None:
    """What ``kscope show … | head`` does to a short output and to a long one."""
    command = [sys.executable, "-m", "kscope", "show", view, str(demo)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


def test_no_argument_lists_the_dumps_found_when_there_is_no_terminal(
    demo: Path, tmp_path: Path
) -> None:
    (tmp_path / "vmcore").symlink_to(demo)
    done = kscope(cwd=tmp_path)
    assert done.returncode == 0
    assert "6.1.0-" in done.stdout
    assert "demo" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [("--version",), ("--help",), ("show", "system", "demo"), ("show", "log", "demo", "--json")],
)
def test_no_headless_command_imports_textual(demo: Path, arguments: tuple[str, ...]) -> None:
    code = (
        "import sys\n"
        "from kscope.cli import main\n"
        "status = main(sys.argv[1:])\n"
        "print(status, 'textual' in sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == "0 False"


def test_version_imports_next_to_nothing() -> None:
    code = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "from kscope.cli import main\n"
        "main(['--version'])\n"
        "print(len(set(sys.modules) - before), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stderr) < 40  # textual alone is 364, drgn 90
