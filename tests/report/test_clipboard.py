"""Copying, against a real tmux and a real GNU screen."""

from __future__ import annotations

import base64
import fcntl
import os
import pty
import re
import select
import shutil
import stat
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kscope.report.clipboard import OSC_52_LIMIT, Copied, copy, yank_file_paths

OSC_52 = re.compile(rb"\x1b\]52;[a-z]*;([A-Za-z0-9+/=]*)(?:\x07|\x1b\\)")

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
needs_screen = pytest.mark.skipif(shutil.which("screen") is None, reason="screen is not installed")

BARE = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}


class Terminal:
    """A terminal of ours that a program runs in."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], command, environment)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.seen = b""

    def read_until(self, found: Callable[[bytes], bool], seconds: float = 10) -> bool:
        """Collect what the program writes until that is ``found`` in it."""
        end = time.monotonic() + seconds
        while not found(self.seen) and time.monotonic() < end:
            if select.select([self.master], [], [], 0.05)[0]:
                try:
                    self.seen += os.read(self.master, 65536)
                except OSError:
                    break
        return found(self.seen)

    def clipboard(self) -> bytes:
        """What the terminal was asked to put into its clipboard."""
        self.read_until(lambda seen: OSC_52.search(seen) is not None)
        asked = OSC_52.findall(self.seen)
        return base64.b64decode(asked[-1]) if asked else b""

    def close(self) -> None:
        os.close(self.master)
        os.waitpid(self.pid, 0)


@pytest.fixture
def tmux_directory(tmp_path: Path) -> Iterator[Path]:
    """Where the sockets of this test's tmux servers lie; the servers end with the test."""
    yield tmp_path
    for socket in (tmp_path / f"tmux-{os.getuid()}").glob("*"):
        subprocess.run(["tmux", "-S", str(socket), "kill-server"], check=False, capture_output=True)


class Tmux:
    """A tmux server with one session."""

    def __init__(self, directory: Path, name: str, command: str | None = "sleep 60") -> None:
        """:param command: what runs in it; ``None`` when somebody else starts the server."""
        self.environment = {**BARE, "TMUX_TMPDIR": str(directory), "TERM": "xterm-256color"}
        self._name = name
        if command is not None:
            self.run("new-session", "-d", "-x", "80", "-y", "24", command)

    def run(self, *arguments: str) -> str:
        return subprocess.run(
            ["tmux", "-L", self._name, "-f", "/dev/null", *arguments],
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def inside(self) -> dict[str, str]:
        """The environment of a program in the session."""
        return {
            **self.environment,
            "TMUX": self.run("display", "-p", "#{socket_path},#{pid},0").strip(),
        }

    def buffer(self) -> str:
        return subprocess.run(
            ["tmux", "-L", self._name, "show-buffer"],
            env=self.environment,
            check=False,
            capture_output=True,
            text=True,
        ).stdout

    def attach(self) -> Terminal:
        terminal = Terminal(
            ["tmux", "-L", self._name, "attach"], {**self.environment, "TERM": "xterm-256color"}
        )
        assert terminal.read_until(lambda seen: b"\x1b[" in seen)
        wait_for(lambda: bool(self.run("list-clients")))
        return terminal


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)


def copy_bare(text: str, tmp_path: Path, **environment: str) -> tuple[Copied, str]:
    written: list[str] = []
    copied = copy(
        text, written.append, environment={**BARE, **environment}, yank_file=tmp_path / "yank.txt"
    )
    return copied, "".join(written)


@needs_tmux
def test_inside_tmux_the_text_reaches_the_terminal_with_tmux_as_it_comes(
    tmux_directory: Path,
) -> None:
    tmux = Tmux(tmux_directory, "plain")
    terminal = tmux.attach()
    copied = copy(
        "ps -m | grep UN", environment=tmux.inside(), yank_file=tmux_directory / "yank.txt"
    )
    assert copied.routes == ("tmux",)
    assert copied.notes == ()
    assert terminal.clipboard() == b"ps -m | grep UN"
    assert tmux.buffer() == "ps -m | grep UN"
    terminal.close()


