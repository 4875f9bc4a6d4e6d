"""Getting text out of a terminal that may be three hops away.

No route reports success. tmux and the terminal are asked and never answer, so the result says by
which route the text was *sent*. Whatever becomes of that, the text is also in a file whose path
is shown: the yank file, from which ``cat`` always works.

What tmux 3.3 does with a copy (measured):

===================== ============== ============== =====================
``set-clipboard``      bare OSC 52    in DCS         ``load-buffer -w``
===================== ============== ============== =====================
external (default)     dropped        dropped        reaches the terminal
on                     passed on      dropped        reaches the terminal
off                    dropped        dropped        tmux's buffer only
===================== ============== ============== =====================

So inside tmux it is always ``load-buffer -w``. Elsewhere it is the escape sequence OSC 52, in
GNU screen wrapped in DCS strings that it hands on to the terminal.
"""

from __future__ import annotations

import base64
import contextlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import platformdirs

OSC_52_LIMIT = 74_994
"""Bytes of text that one OSC 52 may carry: base64 makes 99,992 of them, and several terminals
drop a sequence of more than 100,000."""

SCREEN_CHUNK = 512
"""Bytes per DCS string, which GNU screen collects in a buffer of fixed size."""

TMUX_SECONDS = 2.0
"""How long tmux may take: its server can be stopped, and must not stop the dashboard."""

Route: TypeAlias = Literal["tmux", "OSC 52", "OSC 52 through GNU screen", "the local clipboard"]


@dataclass(frozen=True)
class Copied:
    """What was done with a text."""

    routes: tuple[Route, ...]
    """By which it was sent. Empty when only the yank file has it."""

    file: Path | None
    """The yank file; ``None`` when it could not be written."""

    notes: tuple[str, ...] = ()
    """What was left out, and what may be in the way."""

    @property
    def message(self) -> str:
        """One line for the user."""
        if self.routes:
            said = "sent by " + " and ".join(self.routes)
        elif self.file is not None:
            said = "not sent: no clipboard can be reached"
        else:
            said = "nothing could take the text"
        parts = [said, *self.notes]
        if self.file is not None:
            parts.append(f"also in {self.file}" if self.routes else f"it is in {self.file}")
        return "; ".join(parts)


def copy(
    text: str,
    write_to_terminal: Callable[[str], None] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    yank_file: Path | None = None,
) -> Copied:
    """Send ``text`` to the clipboard of whoever sits at the terminal. Never raises.

    :param write_to_terminal: writes an escape sequence to the terminal between two frames;
        ``None`` when there is no terminal.
    :param yank_file: by default the first of :func:`yank_file_paths` that can be written.
    """
    environment = os.environ if environment is None else environment
    notes: list[str] = []
    file = _write_yank_file(text, [yank_file] if yank_file else yank_file_paths(environment), notes)
    routes: list[Route] = []
    if environment.get("TMUX"):
        if _send_by_tmux(text, environment, notes):
            routes.append("tmux")
    elif write_to_terminal is not None and _send_by_terminal(
        text, write_to_terminal, environment, notes
    ):
        through_screen = _inside_screen(environment)
        routes.append("OSC 52 through GNU screen" if through_screen else "OSC 52")
    if _is_local(environment) and _send_by_pyperclip(text):
        routes.append("the local clipboard")
    return Copied(tuple(routes), file, tuple(notes))


def yank_file_paths(environment: Mapping[str, str]) -> list[Path]:
    """Where the copied text may lie: in memory for this login if there is such a place.

    After ``su`` the place named is another user's, and memory may be full: then in the home.
    """
    runtime = environment.get("XDG_RUNTIME_DIR", "")
    in_home = Path(platformdirs.user_data_dir("kscope", appauthor=False), "yank.txt")
    with contextlib.suppress(OSError):
        if runtime and Path(runtime).is_dir():
            return [Path(runtime, "kscope", "yank.txt"), in_home]
    return [in_home]


