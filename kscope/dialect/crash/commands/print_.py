"""``p``: the value of a C expression."""

import re

from kscope.dialect import evaluate as layout
from kscope.dialect import struct as struct_layout
from kscope.dialect.crash.errors import CommandError
from kscope.dialect.crash.interpreter import Interpreter
from kscope.dialect.crash.line import CrashLine
from kscope.model.base import QueryError
from kscope.model.evaluate import EvaluateQuery
from kscope.model.struct import StructQuery

SUMMARY = "the value of a C expression"
USAGE = """\
p [-x | -d] expression | symbol[:cpu(s)]
  an expression: arithmetic, casts, sizeof, members; a per-CPU variable of CPUs: runqueues:0,2-3
  -x, -d numbers in hexadecimal or decimal"""

_OPTION = re.compile(r"\s*-([xd])\s+(?=\S)")
_OF_CPUS = re.compile(r"[A-Za-z_]\w*:(?:|a|all|\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*)")


async def run(interpreter: Interpreter, line: CrashLine) -> str | None:
    """Answer ``p``."""
    text, radix = line.argument_text, interpreter.radix
    while (option := _OPTION.match(text)) is not None:
        radix = 16 if option[1] == "x" else 10
        text = text[option.end() :]
    if not text.strip():
        raise CommandError(f"p: no expression given\nUsage: {USAGE}")
    if _OF_CPUS.fullmatch(text.strip()):
        return await _of_cpus(interpreter, text.strip(), radix)
    try:
        value = await interpreter.ask(EvaluateQuery(expression=text), interpreter.progress)
    except QueryError as error:
        raise CommandError(f"p: {error}") from error
    if value.copies:
        return layout.per_cpu(value)
    number = interpreter.next_value()
    name = f"{text.strip()} = " if text.strip().isidentifier() else ""
    return f"{name}${number} = {layout.value(value, radix)}"


async def _of_cpus(interpreter: Interpreter, text: str, radix: int) -> str:
    """One CPU's copy after the other."""
    name, _, cpus = text.partition(":")
    query = StructQuery(type=f"{name}:{cpus or 'a'}")
    try:
        found = await interpreter.ask(query, interpreter.progress)
    except QueryError as error:
        raise CommandError(f"p: {error}") from error
    if radix == 16:
        found = struct_layout.in_hexadecimal(found)
    blocks = []
    for label, members in [
        (found.label, found.members),
        *((each.label, each.members) for each in found.further),
    ]:
        cpu = label.strip("[]") or cpus
        shown = struct_layout.instance(members)
        blocks.append(f"per_cpu({name}, {cpu}) = ${interpreter.next_value()} = {shown}")
    return "\n".join(blocks)
