"""``task``: a task's ``task_struct``."""

from kscope.dialect import struct as layout
from kscope.dialect import tasks as tasks_layout
from kscope.dialect.crash.errors import CommandError
from kscope.dialect.crash.interpreter import Interpreter
from kscope.dialect.crash.line import CrashLine
from kscope.dialect.crash.options import parse_options
from kscope.dialect.crash.selecting import tasks_numbered
from kscope.model.base import QueryError
from kscope.model.struct import StructQuery
from kscope.model.tasks import Task

SUMMARY = "a task's task_struct"
USAGE = """\
task [-R member[,member]] [-x | -d] [pid | task] ...
  -R only these members  -x, -d numbers in hexadecimal or decimal"""


async def run(interpreter: Interpreter, line: CrashLine) -> str | None:
    """Answer ``task``."""
    options, words = parse_options(line, "R:xd", USAGE)
    tasks = (await interpreter.tasks()).tasks
    names = [word.text for word in words]
    if not names:
        names = [f"{await interpreter.current_task('task'):x}"]
    chosen: list[Task] = []
    for name in names:
        found = tasks_numbered(tasks, name)
        if not found:
            raise CommandError(f"task: invalid task or pid value: {name}")
        chosen += found[:1]
    radix = 16 if "-x" in options else 10 if "-d" in options else interpreter.radix
    members = [name for name in options.get("-R", "").split(",") if name] or [""]
    blocks = []
    for task in chosen:
        shown = [await _shown(interpreter, task, member, radix) for member in members]
        blocks.append("\n".join([tasks_layout.title(task), *shown]))
    return "\n\n".join(blocks)


async def _shown(interpreter: Interpreter, task: Task, member: str, radix: int) -> str:
    """One member, or all there is of the task_struct and the thread_info in it."""
    found = []
    why = "not a task_struct or thread_info member"
    # thread_info is the first member of task_struct where CONFIG_THREAD_INFO_IN_TASK is set.
    for type_ in ("struct task_struct", "struct thread_info"):
        query = StructQuery(type=type_, address=f"{task.task:#x}", members=member)
        try:
            structure = await interpreter.ask(query, interpreter.progress)
        except QueryError as error:
            if not member:
                raise CommandError(f"task: {error}") from error
            if error.kind != "bad-query":
                why = str(error)
            continue
        found.append(
            layout.text(query, layout.in_hexadecimal(structure) if radix == 16 else structure)
        )
    if not found:
        return f"task: {member}: {why}"
    return ("\n" if member else "\n\n").join(found)
