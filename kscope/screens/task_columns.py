"""The columns that a list of tasks can have."""

from collections.abc import Callable
from dataclasses import dataclass

from kscope.model.durations import in_words
from kscope.model.stacks import Stacks
from kscope.model.tasks import UNKNOWN, Task, Tasks
from kscope.screens.task_rows import GroupRow, MemberRow, Row, TaskRow
from kscope.widgets.line import Cell, Span
from kscope.widgets.table import Column
from kscope.widgets.theme import Role

_STATE_ROLES: dict[str | None, Role] = {
    "UN": "critical", "RU": "good", "ZO": "warning", "DE": "warning", "ST": "warning",
    "TR": "warning", "ID": "dim", None: "warning",
}  # fmt: skip


def state_role(state: str | None) -> Role:
    """The colour of a task state; the letters are always beside it."""
    return _STATE_ROLES.get(state, "")


@dataclass(frozen=True)
class Choice:
    """A column that can be chosen."""

    name: str
    """As it is remembered."""
    title: str
    meaning: str
    sort: str
    """What ``TasksQuery.sort`` calls it; empty where it makes no sense to sort by it."""
    largest_first: bool = False


CHOICES = (
    Choice("pid", "PID", "process ID", "pid"),
    Choice("tgid", "TGID", "thread group: the process it is a thread of", "tgid"),
    Choice("ppid", "PPID", "the parent's PID", "ppid"),
    Choice("cpu", "CPU", "the CPU it runs on or last ran on", "cpu"),
    Choice("state", "ST", "state, as crash writes it", "state"),
    Choice("time", "TIME", "since it last got on a CPU, as ps -m", "time", largest_first=True),
    Choice("policy", "POLICY", "scheduling policy", "policy"),
    Choice("prio", "PRIO", "priority as the kernel counts it, lower first", "prio"),
    Choice("rss", "RSS", "memory that is resident", "rss", largest_first=True),
    Choice("mem", "%MEM", "share of physical memory", "rss", largest_first=True),
    Choice("vsz", "VSZ", "memory that is mapped", "vsz", largest_first=True),
    Choice("start", "START", "seconds after boot that it was started", "start"),
    Choice("task", "TASK", "address of its task_struct", "task"),
    Choice("comm", "COMMAND", "command", "comm"),
)
BY_NAME = {choice.name: choice for choice in CHOICES}
DEFAULT = ("pid", "state", "cpu", "time", "rss", "comm")

MAY_NOT_BE_LEFT_OUT = "comm"
"""It carries the tree."""


def columns(names: tuple[str, ...], tasks: Tasks, *, tree: bool) -> list[Column[Row]]:
    """The columns of these names, in this order, no wider than these tasks need.

    :param tree: whether commands are indented below their parents.
    """
    largest_pid = max((max(t.pid or 0, t.tgid or 0) for t in tasks.tasks), default=0)
    pid_width = max(4, len(str(largest_pid)))
    cpu_width = max(3, len(str(max((t.cpu or 0 for t in tasks.tasks), default=0))))

    def share(task: Task) -> Cell:
        if task.rss_bytes is None or not tasks.physical_memory_bytes:
            return _missing(task)
        return f"{100 * task.rss_bytes / tasks.physical_memory_bytes:.1f}"

    def pid(title: str, of: Callable[[Task], int | None]) -> Column[Row]:
        # One more for the arrow beside the title, when it is sorted by.
        return Column(title, lambda r: _or_unknown(of(_task(r))), width=pid_width + 1, right=True)

    made = {
        "pid": pid("PID", lambda t: t.pid),
        "tgid": pid("TGID", lambda t: t.tgid),
        "ppid": pid("PPID", lambda t: t.ppid),
        "cpu": Column[Row]("CPU", lambda r: _or_unknown(_task(r).cpu), width=cpu_width, right=True),
        "state": Column[Row]("ST", _state, width=2),
        "time": Column[Row]("TIME", _time, width=9, right=True),
        "policy": Column[Row]("POLICY", _policy, width=8),
        "prio": Column[Row]("PRIO", lambda r: _or_unknown(_task(r).prio), width=5, right=True),
        "rss": Column[Row]("RSS", lambda r: _amount(r, _task(r).rss_bytes), width=5, right=True),
        "mem": Column[Row]("%MEM", lambda r: share(_task(r)), width=5, right=True),
        "vsz": Column[Row]("VSZ", lambda r: _amount(r, _task(r).vsize_bytes), width=5, right=True),
        "start": Column[Row]("START", _start, width=9, right=True),
        "task": Column[Row]("TASK", lambda r: str(_task(r).task), width=16, role="dim"),
        "comm": Column[Row]("COMMAND", _command, minimum=16, tree=tree),
    }
    return [made[name] for name in names]


