"""``log``: the kernel's log."""

from kscope.dialect import log as layout
from kscope.dialect.crash.errors import CommandError
from kscope.dialect.crash.interpreter import Interpreter
from kscope.dialect.crash.line import CrashLine
from kscope.dialect.crash.options import parse_options
from kscope.dialect.crash.writing import written
from kscope.model.log import LogQuery

SUMMARY = "the kernel's log"
USAGE = """\
log [-T | -t] [-m] [-c]
  -T with dates  -t without times  -m with the level of each line  -c with who wrote it"""


async def run(interpreter: Interpreter, line: CrashLine) -> str | None:
    """Answer ``log``."""
    options, _ = parse_options(line, "Ttdmc", USAGE)
    log = await interpreter.ask(LogQuery(), interpreter.progress)
    if "-T" in options and log.boot_time_ns is None:
        why = next((u.why for u in log.unreadable), "the time of boot cannot be read")
        raise CommandError(f"log: -T: {why}")
    return await written(
        layout.line(
            record,
            log.boot_time_ns if "-T" in options else None,
            stamped="-t" not in options,
            level="-m" in options,
            caller="-c" in options,
        )
        for record in log.records
    )
