"""Tasks: one row for everything the scheduler knows, and which of the rows are wanted."""

import re
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Annotated, Any, Generic

import msgspec
from msgspec import Meta

from kscope.model.base import Address, Query, QueryError, R, Result, Unreadable

STATES = {
    "RU": "running or ready to run",
    "UN": "uninterruptible sleep",
    "IN": "interruptible sleep",
    "ST": "stopped by a signal",
    "TR": "stopped by a tracer",
    "ZO": "zombie",
    "DE": "dead",
    "ID": "idle: uninterruptible, but not counted as load",
    "PA": "parked",
    "NE": "new, never run",
    "WA": "waking",
}
"""Task states by crash's codes, what is most looked for first."""

POLICIES = ("NORMAL", "FIFO", "RR", "BATCH", "IDLE", "DEADLINE", "EXT")
"""Scheduling policies without their ``SCHED_``; crash's ``OTHER`` is ``NORMAL``."""


UNKNOWN = "??"
"""In place of a state or policy that could not be read, or means nothing to any kernel so far."""


class Task(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One task. A member is ``None`` where it could not be read; ``unreadable`` says why. What is
    ``None`` without a reason is not known yet.

    It holds nothing that could lead back to it (``gc=False``): the collector would walk through
    twenty thousand of them every time some more are made.
    """

    pid: int | None
    tgid: int | None
    ppid: int | None
    """PID of ``task->parent``, which is the tracer while the task is being traced."""
    comm: str | None
    task: Address
    state: str | None
    """One of ``STATES``; ``??`` for bits that no kernel so far has given a meaning."""
    cpu: int | None
    policy: str | None
    prio: int | None
    """The kernel's: 0 to 99 real-time (0 highest), 100 to 139 for nice -20 to 19, below 0 for
    SCHED_DEADLINE."""
    static_prio: int | None
    kthread: bool | None
    leader: bool | None
    """Whether it leads its thread group, so that its RSS counts once for the group."""
    since_last_arrival_ns: int | None
    """Its CPU's runqueue clock minus when it last got on a CPU: what crash's ``ps -m`` shows. For
    a blocked task an upper bound of how long it has been blocked."""
    rss_bytes: int | None
    vsize_bytes: int | None
    start_time_ns: int | None
    """Monotonic clock."""
    rt_priority: int | None = None
    parent: Address | None = None
    mm: Address | None = None
    """``None`` also for a kernel thread and a zombie, which have none."""
    active: bool = False
    """Whether it is the current task of its CPU (``>`` in crash)."""
    panicked: bool = False
    """Whether the kernel panicked while running it."""
    unreadable: tuple[Unreadable, ...] = ()

    @property
    def idle(self) -> bool:
        """Whether it is a CPU's idle task."""
        return self.pid == 0


class Tasks(Result, frozen=True, kw_only=True):
    """The tasks that were asked for, sorted as asked."""

    tasks: tuple[Task, ...]
    total: int
    """How many tasks there are in all; 0 as long as they are still being read."""
    physical_memory_bytes: int | None = None
    """What %MEM is relative to; as crash counts it, up to the highest page."""
    unreadable: tuple[Unreadable, ...] = ()


_STATE_HELP = "only these states: " + " ".join((*STATES, UNKNOWN))
_POLICY_HELP = "only these scheduling policies: " + " ".join((*POLICIES, UNKNOWN))


class TaskSelection(Query[R], Generic[R], frozen=True, kw_only=True):
    """Which tasks are meant. Everything that is set must hold."""

    state: Annotated[str, Meta(description=_STATE_HELP)] = ""
    policy: Annotated[str, Meta(description=_POLICY_HELP)] = ""
    kthreads: Annotated[bool, Meta(description="only kernel threads")] = False
    user: Annotated[bool, Meta(description="only user tasks")] = False
    leaders: Annotated[bool, Meta(description="only thread group leaders (ps -G)")] = False
    cpu: Annotated[str, Meta(description="only tasks of these CPUs: 0,2-3")] = ""
    longer_than: Annotated[
        str, Meta(description="only tasks last run longer ago than: 500ms 30s 5m 2h 1d")
    ] = ""
    match: Annotated[
        str,
        Meta(description="only tasks whose command, PID or address matches (! inverts)"),
    ] = ""

    only: Annotated[
        str, Meta(description="only these tasks: PIDs or addresses, separated by commas")
    ] = ""


class TasksQuery(TaskSelection[Tasks], frozen=True, kw_only=True):
    """All tasks, or those that were selected."""

    sort: Annotated[
        str, Meta(description="time, rss, vsz (largest first), pid, ppid, cpu, prio, start, …")
    ] = "pid"
    reverse: Annotated[bool, Meta(description="the other way round")] = False


# Selecting.

Predicate = Callable[[Task], bool]


def predicates(selection: TaskSelection[Any]) -> list[Predicate]:
    """What each task must fulfil; the cheap tests first, the text last.

    :raises QueryError: if an option means nothing.
    """
    tests: list[Predicate] = []
    if selection.state:
        states = _choices(selection.state, (*STATES, UNKNOWN), "task state")
        tests.append(lambda task: (task.state or UNKNOWN) in states)
    if selection.policy:
        policies = _choices(
            selection.policy.upper().replace("OTHER", "NORMAL"),
            (*POLICIES, UNKNOWN),
            "scheduling policy",
        )
        tests.append(lambda task: (task.policy or UNKNOWN) in policies)
    if selection.kthreads:
        tests.append(lambda task: task.kthread is True)
    if selection.user:
        tests.append(lambda task: task.kthread is False)
    if selection.leaders:
        tests.append(lambda task: task.leader is True)
    if selection.cpu:
        cpus = parse_cpus(selection.cpu)
        tests.append(lambda task: task.cpu in cpus)
    if selection.longer_than:
        nanoseconds = parse_duration(selection.longer_than)
        tests.append(
            lambda task: (
                task.since_last_arrival_ns is not None and task.since_last_arrival_ns > nanoseconds
            )
        )
    if selection.only:
        tests.append(_named_test(selection.only))
    if selection.match:
        tests.append(_text_test(selection.match))
    return tests


def select(tasks: Iterable[Task], selection: TaskSelection[Any]) -> list[Task]:
    """The tasks that are meant, in the order they came.

    :raises QueryError: if an option means nothing.
    """
    selected = list(tasks)
    for test in predicates(selection):
        selected = [task for task in selected if test(task)]
    return selected


def search_text(task: Task) -> str:
    """What a text filter looks at: command, PID and address, a line each, so that ``^`` and ``$``
    are the ends of one of them."""
    return f"{task.comm}\n{task.pid}\n{task.task:x}"


def pattern(match: str) -> tuple[re.Pattern[str], bool]:
    """The regular expression of a text filter, and whether it is inverted by a leading ``!``.

    Small letters match both cases; a capital asks for exactly that.

    :raises QueryError: if it is no regular expression.
    """
    wanted = match.removeprefix("!")
    flags = re.MULTILINE | (re.NOFLAG if any(c.isupper() for c in wanted) else re.IGNORECASE)
    try:
        return re.compile(wanted, flags), wanted != match
    except (re.error, OverflowError, RecursionError) as error:
        raise QueryError(f"{wanted} is not a regular expression: {error}.") from error


def parse_task(text: str) -> int | Address:
    """A task's PID, or the address of its ``task_struct``, as crash takes either.

    :raises QueryError: if it is neither.
    """
    wanted = text.strip().lower()
    if wanted.isdecimal() and int(wanted) <= _LARGEST_PID:
        return int(wanted)
    try:
        address = int(wanted, 16)
    except ValueError:
        address = 0
    if not 1 << 63 <= address < 1 << 64:
        raise QueryError(
            f"{text} is neither a PID nor the address of a task.",
            "Write 161, or ffff8b94182420c0.",
        )
    return Address(address)


_LARGEST_PID = 1 << 22
"""``PID_MAX_LIMIT`` of include/linux/threads.h."""


def _named_test(names: str) -> Predicate:
    wanted = [parse_task(name) for name in names.replace(",", " ").split()]
    pids = {name for name in wanted if not isinstance(name, Address)}
    addresses = {name for name in wanted if isinstance(name, Address)}
    return lambda task: task.pid in pids or task.task in addresses


def _text_test(match: str) -> Predicate:
    compiled, inverted = pattern(match)
    search = compiled.search
    return lambda task: (search(search_text(task)) is None) is inverted


def known_names(text: str) -> list[str]:
    """The states or policies of a query that other tools have names for, too."""
    return [name for name in text.upper().replace(",", " ").split() if name != UNKNOWN]


def _choices(text: str, known: Iterable[str], what: str) -> frozenset[str]:
    wanted = frozenset(text.upper().replace(",", " ").split())
    if not wanted or not wanted.issubset(known):
        raise QueryError(f"{text} is not a {what}.", f"There are: {' '.join(known)}.")
    return wanted


_CPU_RANGE = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?", re.ASCII)


def parse_cpus(text: str) -> frozenset[int]:
    """``0,2-3`` as crash's ``-c`` takes it.

    :raises QueryError: if it is not that.
    """
    cpus: set[int] = set()
    for part in text.replace(",", " ").split():
        match = _CPU_RANGE.fullmatch(part)
        if match is None:
            break
        first = int(match[1])
        last = int(match[2] or first)
        if last < first:
            break
        cpus.update(range(first, last + 1))
    else:
        if cpus:
            return frozenset(cpus)
    raise QueryError(f"{text} does not name CPUs.", "Write 3, or 0,2-3.")


_UNITS_NS = {
    "ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
    "d": 86400 * 10**9,
}  # fmt: skip
_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)\s*([a-z]*)", re.ASCII)


