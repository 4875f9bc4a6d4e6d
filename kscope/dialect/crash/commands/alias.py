"""``alias``: saved command lines."""

from kscope.dialect.crash.errors import CommandError
from kscope.dialect.crash.interpreter import BUILTIN_ALIASES, Interpreter, answered_here
from kscope.dialect.crash.line import CrashLine, LineError, parse

SUMMARY = "saved command lines"
USAGE = """\
alias [name ['line']]
  the line may have pipes and redirections; $1 to $9 and $* are the arguments
  alias name "" forgets it"""


async def run(interpreter: Interpreter, line: CrashLine) -> str | None:
    """Answer ``alias``."""
    words = line.words[1:]
    if not words:
        return _table(interpreter)
    name = words[0].text
    if len(words) == 1:
        if name not in interpreter.aliases and name not in BUILTIN_ALIASES:
            raise CommandError(f"alias: {name} does not exist")
        return _table(interpreter, name)
    saved = words[1].text if len(words) == 2 else " ".join(word.raw for word in words[1:])
    if not saved:
        if name not in interpreter.aliases:
            raise CommandError(f"alias: {name} does not exist")
        del interpreter.aliases[name]
        return f"alias deleted: {name}"
    if not name.replace("-", "_").isidentifier():
        raise CommandError(f"alias: invalid name: {name}")
    if name in (*answered_here(), "q"):
        raise CommandError(f"alias: cannot alias existing command name: {name}")
    try:
        parse(saved)
    except LineError as error:
        raise CommandError(f"alias: {error}") from error
    interpreter.aliases[name] = saved
    return _table(interpreter, name)


def _table(interpreter: Interpreter, only: str = "") -> str:
    rows = [("builtin", name, text) for name, text in BUILTIN_ALIASES.items()]
    rows += [("saved", name, text) for name, text in interpreter.aliases.items()]
    rows = [row for row in rows if not only or row[1] == only]
    width = max((len(name) for _, name, _ in rows), default=0)
    width = max(width, 5)
    return "\n".join(
        f"{origin:<7}  {name:<{width}}  {text}"
        for origin, name, text in [("ORIGIN", "ALIAS", "COMMAND"), *rows]
    )
