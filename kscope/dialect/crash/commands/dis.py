"""``dis``: machine code."""

import re

from kscope.dialect import code as layout
from kscope.dialect.crash.errors import CommandError
from kscope.dialect.crash.interpreter import Interpreter
from kscope.dialect.crash.line import CrashLine
from kscope.dialect.crash.options import parse_options
from kscope.model.base import QueryError
from kscope.model.code import CodeQuery

SUMMARY = "machine code"
USAGE = """\
dis [-r | -f] [-l] [-x | -d] address | symbol[+offset] [count]
  a whole function, or so many instructions; of an address in a function one instruction
  -r from the function's start to there  -f from there to its end  -l with source lines"""


async def run(interpreter: Interpreter, line: CrashLine) -> str | None:
    """Answer ``dis``."""
    options, words = parse_options(line, "rflxdusb:", USAGE)
    unknown = {"-u", "-s", "-b"} & options.keys()
    if unknown:
        raise CommandError(f"dis: {min(unknown)} is not answered by kscope or by drgn")
    if not words:
        raise CommandError(f"dis: no address or symbol given\nUsage: {USAGE}")
    start = words[0].text.strip("()")
    rest = [word.text for word in words[1:]]
    if rest and not rest[0].isdecimal():
        start, rest = " ".join([start, *rest]), []
    whole_function = "-r" in options or "-f" in options or _is_symbol(start)
    count = int(rest[0]) if rest else 0 if whole_function else 1
    query = CodeQuery(
        start=start, count=count, reverse="-r" in options, forward="-f" in options,
        lines="-l" in options,
    )  # fmt: skip
    try:
        found = await interpreter.ask(query, interpreter.progress)
    except QueryError as error:
        raise CommandError(f"dis: {error}") from error
    text = layout.text(query, found)
    radix = 16 if "-x" in options else 10 if "-d" in options else interpreter.radix
    return _OFFSET.sub(_in_hexadecimal, text) if radix == 16 else text


_OFFSET = re.compile(r"(<[\w.]+\+)(\d+)(>)")


def _in_hexadecimal(match: re.Match[str]) -> str:
    return f"{match[1]}{int(match[2]):#x}{match[3]}"


def _is_symbol(text: str) -> bool:
    return not re.fullmatch(r"(?:0x)?[0-9a-fA-F]{8,16}", text) and "+" not in text