def parse_duration(text: str) -> int:
    """``30s``, ``1.5m``, ``500ms`` or plain seconds, in ns.

    :raises QueryError: if it is not a duration.
    """
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None or (match[2] or "s") not in _UNITS_NS:
        raise QueryError(f"{text} is not a duration.", "Write 500ms, 30s, 5m, 2h or 1d.")
    return round(float(match[1]) * _UNITS_NS[match[2] or "s"])


# Sorting.

_LAST = float("inf")


_Keys = Callable[[Iterable[Task]], list[Any]]


def _number(member: str) -> _Keys:
    get = attrgetter(member)
    return lambda tasks: [_LAST if value is None else value for value in map(get, tasks)]


def _largest(member: str) -> _Keys:
    get = attrgetter(member)
    return lambda tasks: [_LAST if value is None else -value for value in map(get, tasks)]


_STATE_ORDER = {state: index for index, state in enumerate(STATES)}
_AFTER_ALL = chr(0x10FFFF)
_UNREADABLE = (_LAST, _AFTER_ALL)

SORTS: dict[str, _Keys] = {
    "pid": _number("pid"),
    "tgid": _number("tgid"),
    "ppid": _number("ppid"),
    "time": _largest("since_last_arrival_ns"),
    "rss": _largest("rss_bytes"),
    "vsz": _largest("vsize_bytes"),
    "cpu": _number("cpu"),
    "state": lambda tasks: [_STATE_ORDER.get(task.state or "", _LAST) for task in tasks],
    "policy": lambda tasks: [task.policy or _AFTER_ALL for task in tasks],
    "prio": _number("prio"),
    "start": _number("start_time_ns"),
    "comm": lambda tasks: [_AFTER_ALL if task.comm is None else task.comm for task in tasks],
    "task": lambda tasks: [task.task for task in tasks],
}
"""What can be sorted by, as keys of all tasks; what is unreadable comes last."""


