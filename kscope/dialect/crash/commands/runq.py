"""``runq``: runqueues."""

from collections.abc import Iterable

import msgspec

from kscope.dialect.cpu import runq as layout
from kscope.dialect.cpus import code
from kscope.dialect.crash.errors import CommandError
from kscope.dialect.crash.interpreter import Interpreter
from kscope.dialect.crash.line import CrashLine
from kscope.dialect.crash.options import parse_options
from kscope.dialect.tasks import elapsed
from kscope.model.base import QueryError
from kscope.model.cpus import Cpu, Cpus, CpusQuery
from kscope.model.tasks import parse_cpus

SUMMARY = "what is queued on each CPU"
USAGE = """\
runq [-t | -T | -m | -g] [-c cpu(s)]
  -t the clock of each runqueue, and when its task got the CPU  -T how far each clock lags
  -m for how long each CPU has run its task  -g by task group  -c these CPUs: 0,2-3"""

_CODE = {"-T": "", "-t": layout.DRGN_CLOCKS, "-m": layout.DRGN_TIMES, "-g": layout.DRGN_GROUPS}
"""What yields in drgn what the options show, the one that counts first; ``-T`` as the table of
CPUs does."""


async def run(interpreter: Interpreter, line: CrashLine) -> str | None:
    """Answer ``runq``."""
    options, words = parse_options(line, "tTmgc:", USAGE)
    if words:
        raise CommandError(f"runq: {words[0].raw} is no option\nUsage: {USAGE}")
    brief = bool({"-t", "-T", "-m"} & options.keys())
    query = CpusQuery(runqueue=not brief)
    answer = await interpreter.look_up(query, interpreter.progress)
    cpus = _chosen(answer, options.get("-c", "a"))
    if len(cpus) < len(answer.cpus):
        query = msgspec.structs.replace(query, cpu=",".join(str(cpu.cpu) for cpu in cpus))
    body = next((body for option, body in _CODE.items() if option in options), None)
    interpreter.about(query, answer, code(query, body) if body else None)
    if "-T" in options:
        return layout.lag(cpus)
    if "-t" in options:
        return "\n".join(_clocks(cpus))
    if "-m" in options:
        return "\n".join(_times(cpus))
    return "\n\n".join(map(layout.groups if "-g" in options else layout.runqueue, cpus))


def _chosen(answer: Cpus, wanted: str) -> list[Cpu]:
    if wanted in ("a", "all"):
        return list(answer.cpus)
    try:
        numbers = parse_cpus(wanted)
    except QueryError:
        numbers = frozenset({-1})
    chosen = [cpu for cpu in answer.cpus if cpu.cpu in numbers]
    if len(chosen) != len(numbers):
        raise CommandError(f"runq: invalid cpu specification: {wanted}")
    return chosen


def _task(cpu: Cpu) -> str:
    current = cpu.current
    if current is None:
        return "(unreadable)"
    return f'PID: {current.pid:<5}  TASK: {current.task}  COMMAND: "{current.comm}"'


def _clocks(cpus: Iterable[Cpu]) -> Iterable[str]:
    """``runq -t``, in ns."""
    for cpu in cpus:
        clock = "?" if cpu.clock_ns is None else f"{cpu.clock_ns:011d}"
        # A CPU's idle task has no time of arrival.
        arrival = cpu.current.last_arrival_ns if cpu.current else None
        yield f" CPU {cpu.cpu}: {clock}"
        yield f"        {arrival or 0:011d}  {_task(cpu)}"


def _times(cpus: Iterable[Cpu]) -> Iterable[str]:
    """``runq -m``: by each CPU's own clock."""
    for cpu in cpus:
        arrival = (cpu.current.last_arrival_ns if cpu.current else None) or 0
        since = None if cpu.clock_ns is None else cpu.clock_ns - arrival
        yield f" CPU {cpu.cpu}: [{elapsed(since)}]  {_task(cpu)}"
