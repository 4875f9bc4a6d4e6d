"""The dashboard as a program in a real terminal, from its start to a clean end."""

import json
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path

import pytest
from platformdirs import user_state_path

_SECONDS = 20.0
_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[()][A-Z0-9]|\x1b[=>]|\x1b\][^\x07]*\x07")

pytestmark = pytest.mark.alone


class Terminal:
    """A program on a pseudo-terminal of 120x40."""

    def __init__(self, *arguments: str) -> None:
        self.output = b""
        # pytest's plugins set COLUMNS and LINES, which would overrule the terminal's own size.
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in ("TMUX", "COLUMNS", "LINES")
        }
        environment |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self.process_id, self._master = pty.fork()
        if self.process_id == 0:
            ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
            os.execve(sys.executable, [sys.executable, "-m", "kscope", *arguments], environment)
        self.before = termios.tcgetattr(self._master)

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def text(self) -> str:
        return _ESCAPES.sub(b"", self.output).decode("utf-8", "replace")

    def wait_for(self, wanted: str) -> None:
        """Read until ``wanted`` was painted since the last call."""
        self._read_until(lambda: wanted in self.text(), f"{wanted!r} was not painted")
        self.output = b""

    def wait_for_bytes(self, wanted: bytes) -> None:
        """Read until ``wanted`` was sent."""
        self._read_until(lambda: wanted in self.output, f"{wanted!r} was not sent")

    def wait_for_end(self) -> int:
        """Read until the program has ended; returns its exit status."""
        status: list[int] = []

        def ended() -> bool:
            process_id, code = os.waitpid(self.process_id, os.WNOHANG)
            if process_id:
                status.append(code)
            return bool(process_id)

        self._read_until(ended, "the program did not end")
        return os.waitstatus_to_exitcode(status[0])

    def settings_now(self) -> list[object]:
        return list(termios.tcgetattr(self._master))

    def hang_up(self) -> None:
        """What happens when the connection to the terminal is lost."""
        os.close(self._master)
        # Whoever reads from it next.
        self._master = os.open(os.devnull, os.O_RDONLY)

    def _read_until(self, condition: object, failure: str) -> None:
        assert callable(condition)
        end = time.monotonic() + _SECONDS
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"{failure}; painted: {self.text()[-2000:]}")
            if select.select([self._master], [], [], 0.05)[0]:
                try:
                    self.output += os.read(self._master, 65536)
                except OSError:  # the program closed its side
                    time.sleep(0.05)

    def close(self) -> None:
        try:
            os.kill(self.process_id, signal.SIGKILL)
            os.waitpid(self.process_id, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        os.close(self._master)


@pytest.fixture
def terminal(demo: Path) -> Iterator[Terminal]:
    terminal = Terminal(str(demo))
    yield terminal
    terminal.close()


def workers_of(process_id: int) -> list[int]:
    children = Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()
    return [int(child) for child in children]


def is_running(process_id: int) -> bool:
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_screens_switch_and_q_leaves_the_terminal_as_it_was(terminal: Terminal) -> None:
    terminal.wait_for("hung_task: blocked tasks")
    terminal.press("2")
    terminal.wait_for("Reports")
    terminal.press("1")
    terminal.wait_for("How this kernel was set")
    terminal.press("qqqq")
    assert terminal.wait_for_end() == 0
    assert b"\x1b[?1049l" in terminal.output, "the alternate screen was not left"
    assert b"\x1b[?25h" in terminal.output, "the cursor was not shown again"
    assert terminal.settings_now() == terminal.before


@pytest.mark.parametrize("death", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_cleanly_and_leaves_no_worker(
    terminal: Terminal, death: signal.Signals
) -> None:
    terminal.wait_for("hung_task: blocked tasks")
    workers = workers_of(terminal.process_id)
    assert workers
    os.kill(terminal.process_id, death)
    terminal.wait_for_end()
    assert b"\x1b[?1049l" in terminal.output
    end = time.monotonic() + 5
    while any(map(is_running, workers)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(is_running, workers))


@pytest.mark.parametrize("death", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_terminal_back_as_soon_as_it_was_taken(
    terminal: Terminal, death: signal.Signals
) -> None:
    terminal.wait_for_bytes(b"\x1b[?1049h")
    os.kill(terminal.process_id, death)
    assert terminal.wait_for_end() == 0
    assert b"\x1b[?1049l" in terminal.output
    assert terminal.settings_now() == terminal.before


def test_a_signal_gives_the_terminal_back_while_a_dump_is_chosen() -> None:
    terminal = Terminal()
    try:
        terminal.wait_for("Dumps on this machine")
        os.kill(terminal.process_id, signal.SIGTERM)
        assert terminal.wait_for_end() == 0
        assert b"\x1b[?1049l" in terminal.output
        assert terminal.settings_now() == terminal.before
    finally:
        terminal.close()


def test_a_connection_that_is_lost_ends_it_keeps_the_place_and_leaves_no_worker(
    terminal: Terminal,
) -> None:
    terminal.wait_for("hung_task: blocked tasks")
    terminal.press("2")
    # Answered after which dump it is, without which nothing can be kept.
    terminal.wait_for("hung-task rtowner")
    workers = workers_of(terminal.process_id)
    terminal.hang_up()
    processes = [terminal.process_id, *workers]
    end = time.monotonic() + 10
    while any(map(is_running, processes)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(is_running, processes))
    (left,) = (user_state_path("kscope", appauthor=False) / "dumps").iterdir()
    assert json.loads(left.read_text())["screen"] == "log"


def test_nothing_is_sent_while_nothing_happens(terminal: Terminal) -> None:
    terminal.wait_for("hung_task: blocked tasks")
    terminal.press("2")
    terminal.wait_for("Reports")
    time.sleep(1)
    select_until_quiet(terminal)
    terminal.output = b""
    time.sleep(2)
    select_until_quiet(terminal)
    assert terminal.output == b""


def select_until_quiet(terminal: Terminal) -> None:
    while select.select([terminal._master], [], [], 0.3)[0]:
        terminal.output += os.read(terminal._master, 65536)


def test_what_is_no_dump_is_one_sentence_after_the_terminal_is_back(tmp_path: Path) -> None:
    path = tmp_path / "vmcore"
    path.write_bytes(b"")
    terminal = Terminal(str(path))
    assert terminal.wait_for_end() == 1
    last = terminal.text().strip().splitlines()[-1]
    assert "is empty" in terminal.text()
    assert "Traceback" not in terminal.text()
    assert last
    terminal.close()
