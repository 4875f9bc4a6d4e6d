"""``eval``: a number in every base."""

from kscope.dialect import evaluate as layout
from kscope.dialect.crash.errors import CommandError
from kscope.dialect.crash.interpreter import Interpreter
from kscope.dialect.crash.line import CrashLine
from kscope.model.base import QueryError
from kscope.model.evaluate import EvaluateQuery

SUMMARY = "an expression as a hexadecimal, decimal, octal and binary number"
USAGE = """\
eval [-b] expression
  a symbol stands for its address; k, m and g after a number for kilobytes and so on
  -b with the numbers of the bits that are set"""


async def run(interpreter: Interpreter, line: CrashLine) -> str | None:
    """Answer ``eval``."""
    words = [word.raw for word in line.words[1:]]
    bits = False
    while words and words[0] in ("-b", "-l"):
        bits |= words.pop(0) == "-b"
    if not words:
        raise CommandError(f"eval: no expression given\nUsage: {USAGE}")
    query = EvaluateQuery(expression=" ".join(words), addresses=True)
    try:
        value = await interpreter.ask(query, interpreter.progress)
    except QueryError as error:
        raise CommandError(f"eval: {error}") from error
    if value.integer is None:
        raise CommandError(f"eval: {value.expression} is no number")
    return layout.bases(value.integer, bits=bits)
