"""Runs crash command lines: one after the other, each seeing what ``set`` and ``alias`` left.

A command that kscope answers itself (a file each in ``commands``) is a Query and a rendering in
crash's layout; every other is left to drgn's crash mode. Neither knows of pipes: the
output goes into the user's pipeline or file here, on the side of the one who typed the line.
"""

import importlib
import pkgutil
import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

import msgspec

import kscope.dialect.crash.commands
from kscope.dialect import views
from kscope.dialect.crash.errors import CommandError
from kscope.dialect.crash.line import CrashLine, LineError, Word, expand, parse, quoted
from kscope.dialect.crash.nearest import refusal
from kscope.dialect.crash.user_shell import ShellOutput
from kscope.model.base import Address, Progress, Query, QueryError, Result
from kscope.model.command import CommandQuery, CommandsQuery
from kscope.model.tasks import Task, Tasks, TasksQuery

R = TypeVar("R", bound=Result)

AnsweredBy = Literal["kscope", "drgn", "shell", ""]
"""``drgn`` is its crash mode, ``shell`` the user's own; empty where there was nothing to answer."""

BUILTIN_ALIASES = {
    "man": "help", "?": "help", "quit": "q", "exit": "q", "sf": "set scroll off",
    "sn": "set scroll on", "hex": "set radix 16", "dec": "set radix 10", "px": "p -x",
    "pd": "p -d", "for": "foreach", "size": "*", "dmesg": "log", "lsmod": "mod", "last": "ps -l",
}  # fmt: skip
"""crash's own, but for gdb's ``g``."""

_SPELLINGS = {"p/x": "p -x", "p/d": "p -d"}
"""gdb's way to write options that are crash's."""

_UNKNOWN_OPTION = re.compile(r"unrecognized arguments: (-\w)")

_DEEPEST_ALIAS = 8
_LONGEST_CODE = 50_000
"""Characters. Of twenty thousand tasks, each named, it would be a megabyte, which nobody pastes."""
_LARGEST_FILE = 16 << 20


class _About(NamedTuple):
    query: Query[Any]
    result: Result
    code: str | None


_ANSWERED: ContextVar[list[_About] | None] = ContextVar("answered", default=None)
"""What the command that runs in this asyncio task is about, with the answers: others ask
meanwhile, as another line does and the completion of the next one."""


class Asker(Protocol):
    """Asks a Query, wherever it is answered."""

    async def __call__(
        self, query: Query[R], progress: Callable[[Progress], None] | None = None
    ) -> R:
        """The answer.

        :raises QueryError: if there is none.
        """


Shell = Callable[[str, tuple[str, ...], str | None], Awaitable[ShellOutput]]
"""Runs a command of the user's in their shell: the command, its ``$1`` …, its input."""


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a command line."""

    line: str
    crash: str = ""
    """The line without the reader's own aliases, which crash does not have; empty where there is
    none in it."""
    text: str
    note: str = ""
    """Where the text went, if it is not here."""
    answered_by: AnsweredBy = ""
    drgn: str = ""
    """Code that yields the same in drgn; empty where there is none."""
    error: str = ""
    """Why it failed or ended early; empty when it did not."""
    ends: bool = False
    """Whether the line was ``q``."""


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """The current task, as crash's ``set`` has it."""

    task: Address | None = None
    pid: int | None = None
    comm: str = ""
    why_none: str = ""
    """Why there is none; empty when there is one."""


