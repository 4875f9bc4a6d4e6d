"""Who has the memory: shared by what tells of its exhaustion."""

from kscope.kernel.waiting.wait_categories import is_throttled
from kscope.model.locks import Blocked
from kscope.model.survey import Evidence
from kscope.model.tasks import Task
from kscope.triage.facts import Facts
from kscope.triage.waiting import LONG_NS, waited

_LARGEST = 5
_MIB = 1 << 20

_MANY = 3
"""Tasks in direct reclaim at the same moment, one of them for long."""


def size(value: int | None) -> str:
    """Bytes in words."""
    if value is None:
        return "?"
    return f"{value / _MIB:.1f} MB" if value < 10 << 30 else f"{value / (1 << 30):.1f} GB"


def largest_processes(facts: Facts) -> list[Task]:
    """Each process once: threads share their memory."""
    leaders = [task for task in facts.tasks if task.leader and task.rss_bytes]
    return sorted(leaders, key=lambda task: -(task.rss_bytes or 0))[:_LARGEST]


def of_process(task: Task) -> Evidence:
    """How much memory a process has."""
    return Evidence(
        label=f"{task.comm} {task.pid}",
        text=f"RSS {size(task.rss_bytes)}, virtual {size(task.vsize_bytes)}",
        crash=f"ps -G {task.pid}",
        drgn="from drgn.helpers.linux.mm import task_rss\n"
        "from drgn.helpers.linux.pid import find_task\n\n"
        f"print(task_rss(find_task(prog, {task.pid})))",
    )


def of_counters(counters: dict[str, int]) -> Evidence:
    """Where the memory went."""
    return Evidence(
        label="memory",
        text=", ".join(f"{name} {size(value)}" for name, value in counters.items()),
        crash="kmem -i",
        drgn="from drgn.helpers.linux.vmstat import nr_free_pages\n\nprint(nr_free_pages(prog))",
    )


def reclaiming(facts: Facts) -> list[Blocked]:
    """Tasks that wait for memory, the longest first; writers that are throttled do not."""
    return [
        task
        for task in facts.locks.blocked
        if task.category == "memory" and not is_throttled(task.functions)
    ]


def no_zone_has_any(facts: Facts) -> bool:
    """Whether every zone is exhausted; not if none is known."""
    return bool(facts.zones) and all(zone.exhausted for zone in facts.zones)


def is_exhausted(facts: Facts) -> bool:
    """Whether there is so little memory that it is told of by itself."""
    if facts.panic.kind == "oom":
        return False  # told of as the panic
    if no_zone_has_any(facts):
        return True
    found = reclaiming(facts)
    return len(found) >= _MANY and waited(found) >= LONG_NS


def shrinker_of(task: Blocked) -> str:
    """The shrinker that a task sleeps in; empty if it is in none."""
    for caller in ("do_shrink_slab", "shrink_slab"):
        if caller in task.functions[1:]:
            return task.functions[task.functions.index(caller) - 1]
    return ""