@needs_tmux
def test_with_the_clipboard_off_tmux_still_has_the_text_in_its_buffer(
    tmux_directory: Path,
) -> None:
    tmux = Tmux(tmux_directory, "off")
    tmux.run("set", "-g", "set-clipboard", "off")
    copy("bt -c 2", environment=tmux.inside(), yank_file=tmux_directory / "yank.txt")
    assert tmux.buffer() == "bt -c 2"


@needs_tmux
def test_in_nested_tmux_the_outer_one_passes_it_on_when_set_to(tmux_directory: Path) -> None:
    inner_command = "env -u TMUX tmux -L inner -f /dev/null new-session sleep 60"
    outer = Tmux(tmux_directory, "outer", inner_command)
    outer.run("set", "-g", "set-clipboard", "on")
    terminal = outer.attach()
    inner = Tmux(tmux_directory, "inner", command=None)
    wait_for((tmux_directory / f"tmux-{os.getuid()}" / "inner").exists)
    wait_for(lambda: bool(inner.run("list-clients")))
    copied = copy("sys -i", environment=inner.inside(), yank_file=tmux_directory / "yank.txt")
    assert copied.routes == ("tmux",)
    assert any("another" in note for note in copied.notes)
    assert terminal.clipboard() == b"sys -i"
    assert outer.buffer() == "sys -i"
    terminal.close()


@needs_tmux
def test_a_tmux_that_is_gone_is_said_and_the_file_has_the_text(tmp_path: Path) -> None:
    copied, written = copy_bare("x", tmp_path, TMUX="/nonexistent/socket,1,0")
    assert copied.routes == ()
    assert written == ""
    assert copied.message == (
        f"not sent: no clipboard can be reached; tmux did not take it; it is in {tmp_path}/yank.txt"
    )


def test_without_tmux_the_terminal_gets_the_escape_sequence(tmp_path: Path) -> None:
    copied, written = copy_bare("naïve\n", tmp_path, SSH_TTY="/dev/pts/1")
    assert copied.routes == ("OSC 52",)
    encoded = base64.b64encode("naïve\n".encode()).decode()
    assert written == f"\x1b]52;c;{encoded}\x07"


@needs_screen
def test_gnu_screen_hands_a_long_text_to_the_terminal_whole(tmp_path: Path) -> None:
    text = "".join(f"line {n} of a long backtrace\n" for n in range(200))
    source = tmp_path / "text"
    source.write_text(text)
    program = tmp_path / "program.py"
    program.write_text(
        "import sys, pathlib, time\n"
        "from kscope.report.clipboard import copy\n"
        f"text = pathlib.Path({str(source)!r}).read_text()\n"
        "def write(sequence):\n"
        "    sys.stdout.write(sequence)\n"
        "    sys.stdout.flush()\n"
        f"copied = copy(text, write, yank_file=pathlib.Path({str(tmp_path / 'yank')!r}))\n"
        f"routes = pathlib.Path({str(tmp_path / 'routes.new')!r})\n"
        "routes.write_text(repr(copied.routes))\n"
        "routes.rename(routes.with_suffix(''))\n"
        "time.sleep(30)\n"
    )
    sockets = tmp_path / "screens"
    sockets.mkdir(mode=0o700)
    environment = {
        **BARE,
        "SCREENDIR": str(sockets),
        "TERM": "xterm",
        "HOME": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(sys.path),
        "LC_ALL": "C.UTF-8",
    }
    terminal = Terminal(
        ["screen", "-c", "/dev/null", "-S", "copying", sys.executable, str(program)], environment
    )
    try:
        assert terminal.clipboard() == text.encode()
        wait_for((tmp_path / "routes").exists)
        assert (tmp_path / "routes").read_text() == "('OSC 52 through GNU screen',)"
    finally:
        subprocess.run(
            ["screen", "-S", "copying", "-X", "quit"],
            env=environment,
            check=False,
            capture_output=True,
        )
        terminal.close()


