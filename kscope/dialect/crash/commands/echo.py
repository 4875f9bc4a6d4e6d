"""``echo``: its words."""

from kscope.dialect.crash.interpreter import Interpreter
from kscope.dialect.crash.line import CrashLine

SUMMARY = "prints its words"
USAGE = "echo [word] ..."


async def run(interpreter: Interpreter, line: CrashLine) -> str | None:  # noqa: ARG001
    """Answer ``echo``."""
    return " ".join(line.arguments)
