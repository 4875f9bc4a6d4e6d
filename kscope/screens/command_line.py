"""The crash command line of the dashboard: one for all screens, with its outputs and history."""

import asyncio
import contextlib
from collections.abc import Callable, MutableMapping
from pathlib import Path

import platformdirs

from kscope.dialect.crash.interpreter import Asker, Context, Interpreter, Output
from kscope.dialect.crash.user_shell import run_captured
from kscope.files import locked, replace_file
from kscope.model.base import Address, Progress

_MOST_OUTPUTS = 100
_MOST_LINES = 1000


def history_file() -> Path:
    """Where the lines that were typed are kept."""
    return Path(platformdirs.user_state_dir("kscope", appauthor=False), "history")


class CommandLine:
    """Runs lines, one at a time."""

    def __init__(
        self, ask: Asker, aliases: MutableMapping[str, str] | None = None, *, radix: int = 10
    ) -> None:
        self.interpreter = Interpreter(ask, run_captured, aliases, radix=radix)
        self.outputs: list[Output] = []
        """What was run, the last at the end."""
        self.lines: list[str] = _read_history()
        """What was typed, this time and before."""
        self._running: asyncio.Task[Output] | None = None

    @property
    def is_running(self) -> bool:
        """Whether a command is being run."""
        return self._running is not None and not self._running.done()

    async def run(self, line: str, progress: Callable[[Progress], None]) -> Output | None:
        """Run a line; ``None`` if it was cancelled."""
        self.cancel()
        self._remember(line)
        self.interpreter.progress = progress
        running = self._running = asyncio.create_task(self.interpreter.run(line))
        try:
            output = await running
        except asyncio.CancelledError:
            if not running.cancelled():
                running.cancel()
            return None
        finally:
            # What others ask of the interpreter is no progress of this line.
            if self.interpreter.progress is progress:
                self.interpreter.progress = None
        self.outputs.append(output)
        del self.outputs[:-_MOST_OUTPUTS]
        return output

    def cancel(self) -> bool:
        """Cancel what runs. Returns whether anything did."""
        if self._running is None or self._running.done():
            return False
        return self._running.cancel()

    async def context(self) -> Context:
        """The current task."""
        return await self.interpreter.context()

    async def set_context(self, task: Address) -> Context | None:
        """Make a task the current one; ``None`` if there is no such task."""
        tasks = await self.interpreter.tasks()
        found = next((each for each in tasks.tasks if each.task == task), None)
        if found is None:
            return None
        self.interpreter.set_context(found)
        return await self.interpreter.context()

    def _remember(self, line: str) -> None:
        if self.lines and self.lines[-1] == line:
            return
        self.lines.append(line)
        del self.lines[:-_MOST_LINES]
        with contextlib.suppress(OSError), locked(history_file()):
            # Another kscope may have added lines of its own.
            lines = [*_read_history(), line][-_MOST_LINES:]
            text = "".join(f"{each}\n" for each in lines)
            replace_file(history_file(), text.encode("utf-8", "backslashreplace"))


def _read_history() -> list[str]:
    try:
        return history_file().read_text("utf-8", "replace").splitlines()[-_MOST_LINES:]
    except OSError:
        return []