def test_too_long_a_text_is_cut_at_a_whole_character_and_that_is_said(tmp_path: Path) -> None:
    text = "é" * OSC_52_LIMIT
    copied, written = copy_bare(text, tmp_path)
    sent = base64.b64decode(written.split(";")[2].removesuffix("\x07"))
    assert len(sent) == OSC_52_LIMIT
    assert sent.decode() == "é" * (OSC_52_LIMIT // 2)
    assert copied.notes == (f"only the first {OSC_52_LIMIT:,} of {2 * OSC_52_LIMIT:,} bytes",)
    assert (tmp_path / "yank.txt").read_text() == text


def test_the_message_says_sent_and_never_copied(tmp_path: Path) -> None:
    copied, _ = copy_bare("x", tmp_path)
    assert copied.message == f"sent by OSC 52; also in {tmp_path}/yank.txt"


def test_only_its_owner_can_read_the_yank_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "yank.txt"
    copy("secret", environment=BARE, yank_file=path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_link_in_place_of_the_yank_file_is_replaced_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (tmp_path / "yank.txt").symlink_to(victim)
    copy_bare("x", tmp_path)
    assert victim.read_text() == "untouched"
    assert not (tmp_path / "yank.txt").is_symlink()


def test_no_way_at_all_is_a_message_not_an_error(tmp_path: Path) -> None:
    blocked = tmp_path / "a-file"
    blocked.write_text("")
    copied = copy("x", None, environment=BARE, yank_file=blocked / "yank.txt")
    assert copied.message.startswith("nothing could take the text; no file: ")


def test_a_terminal_that_cannot_be_written_to_is_a_message_not_an_error(tmp_path: Path) -> None:
    def broken(_sequence: str) -> None:
        raise BrokenPipeError

    copied = copy("x", broken, environment=BARE, yank_file=tmp_path / "yank.txt")
    assert copied.routes == ()
    assert "the terminal could not be written to" in copied.message


def test_a_lone_surrogate_does_not_stop_a_copy(tmp_path: Path) -> None:
    copied, _ = copy_bare("a\udcffb", tmp_path)
    assert copied.file is not None
    assert copied.file.read_bytes() == b"a\\udcffb"


def test_the_yank_file_lies_in_the_login_s_own_memory_or_else_in_the_home(tmp_path: Path) -> None:
    assert (
        yank_file_paths({"XDG_RUNTIME_DIR": str(tmp_path)})[0] == tmp_path / "kscope" / "yank.txt"
    )
    (elsewhere,) = yank_file_paths({"XDG_RUNTIME_DIR": "/nonexistent"})
    assert elsewhere.parts[-2:] == ("kscope", "yank.txt")
    assert not elsewhere.is_relative_to("/nonexistent")


def test_where_memory_for_the_login_takes_no_text_it_lies_in_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after ``su``, when the place named is another user's."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "kscope").write_text("not a directory that anything can be put into")
    copied = copy("text", environment={"XDG_RUNTIME_DIR": str(tmp_path)})
    assert copied.file == tmp_path / "data" / "kscope" / "yank.txt"
    assert copied.file.read_text() == "text"


def test_over_ssh_the_clipboard_of_the_far_machine_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyperclip

    taken: list[str] = []
    monkeypatch.setattr(pyperclip, "copy", taken.append)
    far, _ = copy_bare("x", tmp_path, DISPLAY=":10", SSH_CONNECTION="10.0.0.1 5 10.0.0.2 22")
    assert far.routes == ("OSC 52",)
    assert taken == []
    near, _ = copy_bare("x", tmp_path, DISPLAY=":0")
    assert near.routes == ("OSC 52", "the local clipboard")
    assert taken == ["x"]


def test_textual_is_not_needed_to_copy() -> None:
    code = "import sys, kscope.report.clipboard; sys.exit('textual' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