class Interpreter:
    """Remembers what one reader has set."""

    def __init__(
        self,
        ask: Asker,
        shell: Shell,
        aliases: MutableMapping[str, str] | None = None,
        *,
        radix: int = 10,
    ) -> None:
        """:param aliases: the reader's own; ``alias`` changes them in place."""
        self._asker = ask
        self.aliases: MutableMapping[str, str] = {} if aliases is None else aliases
        self.radix = radix
        self.columns = 80
        self.progress: Callable[[Progress], None] | None = None
        self._shell = shell
        self._context: Context | None = None
        self._values = 0

    async def ask(self, query: Query[R], progress: Callable[[Progress], None] | None = None) -> R:
        """Ask what a command is about, and remember what was answered."""
        result = await self.look_up(query, progress)
        self.about(query, result)
        return result

    def about(self, query: Query[R], result: R, code: str | None = None) -> None:
        """Remember what a command is about, if that is less than what it looked up.

        :param code: what yields in drgn what the command shows, if the query's own does not.
        """
        if (answered := _ANSWERED.get()) is not None:
            answered.append(_About(query, result, code))

    async def look_up(
        self, query: Query[R], progress: Callable[[Progress], None] | None = None
    ) -> R:
        """Ask what a command has to know before it can ask what it is about."""
        return await self._asker(query, progress)

    # Lines.

    async def run(self, text: str) -> Output:
        """Run one line. What goes wrong is in the output; nothing is raised."""
        try:
            typed = parse(text)
            line = self.expanded(typed)
            output = await self._run(text.strip(), line)
            if typed.command not in self.aliases:
                return output
            return msgspec.structs.replace(output, crash=line.whole)
        except LineError as error:
            return Output(line=text.strip(), text="", error=f"crash: {error}")
        except CommandError as error:
            return Output(
                line=text.strip(), text=error.output, error=str(error), answered_by="kscope"
            )
        except QueryError as error:
            return Output(line=text.strip(), text="", error=str(error), answered_by="kscope")
        except OSError as error:
            name = error.filename or ""
            return Output(line=text.strip(), text="", error=f"{name}: {error.strerror or error}")

    def expanded(self, line: CrashLine) -> CrashLine:
        """The line with aliases replaced, its own before crash's built-in ones."""
        for _ in range(_DEEPEST_ALIAS):
            name = line.command
            alias = self.aliases.get(name) or BUILTIN_ALIASES.get(name) or _SPELLINGS.get(name)
            if not name or alias is None:
                return line
            line = expand(line, alias)
            if line.command == name:
                # An alias may add options to the command that it is named after.
                return line
        raise LineError(f"the alias {name} leads round in circles")

    async def _run(self, text: str, line: CrashLine) -> Output:
        if not line.words:
            if line.input_file:
                return await self._script(text, line)
            if line.shell:
                done = await self._shell(line.shell, line.shell_arguments, None)
                return Output(line=text, text=done.text, answered_by="shell", error=done.error)
            if line.output_file:
                raise LineError("there is no command before >")
            return Output(line=text, text="")
        if line.command == "q":
            return Output(line=text, text="", ends=True)
        if line.input_file:
            output = await self._for_each_line(text, line)
        else:
            output = await self._command(text, line)
        return await self._deliver(line, output)

    async def _deliver(self, line: CrashLine, output: Output) -> Output:
        """Give the output to the user's pipeline or file."""
        if line.output_file:
            path = Path(line.output_file).expanduser()
            with path.open("a" if line.append else "w", encoding="utf-8") as file:
                file.write(_ended(output.text))
            lines = len(output.text.splitlines())
            plural = "" if lines == 1 else "s"
            note = f"{lines:,} line{plural} written to {line.output_file}"
            return msgspec.structs.replace(output, text="", note=note)
        if line.shell and (output.text or not output.error):
            done = await self._shell(line.shell, line.shell_arguments, _ended(output.text))
            return msgspec.structs.replace(
                output, text=done.text, error="\n".join(filter(None, (output.error, done.error)))
            )
        return output

    async def _script(self, text: str, line: CrashLine) -> Output:
        """``< FILE``: every line of the file as if it had been typed."""
        outputs = []
        for each in _lines_of(line.input_file):
            outputs.append(await self.run(each))
            if outputs[-1].ends:
                break
        joined = _joined(text, outputs)
        return await self._deliver(line, joined)

    async def _for_each_line(self, text: str, line: CrashLine) -> Output:
        """``COMMAND < FILE``: the command once per line, whose words are only ever arguments."""
        outputs = []
        for each in _lines_of(line.input_file):
            words = tuple(quoted(word) for word in each.split())
            if words:
                once = msgspec.structs.replace(line, words=(*line.words, *words))
                outputs.append(await self._command_or_error(once))
        return _joined(text, outputs)

    async def _command_or_error(self, line: CrashLine) -> Output:
        try:
            return await self._command(line.text, line)
        except (CommandError, QueryError) as error:
            return Output(line=line.text, text="", error=str(error), answered_by="kscope")

    # Commands.

    async def _command(self, text: str, line: CrashLine) -> Output:
        if refused := refusal(line.command):
            raise CommandError(refused)
        module = find(line.command)
        if module is None and not await self._is_drgns(line.command):
            # As in crash, the name of a structure is a command that shows it.
            module = find("*")
            line = _starred(line)
        if module is not None:
            answered: list[_About] = []
            of_outer = _ANSWERED.set(answered)
            try:
                answer: str | CrashLine | None = await module.run(self, line)
            finally:
                _ANSWERED.reset(of_outer)
            if isinstance(answer, str):
                code = _drgn_code(answered)
                return Output(line=text, text=answer, answered_by="kscope", drgn=code)
            line = answer or line
        return await self.drgn(line, text=text)

    async def _is_drgns(self, name: str) -> bool:
        known = await self.look_up(CommandsQuery(), self.progress)
        return name == "drgn" or any(command.name == name for command in known.commands)

    async def drgn(self, line: CrashLine, *, text: str = "", task: Address | None = None) -> Output:
        """Leave a command to drgn's crash mode.

        :param task: the current task, if it is not that of this interpreter.
        """
        context = task if task is not None else (await self.context()).task
        query = CommandQuery(line=line.text, task=context, radix=self.radix, columns=self.columns)
        done = await self.ask(query, self.progress)
        error = done.error
        unknown = _UNKNOWN_OPTION.search(error)
        if unknown and (refused := refusal(line.command, unknown[1])):
            raise CommandError(refused)
        if error and not error.startswith(("crash:", f"{line.command}:")):
            error = f"{line.command}: {error}"
        command = f"crash {line.text}"
        code = f"from drgn.commands import run_command\n\nrun_command(prog, {command!r})\n"
        if line.command == "drgn":
            code = line.argument_text + "\n"
        return Output(
            line=text or line.text, text=done.text.rstrip("\n"), answered_by="drgn", drgn=code,
            error=error,
        )  # fmt: skip

    # State.

    async def tasks(self) -> Tasks:
        """Every task."""
        return await self.look_up(TasksQuery(), self.progress)

    async def context(self) -> Context:
        """The current task: the panic task until ``set`` names another."""
        if self._context is None:
            try:
                tasks = await self.tasks()
            except QueryError as error:
                return Context(why_none=error.sentence)
            panicked = next((task for task in tasks.tasks if task.panicked), None)
            if panicked is None:
                self._context = Context(why_none="this kernel did not panic: set PID chooses one")
            else:
                self.set_context(panicked)
            assert self._context is not None
        return self._context

    async def current_task(self, command: str) -> Address:
        """The current task, for a command that cannot do without.

        :raises CommandError: if there is none.
        """
        context = await self.context()
        if context.task is None:
            raise CommandError(f"{command}: no current task: {context.why_none}")
        return context.task

    def set_context(self, task: Task) -> None:
        """Make a task the current one."""
        self._context = Context(task=task.task, pid=task.pid, comm=task.comm or "?")

    def next_value(self) -> int:
        """The number of gdb's next ``$N``."""
        self._values += 1
        return self._values


