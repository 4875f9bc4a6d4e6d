"""Tasks, as crash's ``ps``: with ``-m`` for times, with ``-y`` for policies."""

import shlex

from kscope.dialect.views import Equivalent
from kscope.model.base import Address
from kscope.model.tasks import (
    UNKNOWN,
    Task,
    Tasks,
    TaskSelection,
    TasksQuery,
    known_names,
    parse_cpus,
    parse_duration,
    parse_task,
)

QUERY = TasksQuery

_STATE_LETTERS = {
    "RU": "R", "IN": "S", "UN": "D", "ST": "T", "TR": "t", "DE": "X", "ZO": "Z", "PA": "P",
    "ID": "I",
}  # fmt: skip
"""crash's code to drgn's letter; new and waking tasks are ``R`` there."""

_SORT_COLUMNS = {"ppid": "2n", "cpu": "3n", "vsz": "7nr", "rss": "8nr", "state": "5", "comm": "9"}
"""How ``sort -k`` orders the columns of ``ps`` once the ``>`` is out of the way."""

_BY_POLICY = ("policy", "prio")


def equivalent(query: TasksQuery) -> Equivalent:
    """``ps`` with the options that come nearest, the rest left to grep and sort."""
    notes: list[str] = []
    crash = _with_times(query, notes) if by_time(query) else _plain(query, notes)
    if UNKNOWN in query.state or UNKNOWN in query.policy:
        notes.append("crash cannot select what is unreadable")
    return Equivalent(crash, drgn_code(query), "; ".join(notes))


def by_time(query: TasksQuery) -> bool:
    """Whether it is asked when tasks last ran, which only ``ps -m`` shows."""
    return query.sort == "time" or bool(query.longer_than)


def _with_times(query: TasksQuery, notes: list[str]) -> str:
    crash = "ps -m" + kind_option(query) + _names(query)
    if query.cpu:
        crash += f" -C {query.cpu.replace(' ', ',')}"
    if query.leaders:
        notes.append("crash's -m cannot be combined with -G")
    if known_names(query.policy):
        notes.append("crash's -m cannot be combined with -y")
    if query.longer_than:
        notes.append("crash cannot select by time: the longest are last")
    elif not query.reverse:
        notes.append("crash shows the most recently run first")
    return crash + greps(query)


def _plain(query: TasksQuery, notes: list[str]) -> str:
    crash = "ps" + kind_option(query) + _names(query)
    if query.leaders:
        crash += " -G"
    if policies := known_names(query.policy):
        crash += f" -y {','.join(policies)}"
    crash += greps(query)
    if query.cpu:
        notes.append("crash selects CPUs only with ps -m -C")
    column = _SORT_COLUMNS.get(query.sort)
    if column is not None:
        crash += f" | tr '>' ' ' | sort -k{column}"
    elif query.sort in _BY_POLICY:
        notes.append("crash up to 8.0.6 does not show policy and priority; later ones have ps -Y")
    elif query.sort != "pid":
        notes.append(f"crash cannot sort by {query.sort}")
    return crash


def kind_option(selection: TaskSelection[Tasks]) -> str:
    """crash's option for kernel threads or user tasks only."""
    return " -k" if selection.kthreads else " -u" if selection.user else ""


def _names(query: TasksQuery) -> str:
    return "".join(f" {name}" for name in query.only.replace(",", " ").split())


def greps(selection: TaskSelection[Tasks]) -> str:
    """The state and the text, which crash leaves to grep."""
    text = ""
    if states := known_names(selection.state):
        text += f" | grep -w {states[0]}" if len(states) == 1 else (
            f" | grep -wE {shlex.quote('|'.join(states))}"
        )  # fmt: skip
    if selection.match:
        wanted = selection.match.removeprefix("!")
        options = "v" if wanted != selection.match else ""
        options += "" if any(c.isupper() for c in wanted) else "i"
        text += f" | grep -{options}E {shlex.quote(wanted)}"
    return text


