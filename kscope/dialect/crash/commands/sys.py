"""``sys``: the machine."""

from kscope.dialect import system as layout
from kscope.dialect.crash.interpreter import Interpreter
from kscope.dialect.crash.line import CrashLine
from kscope.dialect.crash.options import parse_options
from kscope.model.system import SystemQuery

SUMMARY = "the machine, its kernel and its panic"
USAGE = """\
sys [-i | -t] [config]
  -i the strings of its firmware (DMI)  -t taints
  config: the kernel's configuration, from drgn's crash mode"""


async def run(interpreter: Interpreter, line: CrashLine) -> str | None:
    """Answer ``sys``."""
    options, words = parse_options(line, "it", USAGE)
    if words:
        return None
    system = await interpreter.ask(SystemQuery(), interpreter.progress)
    if "-i" in options:
        return layout.dmi(system)
    if "-t" in options:
        return layout.taints(system)
    return layout.summary(system, task=False)