def _write_yank_file(text: str, paths: list[Path], notes: list[str]) -> Path | None:
    """Put the text into the first of the files that takes it."""
    failed: list[str] = []
    for path in paths:
        try:
            _replace_yank_file(path, text)
        except OSError as error:
            failed.append(f"no file: {error.strerror or error}")
        else:
            return path
    notes += failed[-1:]
    return None


def _replace_yank_file(path: Path, text: str) -> None:
    """Replace the yank file at once. It may hold memory of a kernel: nobody else may read it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp makes it with mode 0600 and never follows a link that somebody put there.
    descriptor, temporary = tempfile.mkstemp(prefix=".yank-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(_bytes(text))
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _send_by_tmux(text: str, environment: Mapping[str, str], notes: list[str]) -> bool:
    if not _tmux(environment, "load-buffer", "-w", "-", text=text)[0]:
        # -w is new in tmux 3.2.
        if not _tmux(environment, "load-buffer", "-", text=text)[0]:
            notes.append("tmux did not take it")
            return False
        notes.append("this tmux keeps it in its own buffer")
        return True
    if len(_bytes(text)) > OSC_52_LIMIT:
        notes.append("longer than many terminals take, whole in tmux's buffer")
    _, terminal = _tmux(environment, "display-message", "-p", "#{client_termname}")
    if terminal.startswith(("tmux", "screen")):
        notes.append("around this tmux is another, which passes it on with set-clipboard on")
    return True


def _tmux(environment: Mapping[str, str], *arguments: str, text: str = "") -> tuple[bool, str]:
    try:
        done = subprocess.run(
            ["tmux", *arguments],
            input=_bytes(text),
            capture_output=True,
            check=False,
            timeout=TMUX_SECONDS,
            env=dict(environment),
        )
    except (OSError, subprocess.SubprocessError):
        return False, ""
    return done.returncode == 0, done.stdout.decode("utf-8", "replace").strip()


def _inside_screen(environment: Mapping[str, str]) -> bool:
    return bool(environment.get("STY"))


def _send_by_terminal(
    text: str,
    write_to_terminal: Callable[[str], None],
    environment: Mapping[str, str],
    notes: list[str],
) -> bool:
    raw = _bytes(text)
    kept = _whole_characters(raw, OSC_52_LIMIT)
    if len(kept) < len(raw):
        notes.append(f"only the first {len(kept):,} of {len(raw):,} bytes")
    sequence = f"\x1b]52;c;{base64.b64encode(kept).decode()}\x07"
    if _inside_screen(environment):
        sequence = _through_screen(sequence)
    try:
        write_to_terminal(sequence)
    except Exception:  # whatever the terminal's driver raises, copying is not worth a crash
        notes.append("the terminal could not be written to")
        return False
    return True


def _whole_characters(raw: bytes, limit: int) -> bytes:
    """At most ``limit`` bytes, without a part of a character at the end."""
    return raw if len(raw) <= limit else raw[:limit].decode("utf-8", "ignore").encode()


def _through_screen(sequence: str) -> str:
    """The sequence in DCS strings, which GNU screen hands to the terminal without looking."""
    chunks = (sequence[i : i + SCREEN_CHUNK] for i in range(0, len(sequence), SCREEN_CHUNK))
    return "".join(f"\x1bP{chunk}\x1b\\" for chunk in chunks)


def _is_local(environment: Mapping[str, str]) -> bool:
    """Whether the clipboard of this machine is the one of whoever sits at the terminal."""
    if environment.get("SSH_CONNECTION") or environment.get("SSH_TTY"):
        return False
    return bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def _send_by_pyperclip(text: str) -> bool:
    try:
        import pyperclip  # 50 ms, and of no use over SSH

        pyperclip.copy(text)
    except Exception:  # PyperclipException, and whatever the programs it starts cause
        return False
    return True
