"""The command line: what it prints where, its exit status, and what it does not import."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
import typing
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from kscope import __version__
from kscope.dialect import views


def kscope(
    *arguments: str, cwd: Path | None = None, **environment: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "kscope", *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
        cwd=cwd,
        env=os.environ | environment,
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
        (("show", "memory", "demo", "jiffies", "--bits", "x"), 2, "--bits takes a whole number"),
        (("show", "memory", "demo", "jiffies", "-5"), 2, "COUNT takes no number below 0, not -5."),
        (
            ("show", "list", "demo", "init_task.tasks", "--limit", "-5"),
            2,
            "--limit takes no number below 0, not -5.",
        ),
        (("survey", "demo", "demo", "--live"), 2, "Survey it alone"),
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


def test_no_number_of_things_is_below_none() -> None:
    numbers = {
        f"{name} {field.name}": typing.get_type_hints(query, include_extras=True)[field.name]
        for name in views.names()
        for query in [views.find(name).QUERY]
        for field in msgspec.structs.fields(query)
        if type(field.default) is int
    }
    assert {"list limit", "tree limit", "struct depth", "code count"} <= numbers.keys()
    for name, hint in numbers.items():
        if name.endswith(" bits"):
            continue  # of which only few are possible
        with pytest.raises(msgspec.ValidationError, match=">= 0"):
            msgspec.convert(-1, hint)


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


@pytest.mark.parametrize(
    ("script", "status"),
    [("show struct VMCORE nonsense", 1), ("survey", 2)],
)
def test_what_went_wrong_counts_also_when_nobody_reads(
    demo: Path, script: str, status: int
) -> None:
    """With standard output closed at the other end, and then standard error too."""
    command = f"{sys.executable} -m kscope {script.replace('VMCORE', str(demo))}"
    for errors in ("", "2>&1"):
        done = subprocess.run(
            ["bash", "-c", f"({command}; echo $? >&3) 3>&2 {errors} | true"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.stderr.splitlines()[-1] == str(status)
        assert "Exception" not in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", ["--help", "show log VMCORE"])
def test_a_full_disk_under_the_output_is_said(demo: Path, arguments: str) -> None:
    command = f"{sys.executable} -m kscope {arguments.replace('VMCORE', str(demo))} >/dev/full"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "kscope: standard output: No space left on device\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("arguments", ["", "show system VMCORE", "survey VMCORE VMCORE"])
def test_closed_streams_are_no_error(demo: Path, closed: str, arguments: str) -> None:
    command = f"{sys.executable} -m kscope {arguments.replace('VMCORE', str(demo))} {closed}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_the_locale_has_no_letters_for_is_escaped() -> None:
    printed = kscope("--help", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert printed.returncode == 0
    assert "kscope survey VMCORE\\u2026" in printed.stdout


def test_without_a_home_everything_is_answered_and_nothing_kept(demo: Path) -> None:
    """HOME is not set, and no user of the system has one: as for a container's numeric user."""
    code = (
        "import os, pwd, sys\n"
        "del os.environ['HOME']\n"
        "pwd.getpwuid = lambda number: {}[number]\n"
        "from kscope.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    environment = {n: v for n, v in os.environ.items() if not n.startswith("XDG_")}
    for arguments in (["config"], ["run", str(demo), "eval 1"], [], ["survey", str(demo)]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            capture_output=True, text=True, check=False, env=environment,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")


def test_a_dump_whose_name_looks_like_an_option_can_be_surveyed(demo: Path, tmp_path: Path) -> None:
    (tmp_path / "-json").symlink_to(demo)
    done = kscope("survey", "--", "-json", "-json", cwd=tmp_path)
    assert done.returncode == 0
    assert "2 x  hung-task" in done.stdout


@pytest.fixture
def heard() -> Iterator[None]:
    """What a shell runs in its background ignores SIGINT, and so would all that it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.alone
@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_none_of_the_processes_that_survey_side_by_side(
    demo: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """They are stopped, so that they would not end by themselves."""
    links = [tmp_path / "one", tmp_path / "other"]
    for link in links:
        link.symlink_to(demo)
    command = [sys.executable, "-m", "kscope", "survey", *map(str, links)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while not (children := _surveying(process.pid)):
            time.sleep(0.005)
        for child in children:
            os.kill(child, signal.SIGSTOP)
        process.send_signal(number)
        assert process.wait(20) == (130 if number == signal.SIGINT else 128 + number)
        for child in children:
            assert not Path(f"/proc/{child}").exists()


def _surveying(process_id: int) -> list[int]:
    """The processes that it started; not those that are still copies of itself."""
    threads = Path(f"/proc/{process_id}/task").glob("*/children")
    children = [int(word) for thread in threads for word in thread.read_text().split()]
    return [c for c in children if b"--json" in Path(f"/proc/{c}/cmdline").read_bytes()]


def test_what_is_said_of_progress_is_gone_when_the_answer_stands_there(demo: Path) -> None:
    ours, terminal = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "kscope", "survey", str(demo)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=terminal, check=True,
        env=os.environ | {"TERM": "xterm"},
    )  # fmt: skip
    os.close(terminal)
    said = os.read(ours, 1 << 16)
    os.close(ours)
    assert b"looking for" in said
    assert said.endswith(b"\r\033[K")
    assert b"\033" not in done.stdout


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
