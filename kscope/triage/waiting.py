"""When waiting becomes worth a finding.

A busy machine has tasks that wait for locks and for I/O all the time. What stands out is time: the
kernel itself calls a task hung after ``hung_task_timeout_secs``, and people look at what takes ten
seconds.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from kscope.kernel.access.reading import READ_ERRORS
from kscope.model.durations import in_words
from kscope.model.locks import Blocked
from kscope.model.survey import Severity
from kscope.triage.facts import Facts

SECOND = 1_000_000_000

CHAIN_NS = 2 * SECOND
"""A queue behind a lock's owner that is older than this is mentioned."""

LONG_NS = 10 * SECOND
"""A task that is blocked for longer than this is mentioned, and a queue that long is a warning."""

_DEFAULT_TIMEOUT = 120


def hung_ns(facts: Facts) -> int:
    """After how long the kernel calls a task hung; its default where the detector is off."""
    seconds = facts.number("sysctl_hung_task_timeout_secs") or _DEFAULT_TIMEOUT
    return seconds * SECOND


def severity_of(facts: Facts, waited_ns: int) -> Severity:
    """How bad waiting for so long is."""
    if waited_ns >= hung_ns(facts):
        return "critical"
    return "warning" if waited_ns >= LONG_NS else "info"


def overdue_devices(facts: Facts) -> tuple[str, ...]:
    """The disks with requests in flight for longer than that."""
    try:
        return tuple(
            disk
            for disk, requests in facts.requests.items()
            if requests and requests[0].age_ns >= LONG_NS
        )
    except READ_ERRORS:
        return ()


def overdue_servers(facts: Facts) -> Sequence[Sequence[Blocked]]:
    """The tasks that wait for a server that somebody has been waiting for that long, by server."""
    found: dict[tuple[str, int], list[Blocked]] = defaultdict(list)
    for task in facts.locks.blocked:
        if task.asked is not None:
            # There may be many connections to an RPC server; a FUSE server of the same place in
            # another container is another one.
            connection = task.asked.connection if task.asked.kind == "fuse" else 0
            found[task.asked.server, connection].append(task)
    return [tasks for tasks in found.values() if waited(tasks) >= LONG_NS]


def waited(tasks: Iterable[Blocked]) -> int:
    """The longest that any of them has been off its CPU, in ns; 0 where that cannot be read.

    Or has waited for a server: the task wakes now and then to ask again.
    """
    return max((_waited(task) for task in tasks), default=0)


def _waited(task: Blocked) -> int:
    asked = task.asked.age_ns if task.asked is not None else None
    return max(task.since_last_arrival_ns or 0, asked or 0)


def lasting(waited_ns: int) -> str:
    """How long, for the end of a title; nothing where it is not known."""
    return f" for {in_words(waited_ns)}" if waited_ns else ""
