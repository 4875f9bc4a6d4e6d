"""``whatis``: what a name stands for."""

from kscope.dialect.crash.commands import struct
from kscope.dialect.crash.interpreter import Interpreter
from kscope.dialect.crash.line import CrashLine, Word
from kscope.dialect.crash.options import parse_options

SUMMARY = "what a name stands for"
USAGE = """\
whatis [-o] [struct | union] name
  -o a structure with offsets"""


async def run(interpreter: Interpreter, line: CrashLine) -> str | None:
    """Answer ``whatis`` of a structure; of all else drgn's crash mode does."""
    options, words = parse_options(line, "o", USAGE)
    keyword = words[0].text if words and words[0].text in ("struct", "union") else ""
    named = words[1:] if keyword else words
    command = keyword or "struct"
    option = (Word("-o", "-o"),) if "-o" in options else ()
    if len(named) == 1 and (keyword or "-o" in options):
        # crash's whatis and struct print the same of a structure.
        return await struct.run(
            interpreter, CrashLine(words=(Word(command, command), *option, *named))
        )
    return None