# drgn.


def drgn_code(query: TasksQuery) -> str:
    """Prints the selected tasks, a line each."""
    conditions = drgn_conditions(query)
    key = {
        "time": "-task_since_last_arrival_ns(task)",
        "rss": "-task_rss(task).total",
        "vsz": "-task_vsize(task)",
        "cpu": "task_cpu(task)",
        "prio": "task.prio.value_()",
        "start": "task.start_time.value_()",
        "comm": "task.comm.string_()",
    }.get(query.sort, "task.pid.value_()")
    return (
        drgn_imports("task_rss, task_vsize")
        + "\ntasks = [idle_task(prog, cpu) for cpu in for_each_possible_cpu(prog)]\n"
        "tasks += for_each_task(prog)\n"
        + (f"tasks = [task for task in tasks if {conditions}]\n" if conditions else "")
        + f"tasks.sort(key=lambda task: {key}{', reverse=True' if query.reverse else ''})\n"
        "for task in tasks:\n"
        "    print(\n"
        "        task.pid.value_(), task.parent.pid.value_(), task_cpu(task), hex(task.value_()),\n"
        "        task_state_to_char(task), task_since_last_arrival_ns(task) / 1e9,\n"
        "        task_vsize(task) // 1024,\n"
        "        task_rss(task).total * prog['PAGE_SIZE'].value_() // 1024,\n"
        "        task.comm.string_(),\n"
        "    )\n"
    )  # fmt: skip


def drgn_imports(memory: str = "") -> str:
    """The imports of what ``drgn_conditions`` uses."""
    return (
        "import re\n"
        "from drgn.helpers.linux.cpumask import for_each_possible_cpu\n"
        "from drgn.helpers.linux.kthread import task_is_kthread\n"
        + (f"from drgn.helpers.linux.mm import {memory}\n" if memory else "")
        + "from drgn.helpers.linux.pid import for_each_task\n"
        "from drgn.helpers.linux.sched import (\n"
        "    idle_task, task_cpu, task_since_last_arrival_ns, task_state_to_char,\n"
        ")\n"
    )


_POLICY_NUMBERS = {
    "NORMAL": 0, "OTHER": 0, "FIFO": 1, "RR": 2, "BATCH": 3, "IDLE": 5, "DEADLINE": 6, "EXT": 7,
}  # fmt: skip


def drgn_conditions(selection: TaskSelection[Tasks]) -> str:
    """An expression over ``task``; empty when all are meant."""
    conditions = []
    if states := known_names(selection.state):
        letters = "".join(dict.fromkeys(_STATE_LETTERS.get(state, "R") for state in states))
        conditions.append(f"task_state_to_char(task) in {letters!r}")
    if names := known_names(selection.policy):
        numbers = sorted({_POLICY_NUMBERS[name] for name in names if name in _POLICY_NUMBERS})
        conditions.append(f"task.policy.value_() in {numbers}")
    if selection.kthreads:
        conditions.append("task_is_kthread(task)")
    if selection.user:
        conditions.append("not task_is_kthread(task)")
    if selection.leaders:
        conditions.append("task.group_leader == task")
    if selection.cpu:
        conditions.append(f"task_cpu(task) in {sorted(parse_cpus(selection.cpu))}")
    if selection.longer_than:
        nanoseconds = parse_duration(selection.longer_than)
        conditions.append(f"task_since_last_arrival_ns(task) > {nanoseconds}")
    if selection.only:
        conditions.append(_drgn_named(selection.only))
    if selection.match:
        wanted = selection.match.removeprefix("!")
        flags = "" if any(c.isupper() for c in wanted) else ", re.I"
        inverted = "not " if wanted != selection.match else ""
        conditions.append(f"{inverted}re.search({wanted.encode()!r}, task.comm.string_(){flags})")
    return " and ".join(conditions)


