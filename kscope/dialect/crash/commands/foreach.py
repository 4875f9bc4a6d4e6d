"""``foreach``: a command for each of many tasks."""

import re
from collections import Counter
from collections.abc import Sequence

from kscope.dialect import tasks as tasks_layout
from kscope.dialect.crash.commands import bt, ps
from kscope.dialect.crash.commands import set as set_command
from kscope.dialect.crash.commands import task as task_command
from kscope.dialect.crash.errors import CommandError
from kscope.dialect.crash.interpreter import Interpreter
from kscope.dialect.crash.line import CrashLine, Word
from kscope.dialect.crash.options import parse_options
from kscope.dialect.crash.selecting import tasks_named
from kscope.model.tasks import STATES, Task

SUMMARY = "a command for each of many tasks"
USAGE = """\
foreach [pid | task | name | 'pattern' | state | kernel | user | gleader | active] ... \
command [options]
  state: RU IN UN ST TR ZO DE ID PA NE WA (or SW for IN)
  command: bt files net ps set sig task vm vtop"""

_COMMANDS = ("bt", "files", "net", "ps", "set", "sig", "task", "test", "vm", "vtop")
_STATES = {state: state for state in STATES} | {"SW": "IN"}
_TITLE = re.compile(r"PID: ")


async def run(interpreter: Interpreter, line: CrashLine) -> str | None:
    """Answer ``foreach``."""
    words = list(line.words[1:])
    at = next((i for i, w in enumerate(words) if w.text in _COMMANDS and not w.is_pattern), None)
    if at is None:
        raise CommandError(f"foreach: no keywords specified\nUsage: {USAGE}")
    every = (await interpreter.tasks()).tasks
    tasks = selected(every, words[:at])
    command, arguments = words[at].text, words[at + 1 :]
    if not tasks:
        return ""
    inner = CrashLine(words=tuple(words[at:]))
    if command == "bt":
        options, _ = parse_options(inner, "aflsxrtTdR:n:", bt.USAGE)
        if bt.leaves_out_idle(options):
            tasks = [task for task in tasks if not task.idle]
        return "\n\n".join(await bt.backtraces(interpreter, tasks, options))
    if command in ("ps", "task"):
        addresses = (Word(f"{task.task:x}", f"{task.task:x}") for task in tasks)
        run_command = ps.run if command == "ps" else task_command.run
        return await run_command(interpreter, CrashLine(words=(*inner.words, *addresses)))
    if command == "set":
        of_pid = Counter(task.pid for task in every)
        return "\n\n".join(
            f"{tasks_layout.title(task)}\n{set_command.shown(task, of_pid[task.pid])}"
            for task in tasks
        )
    return "\n\n".join([await _one(interpreter, task, command, arguments) for task in tasks])


async def _one(
    interpreter: Interpreter, task: Task, command: str, arguments: Sequence[Word]
) -> str:
    """A command with a task as the current one, under that task's title."""
    line = CrashLine(words=(Word(command, command), *arguments))
    output = await interpreter.drgn(line, task=task.task)
    text = "\n".join(filter(None, (output.text, output.error)))
    # Most of drgn's commands print it themselves.
    return text if _TITLE.match(text) else f"{tasks_layout.title(task)}\n{text}"


def selected(tasks: Sequence[Task], words: Sequence[Word]) -> list[Task]:
    """The tasks that pass: any one of the named, and all of the keywords.

    :raises CommandError: if a word means nothing.
    """
    named: dict[int, Task] = {}
    states: set[str] = set()
    keywords: set[str] = set()
    any_named = False
    for word in words:
        if not word.is_pattern and word.text in _STATES:
            states.add(_STATES[word.text])
        elif not word.is_pattern and word.text in ("kernel", "user", "gleader", "active"):
            keywords.add(word.text)
        else:
            any_named = True
            found = tasks_named(tasks, word)
            if not found and not word.is_pattern:
                raise CommandError(f'foreach: unknown argument: "{word.text}"')
            named.update((task.task, task) for task in found)
    if {"kernel", "user"} <= keywords:
        raise CommandError("foreach: user and kernel are mutually exclusive")
    chosen = [task for task in tasks if not any_named or task.task in named]
    return [
        task
        for task in chosen
        if (not states or task.state in states)
        and ("kernel" not in keywords or task.kthread is True)
        and ("user" not in keywords or task.kthread is False)
        and ("gleader" not in keywords or task.leader is True)
        and ("active" not in keywords or task.active)
    ]
