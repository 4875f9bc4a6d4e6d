"""``list``: linked lists, which drgn's crash mode walks."""

from kscope.dialect.crash.interpreter import Interpreter
from kscope.dialect.crash.line import CrashLine, Word
from kscope.dialect.crash.options import parse_options

SUMMARY = "the elements of a linked list"
USAGE = """\
list [[-o] offset] [-s struct[.member[,member]] [-l offset]] [-e end] [-r] [-H | -h] [-x | -d] start
  offset: of the pointer to the next, as a number or struct.member
  -H start is a list_head outside of the elements  -h start is an element, linked by list_heads
  -s members of each  -l the addresses are those of this member"""


async def run(interpreter: Interpreter, line: CrashLine) -> CrashLine | None:  # noqa: ARG001
    """The line as drgn takes it, in which an offset without ``-o`` has one."""
    _, words = parse_options(line, "o:s:l:e:O:rHhxd", USAGE)
    if len(words) != 2:
        return None
    member = next((word for word in words if "." in word.text), words[0])
    offset = next(index for index, word in enumerate(line.words) if word is member)
    rest = (*line.words[1:offset], *line.words[offset + 1 :])
    return CrashLine(words=(line.words[0], Word("-o", "-o"), member, *rest))
