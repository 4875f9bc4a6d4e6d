"""Runs one command of drgn's crash mode and returns what it prints.

The only place that knows drgn's crash mode: its package has a private name and has moved before
(drgn commit 27986782, in v0.1.0). Its commands print, and left alone they would start a pager, a
shell for what follows a ``|``, or an interactive interpreter. None of that happens here: the
command is parsed by itself, refused if it has a pipeline or a redirection, and run with what it
prints collected.
"""

import contextlib
import io
import os
from collections.abc import Iterator

from drgn import Object, Program
from drgn.commands import (
    CommandArgumentError,
    CommandError,
    CommandNamespace,
    CommandNotFoundError,
    parse_shell_command,
)

from kscope.kernel.access.reading import READ_ERRORS, reason
from kscope.model.base import Address, QueryError
from kscope.model.command import Command, CommandOutput, CommandQuery, Commands, CommandsQuery
from kscope.model.text import printable, printable_lines
from kscope.target.drgn_helpers import import_all
from kscope.target.target import Target

_REFUSED = ("sh", "!", "q", "exit", "quit")
"""What starts a shell or ends the interpreter; the one who typed it has handled it."""


def command(target: Target, query: CommandQuery) -> CommandOutput:
    """Answer a CommandQuery."""
    namespace = _namespace()
    _refuse_pipes(query.line)
    printed = io.StringIO()
    error = ""
    name, _, code = query.line.strip().partition(" ")
    with _settings(target.program, query), _printing_to(printed):
        try:
            if name == "drgn":
                _run_python(target.program, code)
            else:
                # drgn's run() is also what finds the type in a line that names only a type.
                namespace.run(target.program, query.line, globals={})
        except SystemExit:
            error = "this ends an interactive drgn, which this is not"
        except (CommandError, SyntaxError) as failure:
            error = _message(failure)
        except READ_ERRORS as failure:
            error = reason(failure)
        except Exception as failure:  # whatever a command of drgn's raises is its answer
            error = f"{type(failure).__name__}: {printable(str(failure))}"
    return CommandOutput(text=printable_lines(printed.getvalue()), error=error)


def commands(target: Target, query: CommandsQuery) -> Commands:  # noqa: ARG001
    """Answer a CommandsQuery."""
    found = sorted(_namespace().enabled(target.program), key=lambda item: item[0])
    return Commands(
        commands=tuple(
            Command(name, printable(command.description()))
            for name, command in found
            if name not in _REFUSED
        )
    )


def _namespace() -> CommandNamespace:
    import drgn.commands._crash  # registers the commands  # noqa: F401
    from drgn.commands._crash.common import CRASH_COMMAND_NAMESPACE

    return CRASH_COMMAND_NAMESPACE


def _refuse_pipes(line: str) -> None:
    """Refuse what is not one plain command.

    :raises QueryError: if drgn would start another program or open a file for it.
    """
    words = line.split(None, 1)
    if not words or words[0] in _REFUSED or line.lstrip().startswith(("!", "|")):
        raise QueryError("This is no command of drgn's crash mode.")
    if words[0] == "drgn":
        if len(words) == 1:
            raise QueryError(
                "An interactive drgn needs a terminal of its own.",
                "drgn CODE runs one piece of Python.",
            )
        return
    try:
        parsed = parse_shell_command(words[1] if len(words) > 1 else "")
    except SyntaxError as error:
        raise QueryError(f"{words[0]}: syntax error: {printable(str(error))}") from error
    if parsed.pipeline is not None or parsed.redirections:
        raise QueryError(f"{words[0]}: a pipe or redirection cannot be part of the command.")


def _run_python(program: Program, code: str) -> None:
    """``drgn CODE``; drgn's own would take what follows a ``#`` and a ``|`` for a pipeline."""
    from drgn.cli import default_globals

    import_all()
    exec(compile(code, "drgn", "single"), dict(default_globals(program)))


@contextlib.contextmanager
def _settings(program: Program, query: CommandQuery) -> Iterator[None]:
    """The current task and radix of the one who asks, in place of drgn's own."""
    config = program.config
    # No pager.
    config["crash_scroll"] = False
    config["crash_radix"] = query.radix
    config.pop("crash_context", None)
    config.pop("crash_context_origin", None)
    if query.task is not None:
        config["crash_context"] = _task(program, query.task)
        config["crash_context_origin"] = ("task", int(query.task))
    columns = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(query.columns)
    try:
        yield
    finally:
        if columns is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = columns


def _task(program: Program, address: Address) -> Object:
    return Object(program, "struct task_struct *", int(address))


@contextlib.contextmanager
def _printing_to(printed: io.StringIO) -> Iterator[None]:
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        yield


def _message(error: Exception) -> str:
    if isinstance(error, CommandNotFoundError):
        return f"crash: command not found: {printable(error.name)}"
    text = printable_lines(str(error))
    if isinstance(error, SyntaxError):
        return f"syntax error: {text}"
    if isinstance(error, CommandArgumentError) and not text:
        # argparse has printed its usage and said why.
        return "the arguments are not understood"
    return text


ANSWERS = {CommandQuery: command, CommandsQuery: commands}
