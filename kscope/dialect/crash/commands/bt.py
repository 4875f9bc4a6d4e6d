"""``bt``: backtraces."""

import re
from collections.abc import Iterable

import msgspec

from kscope.dialect import backtrace as layout
from kscope.dialect.cpu import bt as cpu_layout
from kscope.dialect.crash.errors import CommandError
from kscope.dialect.crash.interpreter import Interpreter
from kscope.dialect.crash.line import CrashLine
from kscope.dialect.crash.options import parse_options
from kscope.dialect.crash.selecting import tasks_numbered
from kscope.model.backtrace import Backtrace, BacktraceQuery
from kscope.model.base import QueryError
from kscope.model.cpus import CpusQuery
from kscope.model.tasks import Task, parse_cpus

SUMMARY = "backtraces"
USAGE = """\
bt [-a | -c cpu(s) | -p] [-f] [-l] [-s [-x]] [-r | -t | -T] [-R ref] [-n idle] [pid | task] ...
  -a what every CPU ran  -c these CPUs: 0,2-3  -p the task that panicked
  -f with the words of each frame  -l with source lines  -s with offsets, -x in hexadecimal
  -r the whole stack  -t, -T what on it lies in a function
  -R only those that name a symbol or address  -n idle without the idle tasks"""

_CHUNK = 200
"""Tasks that are asked for at once."""

_LEFT_TO_DRGN = frozenset(["-F", "-V", "-d"])


async def run(interpreter: Interpreter, line: CrashLine) -> str | None:
    """Answer ``bt``."""
    options, words = parse_options(line, "ac:pflsxrtTFVdR:n:", USAGE)
    if _LEFT_TO_DRGN & options.keys():
        return None
    no_idle = leaves_out_idle(options)
    every = await interpreter.tasks()
    if "-a" in options or "-c" in options:
        cpus = await _cpus(interpreter, options.get("-c", "a"))
        tasks = [task for cpu in cpus for task in every.tasks if task.active and task.cpu == cpu]
        if no_idle:
            tasks = [task for task in tasks if not task.idle]
    elif "-p" in options:
        tasks = [task for task in every.tasks if task.panicked]
        if not tasks:
            raise CommandError("bt: no panic task found")
    elif words:
        tasks = [task for word in words for task in _named(word.text, every.tasks)]
    else:
        tasks = _named(f"{await interpreter.current_task('bt'):x}", every.tasks)
    return "\n\n".join(await backtraces(interpreter, tasks, options))


def leaves_out_idle(options: dict[str, str]) -> bool:
    """Whether ``-n idle`` is among the options.

    :raises CommandError: if it is another word that follows ``-n``.
    """
    if options.get("-n", "idle") != "idle":
        raise CommandError(f"bt: invalid argument: -n {options['-n']}")
    return "-n" in options


async def _cpus(interpreter: Interpreter, wanted: str) -> list[int]:
    answer = await interpreter.look_up(CpusQuery(), interpreter.progress)
    known = [cpu.cpu for cpu in answer.cpus]
    if wanted in ("a", "all"):
        return known
    try:
        chosen = sorted(parse_cpus(wanted))
    except QueryError:
        chosen = [-1]
    if not set(chosen) <= set(known):
        raise CommandError(f"bt: invalid cpu specification: {wanted}")
    return chosen


def _named(text: str, tasks: Iterable[Task]) -> list[Task]:
    found = tasks_numbered(tasks, text)
    if not found:
        raise CommandError(f"bt: invalid task or pid value: {text}")
    return found


async def backtraces(
    interpreter: Interpreter, tasks: list[Task], options: dict[str, str]
) -> list[str]:
    """The backtrace of each task, titled."""
    raw = bool({"-r", "-t", "-T"} & options.keys())
    shown: dict[int, str] = {}
    if not raw:
        # A CPU that was stopped or crashed has more on it than its task's own stack.
        shown = await _of_cpus(interpreter, [task for task in tasks if task.active], options)
    rest = [task for task in tasks if task.task not in shown]
    for start in range(0, len(rest), _CHUNK):
        chunk = rest[start : start + _CHUNK]
        query = BacktraceQuery(tasks=_addresses(chunk), raw=raw or "-f" in options)
        answer = await interpreter.look_up(query, interpreter.progress)
        found: dict[int, str] = {each.task.task: _text(each, options) for each in answer.backtraces}
        shown |= found
        if matching := [task for task in chunk if _names(found.get(task.task, ""), options)]:
            query = msgspec.structs.replace(query, tasks=_addresses(matching))
            interpreter.about(query, answer)
    texts = [shown[task.task] for task in tasks]
    return [text for text in texts if _names(text, options)]


def _addresses(tasks: Iterable[Task]) -> str:
    return " ".join(f"{task.task:x}" for task in tasks)


def _names(text: str, options: dict[str, str]) -> bool:
    """Whether a backtrace is shown: with ``-R`` only if it names that below its title."""
    if "-R" not in options:
        return bool(text)
    reference = re.compile(rf"(?<!\w)(?:0x)?{re.escape(options['-R'])}(?!\w)")
    return reference.search(text.partition("\n")[2]) is not None


def _text(found: Backtrace, options: dict[str, str]) -> str:
    if "-r" in options:
        return layout.raw_stack(found)
    if "-t" in options or "-T" in options:
        return layout.text_symbols(found, whole="-T" in options)
    return layout.backtrace(
        found,
        words="-f" in options,
        lines="-l" in options,
        offsets=_offsets(options),
    )


def _offsets(options: dict[str, str]) -> str:
    if "-s" not in options:
        return ""
    return "x" if "-x" in options else "d"


async def _of_cpus(
    interpreter: Interpreter, tasks: list[Task], options: dict[str, str]
) -> dict[int, str]:
    """What the CPUs ran whose current tasks these are, by task."""
    if not tasks:
        return {}
    full = "-f" in options
    query = CpusQuery(cpu=_numbers(tasks), backtrace=True, full=full)
    answer = await interpreter.look_up(query, interpreter.progress)
    found: dict[int, str] = {
        cpu.current.task: cpu_layout.backtrace(
            cpu, full=full, sources="-l" in options, offsets=_offsets(options)
        )
        for cpu in answer.cpus
        if cpu.current is not None
    }
    if matching := [task for task in tasks if _names(found.get(task.task, ""), options)]:
        interpreter.about(msgspec.structs.replace(query, cpu=_numbers(matching)), answer)
    return found


def _numbers(tasks: Iterable[Task]) -> str:
    return ",".join(str(task.cpu) for task in tasks)
