"""``ps``: tasks."""

from collections.abc import Sequence
from itertools import chain

import msgspec

from kscope.dialect import tasks as layout
from kscope.dialect.crash.errors import CommandError
from kscope.dialect.crash.interpreter import Interpreter
from kscope.dialect.crash.line import CrashLine, Word
from kscope.dialect.crash.options import parse_options
from kscope.dialect.crash.selecting import tasks_named
from kscope.dialect.crash.writing import written
from kscope.model.tasks import Task, TasksQuery, parse_cpus

SUMMARY = "tasks, their states, and when they last ran"
USAGE = """\
ps [-k|-u|-G|-y policy] [-m [-C cpu]|-S|-A|-H] [pid | task | command] ...
  -k kernel threads  -u user tasks  -G thread group leaders  -y FIFO  by scheduling policy
  -m by the time since they last got on a CPU  -C with -m: by CPU  -S a count of each state
  -A only the current task of each CPU  -H without the header"""

_LEFT_TO_DRGN = frozenset(["-s", "-p", "-c", "-t", "-l", "-a", "-g", "-r"])


async def run(interpreter: Interpreter, line: CrashLine) -> str | None:
    """Answer ``ps``."""
    options, words = parse_options(line, "kuGsmSAHlpctargC:y:", USAGE)
    if _LEFT_TO_DRGN & options.keys():
        return None
    query = TasksQuery(
        kthreads="-k" in options,
        user="-u" in options,
        leaders="-G" in options,
        policy=options.get("-y", ""),
    )
    answer = await interpreter.look_up(query, interpreter.progress)
    tasks: Sequence[Task] = answer.tasks
    if words:
        tasks = _named(tasks, words)
    if "-A" in options:
        tasks = [task for task in tasks if task.active]
    if "-S" in options:
        return _counts(tasks)
    if len(tasks) < len(answer.tasks):
        query = msgspec.structs.replace(query, only=",".join(map(layout.crash_name, tasks)))
    cpus: Sequence[int] | None = None
    if "-m" in options:
        query = msgspec.structs.replace(query, sort="time", reverse=True)
        if "-C" in options:
            cpus = _cpus(options["-C"], tasks, words)
            query = msgspec.structs.replace(query, cpu=",".join(map(str, cpus)))
    if tasks:
        # To name none would mean all of them.
        interpreter.about(query, answer)
    if "-m" in options:
        return await _by_time(tasks, cpus)
    rows = (layout.line(task, answer.physical_memory_bytes) for task in tasks)
    return await written(rows if "-H" in options else chain([layout.HEADER], rows))


def _cpus(wanted: str, tasks: Sequence[Task], words: Sequence[Word]) -> list[int]:
    if words:
        raise CommandError("ps: -C option is not applicable with specified tasks")
    if wanted in ("a", "all"):
        return sorted({task.cpu for task in tasks if task.cpu is not None})
    return sorted(parse_cpus(wanted))


async def _by_time(tasks: Sequence[Task], cpus: Sequence[int] | None) -> str:
    # The most recently run first; those of which it is not known at the end.
    ordered = sorted(
        tasks,
        key=lambda t: (t.since_last_arrival_ns is None, t.since_last_arrival_ns or 0),
    )
    if cpus is None:
        return await written(layout.line_with_time(task) for task in ordered)
    blocks = []
    for cpu in cpus:
        rows = [layout.line_with_time(task) for task in ordered if task.cpu == cpu]
        blocks.append("\n".join([f"CPU: {cpu}", *rows]))
    return "\n\n".join(blocks)


def _counts(tasks: Sequence[Task]) -> str:
    """How many there are of each state, in the order of their first, as crash has it."""
    counts: dict[str, int] = {}
    for task in tasks:
        state = task.state or "??"
        counts[state] = counts.get(state, 0) + 1
    return "\n".join(f"  {state}: {count}" for state, count in counts.items())


def _named(tasks: Sequence[Task], words: Sequence[Word]) -> list[Task]:
    """The tasks that the words mean; as in crash, a word that means none is passed over.

    :raises CommandError: if there is none at all.
    """
    chosen: dict[int, Task] = {}
    for word in words:
        for task in tasks_named(tasks, word):
            chosen.setdefault(task.task, task)
    if not chosen:
        raise CommandError(f"ps: invalid task or pid value: {words[0].raw}")
    return list(chosen.values())