def order(tasks: Sequence[Task], by: str, *, reverse: bool = False) -> list[int]:
    """The places that tasks have here, in the order that ``by`` names, equals as they came: by
    PID, idle tasks by CPU.

    :raises QueryError: if there is no such order.
    """
    if by not in SORTS:
        raise QueryError(f"Tasks cannot be sorted by {by}.", f"There are: {' '.join(SORTS)}.")
    keys = SORTS[by](tasks)
    places = sorted(range(len(keys)), key=keys.__getitem__)
    if reverse:
        readable = len(places)
        while readable and keys[places[readable - 1]] in _UNREADABLE:
            readable -= 1
        places[:readable] = reversed(places[:readable])
    return places


def sort(tasks: Sequence[Task], by: str, *, reverse: bool = False) -> list[Task]:
    """The tasks in the order that ``by`` names.

    :raises QueryError: if there is no such order.
    """
    return [tasks[place] for place in order(tasks, by, reverse=reverse)]


def count_by(tasks: Iterable[Task], member: str, order: Sequence[str]) -> dict[str, int]:
    """How many tasks there are of each ``state`` or ``policy``, in the order given."""
    counts: dict[str, int] = {}
    for task in tasks:
        value = getattr(task, member)
        counts[value or UNKNOWN] = counts.get(value or UNKNOWN, 0) + 1
    known = {name: counts.pop(name) for name in order if name in counts}
    return known | dict(sorted(counts.items()))