def _drgn_code(answered: Sequence[_About]) -> str:
    """Code for all that a command asked; empty if there is none for a part of it, or too much."""
    try:
        codes = [
            views.equivalent(each.query, each.result).drgn if each.code is None else each.code
            for each in answered
        ]
    except LookupError:
        return ""
    code = "\n".join(dict.fromkeys(codes)) if all(codes) else ""
    return code if len(code) <= _LONGEST_CODE else ""


def _starred(line: CrashLine) -> CrashLine:
    """``task_struct.pid ADDRESS`` and ``*task_struct`` as the command ``*``."""
    first = line.words[0]
    name = first.text.removeprefix("*")
    words = (Word("*", "*"), Word(name, name), *line.words[1:])
    return msgspec.structs.replace(line, words=words)


def find(name: str) -> ModuleType | None:
    """The file that answers a command; ``None`` if that is drgn's."""
    module = _FILES.get(name)
    return None if module is None else importlib.import_module(module)


def answered_here() -> list[str]:
    """The commands that kscope answers itself, at least in part."""
    return sorted(_FILES)


_NAMES = {"star": "*", "print_": "p"}
"""Files that cannot bear their command's name."""

_FILES = {
    _NAMES.get(module.name, module.name): f"kscope.dialect.crash.commands.{module.name}"
    for module in pkgutil.iter_modules(kscope.dialect.crash.commands.__path__)
}


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"


def _joined(line: str, outputs: list[Output]) -> Output:
    answered: Any = next((output.answered_by for output in outputs if output.answered_by), "")
    return Output(
        line=line,
        text="\n".join(output.text for output in outputs if output.text),
        answered_by=answered,
        error="\n".join(output.error for output in outputs if output.error),
        ends=any(output.ends for output in outputs),
    )


def _lines_of(path: str) -> list[str]:
    """The lines of a file.

    :raises OSError: if it cannot be read.
    :raises CommandError: if it is no text file of a sensible size.
    """
    file = Path(path).expanduser()
    with file.open("rb") as opened:
        data = opened.read(_LARGEST_FILE + 1)
    if len(data) > _LARGEST_FILE or b"\0" in data:
        raise CommandError(f"{path} is no file of command lines or arguments")
    return data.decode("utf-8", "replace").splitlines()
