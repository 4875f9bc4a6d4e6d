"""``struct``, ``union`` and ``*``: an object, or the layout of its type."""

import re

from kscope.dialect import struct as layout
from kscope.dialect.crash.errors import CommandError
from kscope.dialect.crash.interpreter import Interpreter
from kscope.dialect.crash.line import CrashLine
from kscope.dialect.crash.options import parse_options
from kscope.model.base import QueryError
from kscope.model.struct import StructQuery

SUMMARY = "an object in memory, or the layout of its type"
USAGE = """\
struct [-o] [-l offset] [-x | -d] name[.member[,member]] [address | symbol[:cpu(s)]] [-c count]
  -o with offsets  -l the address is that of this member  -c so many of an array
  -x, -d numbers in hexadecimal or decimal"""

_TYPE_NAME = re.compile(r"[A-Za-z_]\w*(?:[.\[].*)?$")

_LEFT_TO_DRGN = frozenset(["-f", "-u", "-p", "-r"])


async def run(interpreter: Interpreter, line: CrashLine) -> str | None:
    """Answer ``struct``."""
    options, words = parse_options(line, "ol:xdc:fupr", USAGE)
    if not words:
        raise CommandError(f"{line.command}: no type given\nUsage: {USAGE}")
    if _LEFT_TO_DRGN & options.keys():
        return None
    name, *rest = (word.text for word in words)
    if line.command == "*" and not _TYPE_NAME.match(name):
        raise CommandError(f"crash: command not found: {name}")
    keyword = line.command if line.command in ("struct", "union") else ""
    if name in ("struct", "union") and rest:
        keyword, name, *rest = name, *rest
    address = rest[0] if rest else ""
    count = options.get("-c") or (rest[1] if len(rest) > 1 else "1")
    if not re.fullmatch(r"-?\d+", count):
        raise CommandError(f"{line.command}: invalid count: {count}")
    tag, dot, members = name.partition(".")
    query = StructQuery(
        type=f"{keyword} {tag}{dot}{members}".strip(),
        address=address,
        offsets="-o" in options,
        count=max(1, int(count)),
        embedded=_member(options.get("-l", ""), tag),
    )
    try:
        found = await interpreter.ask(query, interpreter.progress)
    except QueryError as error:
        if error.sentence.startswith("There is no") and not members:
            if line.command == "*":
                raise CommandError(f"crash: command not found: {tag}") from error
            reference = f"invalid data structure reference: {tag}"
            raise CommandError(f"{line.command}: {reference}") from error
        raise CommandError(f"{line.command}: {error}") from error
    radix = 16 if "-x" in options else 10 if "-d" in options else interpreter.radix
    if found.address is None:
        only = bool(members)
        return layout.layout(found, members_only=only, offsets=only or "-o" in options)
    return layout.text(query, layout.in_hexadecimal(found) if radix == 16 else found)


def _member(offset: str, tag: str) -> str:
    """``list_head.next`` of ``-l task_struct.tasks``, or a number."""
    return offset.removeprefix(f"{tag}.")