def _drgn_named(names: str) -> str:
    wanted = [parse_task(name) for name in names.replace(",", " ").split()]
    pids = [name for name in wanted if not isinstance(name, Address)]
    addresses = ", ".join(f"{name:#x}" for name in wanted if isinstance(name, Address))
    tests = [f"task.pid.value_() in {pids}"] if pids else []
    tests += [f"task.value_() in [{addresses}]"] if addresses else []
    return tests[0] if len(tests) == 1 else f"({' or '.join(tests)})"


# Text.

HEADER = "      PID    PPID  CPU       TASK        ST  %MEM      VSZ      RSS  COMM"
_POLICY_HEADER = "      PID    PPID  CPU       TASK        POLICY       PRIO  COMM"


def text(query: TasksQuery, result: Tasks) -> str:
    """As crash prints it; ``?`` where a value could not be read, and below why."""
    if by_time(query):
        lines = [line_with_time(task) for task in result.tasks]
    elif query.sort in _BY_POLICY:
        lines = [_POLICY_HEADER, *(_line_with_policy(task) for task in result.tasks)]
    else:
        memory = result.physical_memory_bytes
        lines = [HEADER, *(line(task, memory) for task in result.tasks)]
    unreadable = [
        f"  PID {_shown(task.pid)} ({task.task:x}): {value.what}: {value.why}"
        for task in result.tasks
        for value in task.unreadable
    ]
    unreadable += [f"  {value.what}: {value.why}" for value in result.unreadable]
    if unreadable:
        lines += ["", "UNREADABLE", *unreadable]
    return "\n".join(lines)


def line(task: Task, physical_memory_bytes: int | None) -> str:
    """A task as in ``ps``."""
    share = "?"
    if task.rss_bytes is not None and physical_memory_bytes:
        share = f"{100 * task.rss_bytes / physical_memory_bytes:.1f}"
    return (
        f"{_start(task)} {task.state or '??':>3}  {share:>4} {_kilobytes(task.vsize_bytes):>8} "
        f"{_kilobytes(task.rss_bytes):>8}  {command(task)}"
    )


def _line_with_policy(task: Task) -> str:
    return f"{_start(task)}  {task.policy or '?':<12} {_shown(task.prio):>4}  {command(task)}"


def _start(task: Task) -> str:
    mark = ">" if task.active else " "
    return f"{mark} {_shown(task.pid):>7} {_shown(task.ppid):>7} {_shown(task.cpu):>3}  {task.task}"


def line_with_time(task: Task) -> str:
    """A task as in ``ps -m``."""
    return f"[{elapsed(task.since_last_arrival_ns)}] [{task.state or '??'}]  {title(task)}"


def crash_name(task: Task) -> str:
    """What crash is told to mean this task: a PID, or the address of one of the idle tasks."""
    return str(task.pid) if task.pid else f"{task.task:x}"


def title(task: Task) -> str:
    """The line that crash puts above everything it says of one task."""
    return (
        f"PID: {_shown(task.pid):<7}  TASK: {task.task}  CPU: {_shown(task.cpu):<3}  "
        f'COMMAND: "{_shown(task.comm)}"'
    )


def elapsed(nanoseconds: int | None) -> str:
    """Days, hours, minutes, seconds and milliseconds as ``ps -m`` has them."""
    if nanoseconds is None:
        return "?"
    seconds, milliseconds = divmod(nanoseconds // 1_000_000, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days} {hours:02}:{minutes:02}:{seconds:02}.{milliseconds:03}"


def command(task: Task) -> str:
    """The command; a kernel thread's in brackets."""
    return f"[{_shown(task.comm)}]" if task.kthread else _shown(task.comm)


def _shown(value: int | str | None) -> str:
    return "?" if value is None else str(value)


def _kilobytes(value: int | None) -> str:
    return "?" if value is None else str(value // 1024)
