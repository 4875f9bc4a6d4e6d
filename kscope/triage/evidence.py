"""Facts in the form in which findings show them: the value, and how to see it with other tools."""

import re

from kscope.model.durations import in_words
from kscope.model.locks import Blocked, Lock
from kscope.model.survey import Evidence

_STRUCTS = {
    "mutex": ("mutex", "owner,wait_list"),
    "rwsem": ("rw_semaphore", "count,owner,wait_list"),
    "rt_mutex": ("rt_mutex_base", "owner,waiters"),
    "semaphore": ("semaphore", "count,wait_list"),
    "percpu_rwsem": ("percpu_rw_semaphore", "block,writer,waiters"),
    "completion": ("completion", "done,wait"),
    "wait_queue": ("wait_queue_head", "head"),
    "swait_queue": ("swait_queue_head", "task_list"),
    "work": ("work_struct", "data,entry,func"),
    "spinlock": ("qspinlock", "val"),
}


_LOG = "from drgn.helpers.linux.printk import print_dmesg\n\nprint_dmesg(prog)"


def of_object(label: str, text: str, struct: str, address: int, members: str = "") -> Evidence:
    """What a structure in memory says.

    :param members: those that say it, with commas between.
    """
    return Evidence(
        label=label,
        text=text,
        crash=f"struct {struct}{f'.{members}' if members else ''} {address:x}",
        drgn="from drgn import Object\n\n"
        f'print(Object(prog, "struct {struct}", address={address:#x}))',
    )


def of_per_cpu(label: str, text: str, variable: str, cpu: int, member: str = "") -> Evidence:
    """What a per-CPU variable says."""
    return Evidence(
        label=label,
        text=text,
        crash=f"p {variable}:{cpu}",
        drgn="from drgn.helpers.linux.percpu import per_cpu\n\n"
        f'print(per_cpu(prog["{variable}"], {cpu}){f".{member}" if member else ""})',
    )


def called(comm: str, pid: int, task: int | None) -> str:
    """``comm PID``; a task whose PID could not be read is called by its address."""
    if pid >= 0 or task is None:
        return f"{comm} {pid}"
    return f"{'' if comm == '?' else f'{comm}, '}task {task:x}"


def name_of(task: Blocked) -> str:
    """What a task of the wait graph is called."""
    return called(task.comm, task.pid, task.task)


def of_stack(label: str, text: str, pid: int, crash: str = "bt") -> Evidence:
    """What a task's stack says.

    :param crash: the command that takes its PID.
    """
    return Evidence(
        label=label,
        text=text,
        crash=f"{crash} {pid}",
        drgn=f"print(prog.stack_trace({pid}))",
    )


def of_task(task: Blocked, label: str = "") -> Evidence:
    """What a task does and since when, with its backtrace."""
    since = task.since_last_arrival_ns
    text = f"{task.state} for at most {in_words(since)}, {task.doing}"
    label = label or name_of(task)
    if task.pid >= 0:
        return of_stack(label, text, task.pid)
    text = task.doing if since is None else text
    return Evidence(
        label=label,
        text=text,
        crash=f"bt {task.task:x}",
        drgn="from drgn import Object\n\n"
        f'print(prog.stack_trace(Object(prog, "struct task_struct *", {task.task:#x})))',
    )


def of_wait(task: Blocked) -> Evidence:
    """How it is known for which lock a task waits."""
    return of_stack(f"wait of {task.pid}", task.how, task.pid, "bt -f")


def short_name(lock: Lock) -> str:
    """A lock's name for a title: of an object that has a name, without its address."""
    return re.sub(r" [0-9a-f]{16}(?= \(|\+)", "", lock.name) or f"{lock.address:x}"


def of_lock(lock: Lock) -> Evidence:
    """A lock, who owns it and how that is known."""
    owner = "nobody known"
    if lock.owner is not None:
        owner = called(lock.owner_comm, lock.owner, lock.owner_task)
    what = f"{lock.kind} {lock.address:x} {lock.name}".rstrip()
    label = f"owner of {lock.name or format(lock.address, 'x')}"
    text = f"{owner}: {lock.owner_note} ({what})"
    if lock.kind in _STRUCTS:
        struct, members = _STRUCTS[lock.kind]
        return of_object(label, text, struct, lock.address, members)
    return Evidence(
        label=label,
        text=text,
        crash=f"rd {lock.address:x}",
        drgn=f"print(hex(prog.read_u64({lock.address:#x})))",
    )


def of_variable(name: str, value: object, meaning: str = "") -> Evidence:
    """A kernel variable and what its value means."""
    return Evidence(
        label=name,
        text=f"{value}{': ' if meaning else ''}{meaning}",
        crash=f"p {name}",
        drgn=f'print(prog["{name}"])',
    )


def of_log(label: str, text: str, grep: str = "") -> Evidence:
    """A line of the log.

    :param grep: the words of grep's command line that find it.
    """
    crash = f"log | grep {grep}" if grep else "log"
    return Evidence(label=label, text=text, crash=crash, drgn=_LOG)


def of_cpu(cpu: int, text: str, label: str = "") -> Evidence:
    """What a CPU does, with its backtrace."""
    return Evidence(
        label=label or f"CPU {cpu}",
        text=text,
        crash=f"bt -c {cpu}",
        drgn=(
            "from drgn.helpers.linux.sched import cpu_curr\n\n"
            f"print(prog.stack_trace(cpu_curr(prog, {cpu})))"
        ),
    )
