"""``help``: the commands, and one of them."""

from kscope.dialect.crash.interpreter import (
    BUILTIN_ALIASES,
    Interpreter,
    answered_here,
    find,
)
from kscope.dialect.crash.line import CrashLine, Word
from kscope.model.command import CommandsQuery

SUMMARY = "the commands, and one of them"
USAGE = "help [command]"


async def run(interpreter: Interpreter, line: CrashLine) -> str | None:
    """Answer ``help``."""
    if len(line.words) == 1:
        return await _all(interpreter)
    name = line.words[1].text
    name = BUILTIN_ALIASES.get(name, name).partition(" ")[0]
    if name in interpreter.aliases:
        return f"{name} is an alias: {interpreter.aliases[name]}"
    module = find(name)
    if module is None:
        return None
    help_: str = f"NAME\n  {name} - {module.SUMMARY}\n\nSYNOPSIS\n  " + module.USAGE.replace(
        "\n", "\n  "
    )
    known = await interpreter.look_up(CommandsQuery(), interpreter.progress)
    if not any(command.name == name for command in known.commands):
        return help_
    theirs = CrashLine(words=(Word("help", "help"), Word(name, name)))
    output = await interpreter.drgn(theirs)
    return f"{help_}\n\nOther options are left to drgn's crash mode:\n\n{output.text}"


async def _all(interpreter: Interpreter) -> str:
    known = await interpreter.look_up(CommandsQuery(), interpreter.progress)
    here = answered_here()
    rows = []
    for name in here:
        module = find(name)
        assert module is not None
        rows.append((name, module.SUMMARY))
    rows.append(("q", "ends"))
    theirs = [(c.name, c.description) for c in known.commands if c.name not in here]
    width = max(len(name) for name, _ in (*rows, *theirs))

    def table(listed: list[tuple[str, str]]) -> str:
        return "\n".join(f"  {name:<{width}}  {summary}" for name, summary in sorted(listed))

    saved = "".join(f"  {name:<{width}}  {text}\n" for name, text in interpreter.aliases.items())
    return (
        f"Answered by kscope:\n{table(rows)}\n\n"
        f"Answered by drgn's crash mode:\n{table(theirs)}\n\n"
        + (f"Saved:\n{saved}\n" if saved else "")
        + "A line may end in | PIPELINE, > FILE or >> FILE; < FILE after a command runs it once\n"
        "for each line of the file. ! COMMAND is your shell's. help COMMAND says more."
    )
