"""Runs what the user has piped a command into, in their own shell and away from the terminal.

The dashboard owns the terminal: a program that wrote to it, or waited for a key from it, would
spoil the screen or hang. So it gets neither: its output is collected, its input is the command's
output or nothing, and it has no controlling terminal, so that ``less`` or ``vi`` find none.
"""

import asyncio
import contextlib
import os
import signal
import sys

import msgspec

LARGEST_OUTPUT = 16 << 20
"""Bytes that are shown; a pipeline that writes more is stopped."""

_POSIX_SHELLS = ("sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "busybox")


class ShellOutput(msgspec.Struct, frozen=True):
    """What a pipeline printed, standard output and errors together."""

    text: str
    error: str = ""
    """Why it was stopped or how it ended, unless it ended well."""


def users_shell() -> str:
    """The user's shell, if it is one that a POSIX command line means the same to."""
    shell = os.environ.get("SHELL", "")
    return shell if os.path.basename(shell) in _POSIX_SHELLS else "/bin/sh"  # noqa: PTH119


async def run_captured(command: str, arguments: tuple[str, ...], text: str | None) -> ShellOutput:
    """Run a command and collect what it prints. Cancelling ends it and all that it started.

    :param arguments: what ``$1`` and so on are in it.
    :param text: its standard input; none at all if ``None``.
    """
    environment = dict(os.environ, TERM="dumb", PAGER="cat", GIT_PAGER="cat", MANPAGER="cat")
    process = await asyncio.create_subprocess_exec(
        users_shell(), "-c", command, "kscope", *arguments,
        stdin=asyncio.subprocess.DEVNULL if text is None else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
        start_new_session=True,
    )  # fmt: skip
    try:
        feeding = asyncio.create_task(_feed(process, text))
        printed, cut = await _read(process)
        if cut:
            _kill(process)
        await feeding
        status = await process.wait()
    except BaseException:
        _kill(process)
        with contextlib.suppress(Exception):
            await process.wait()
        raise
    from kscope.model.text import printable_lines

    shown = printable_lines(printed.removesuffix(b"\n"))
    if cut:
        return ShellOutput(shown, f"stopped after {LARGEST_OUTPUT >> 20} MB of output")
    return ShellOutput(shown, _how_it_ended(status))


async def run_attached(command: str, arguments: tuple[str, ...], text: str | None) -> ShellOutput:
    """Run a command on this process's own output, as the headless commands do."""
    sys.stdout.flush()
    process = await asyncio.create_subprocess_exec(
        users_shell(), "-c", command, "kscope", *arguments,
        stdin=None if text is None else asyncio.subprocess.PIPE,
    )  # fmt: skip
    await _feed(process, text)
    return ShellOutput("", _how_it_ended(await process.wait()))


async def _feed(process: asyncio.subprocess.Process, text: str | None) -> None:
    if text is None or process.stdin is None:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(text.encode("utf-8", "backslashreplace"))
        await process.stdin.drain()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.close()


async def _read(process: asyncio.subprocess.Process) -> tuple[bytes, bool]:
    """What it prints, and whether that was too much."""
    assert process.stdout is not None
    printed = bytearray()
    while data := await process.stdout.read(1 << 16):
        printed += data
        if len(printed) > LARGEST_OUTPUT:
            return bytes(printed[:LARGEST_OUTPUT]), True
    return bytes(printed), False


def _kill(process: asyncio.subprocess.Process) -> None:
    # Its session is its own, and so is its process group.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _how_it_ended(status: int) -> str:
    # grep says with 1 that nothing matched, which is an answer.
    if status in (0, 1, -signal.SIGPIPE, 128 + signal.SIGPIPE):
        return ""
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"
