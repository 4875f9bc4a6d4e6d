"""``search``: who holds a value."""

import re

from kscope.dialect import search as layout
from kscope.dialect import tasks as tasks_layout
from kscope.dialect.crash.errors import CommandError
from kscope.dialect.crash.interpreter import Interpreter
from kscope.dialect.crash.line import CrashLine, Word
from kscope.dialect.crash.options import parse_options
from kscope.model.base import QueryError
from kscope.model.search import Hit, Search, SearchQuery

SUMMARY = "who holds a value"
USAGE = """\
search [-t | -T] [-m mask] [-c | -w | -h] [-k] value | symbol | string ...
  -t only kernel stacks, by task  -T only those of tasks that a CPU ran  -m ignores these bits
  -c strings  -w 32 bits  -h 16 bits  -k the kernel's memory, which is all that is searched"""

_LEFT_TO_DRGN = frozenset(["-s", "-e", "-l", "-p", "-x"])
_HEXADECIMAL = re.compile(r"(?:0x)?[0-9a-fA-F]+")


async def run(interpreter: Interpreter, line: CrashLine) -> str | None:
    """Answer ``search``."""
    options, words = parse_options(line, "tTm:cwhks:e:l:px:", USAGE)
    if _LEFT_TO_DRGN & options.keys():
        return None
    if not words:
        raise CommandError(f"search: no value given\nUsage: {USAGE}")
    stacks = bool({"-t", "-T"} & options.keys())
    found: list[Hit] = []
    notes: list[str] = []
    for word in words:
        query = SearchQuery(
            value=_value(word, text="-c" in options),
            stacks=stacks,
            mask=options.get("-m", ""),
            bits=32 if "-w" in options else 16 if "-h" in options else 64,
        )
        try:
            answer: Search = await interpreter.ask(query, interpreter.progress)
        except QueryError as error:
            raise CommandError(f"search: {error}") from error
        found += answer.hits
        if answer.truncated:
            notes.append(f"search: stopped after {len(answer.hits):,} places")
    if stacks:
        tasks = await _by_task(interpreter, found, active="-T" in options)
        return "\n".join(filter(None, [tasks, *notes]))
    found.sort(key=lambda hit: hit.address)
    return "\n".join([*map(layout.line, found), *notes])


def _value(word: Word, *, text: bool) -> str:
    return f'"{word.text}"' if text else _number(word.text)


def _number(text: str) -> str:
    """As crash reads it: hexadecimal also without ``0x``."""
    return f"{int(text, 16):#x}" if _HEXADECIMAL.fullmatch(text) else text


async def _by_task(interpreter: Interpreter, hits: list[Hit], *, active: bool) -> str:
    """Each task's title, and below it what is on its stack."""
    places: dict[int, list[str]] = {}
    for hit in hits:
        if hit.task is not None:
            frame = f"  {hit.frame}" if hit.frame else ""
            places.setdefault(hit.task, []).append(f"{hit.address:x}: {hit.value}{frame}")
    tasks = (await interpreter.tasks()).tasks
    return "\n\n".join(
        "\n".join([tasks_layout.title(task), *places[task.task]])
        for task in tasks
        if task.task in places and (task.active or not active)
    )