def _task(row: Row) -> Task:
    assert isinstance(row, TaskRow)
    return row.task


def _or_unknown(value: int | str | None) -> Cell:
    return ("?", "warning") if value is None else str(value)


def _state(row: Row) -> Cell:
    task = _task(row)
    return (task.state or UNKNOWN, state_role(task.state))


def _time(row: Row) -> Cell:
    return in_words(_task(row).since_last_arrival_ns)


def _policy(row: Row) -> Cell:
    policy = _task(row).policy
    if policy is None:
        return ("?", "warning")
    return (policy, "dim" if policy == "NORMAL" else "")


def _start(row: Row) -> Cell:
    start = _task(row).start_time_ns
    return ("?", "warning") if start is None else f"{start / 1_000_000_000:.2f}"


def _command(row: Row) -> Cell:
    assert isinstance(row, TaskRow)
    task = row.task
    if task.comm is None:
        return ("unreadable", "warning")
    role = "" if row.meant else "dim"
    name = f"[{task.comm}]" if task.kthread else task.comm
    if task.panicked:
        return [Span(name, "critical"), Span(" panicked", "critical")]
    if task.unreadable:
        return [Span(name, role), Span(" in part", "warning")]
    return [Span(name, role)]


def _amount(row: Row, size_bytes: int | None) -> Cell:
    return _missing(_task(row)) if size_bytes is None else size(size_bytes)


def _missing(task: Task) -> Cell:
    """In place of memory: while tasks are still being read, it is only not known yet."""
    return ("?", "warning") if task.unreadable else ("…", "dim")


def size(size_bytes: int | None) -> Cell:
    """Memory in three or four digits and a unit; what is none is dim."""
    if size_bytes is None:
        return ("?", "warning")
    if size_bytes == 0:
        return ("0", "dim")
    value = size_bytes / 1024
    for unit in ("K", "M", "G", "T"):
        if value < 1024 or unit == "T":
            break
        value /= 1024
    number = f"{value:.1f}" if value < 10 and unit != "K" else f"{value:.0f}"
    return [Span(number), Span(unit, "dim")]


# By stack.


def stack_columns(stacks: Stacks) -> list[Column[Row]]:
    """The columns of the arrangement by stack, no wider than these need."""
    most = max((group.count for group in stacks.groups), default=0)
    largest_pid = max((pid or 0 for group in stacks.groups for pid in group.tasks), default=0)
    return [
        Column("N", _count, width=max(3, len(f"{most:,}")), right=True),
        Column("ST", _group_state, width=max(3, len(str(largest_pid)))),
        Column("LONGEST", _longest, width=9, right=True),
        Column("STACK", _summary, minimum=24),
    ]


def _count(row: Row) -> Cell:
    return f"{len(row.members):,}" if isinstance(row, GroupRow) else ""


def _group_state(row: Row) -> Cell:
    if isinstance(row, GroupRow):
        return (row.group.state, state_role(row.group.state))
    assert isinstance(row, MemberRow)
    pid = row.group.tasks[row.member]
    return ("?" if pid is None else str(pid), "dim")


def _longest(row: Row) -> Cell:
    if isinstance(row, GroupRow):
        return in_words(row.longest)
    assert isinstance(row, MemberRow)
    return in_words(row.group.since_last_arrival_ns[row.member])


def _summary(row: Row) -> Cell:
    if isinstance(row, MemberRow):
        comm = row.group.comms[row.member]
        return ("  unreadable", "warning") if comm is None else f"  {comm}"
    assert isinstance(row, GroupRow)
    return summary_spans(row)


def summary_spans(row: GroupRow) -> list[Span]:
    """What is waited in, and where that was called from."""
    group = row.group
    if not group.summary:
        return [Span(group.stopped or "no function but the scheduler's", "dim")]
    role = "dim" if group.idle_worker else ""
    spans: list[Span] = []
    for name in group.summary:
        if spans:
            spans.append(Span(" ← ", "dim"))
        spans.append(Span(name, role))
    return spans
