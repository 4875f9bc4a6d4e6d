"""Tasks that are blocked for long and wait for no lock: I/O, memory, events, other tasks."""

from collections import defaultdict
from collections.abc import Iterator

from kscope.kernel.access.reading import READ_ERRORS
from kscope.kernel.waiting.wait_categories import caller
from kscope.model.locks import Blocked, Category
from kscope.model.survey import Finding
from kscope.triage.evidence import name_of, of_stack, of_task
from kscope.triage.facts import Facts
from kscope.triage.memory_use import is_exhausted, reclaiming
from kscope.triage.rule import Rule
from kscope.triage.signature import telling
from kscope.triage.waiting import (
    LONG_NS,
    lasting,
    overdue_devices,
    overdue_servers,
    severity_of,
    waited,
)

_MOST_SHOWN = 8

_ADVICE: dict[Category, str] = {
    "io": "Look at the requests in flight and their age, at the device and its driver's messages "
    "in the log, at the server if the filesystem is a network's.",
    "memory": "Look at how much memory is free and who has it; reclaim that makes no progress "
    "looks like a hang.",
    "completion": "Who is to end that is not recorded: find in the source who completes or wakes "
    "it, and look at what that one does.",
    "work": "Look at the worker that executes the item, and at its pool.",
    "task": "Look at the one that they wait for.",
    "unknown": "What they wait for could not be told: read the function that went to sleep.",
    "lock": "Who has it is not recorded: find in the source who sets it, and look at what that one "
    "does.",
}


def _check(facts: Facts) -> Iterator[Finding]:
    explained = _in_chains(facts)
    groups: dict[tuple[Category, str, tuple[str, ...]], list[Blocked]] = defaultdict(list)
    for task in facts.locks.blocked:
        if task.state != "UN" or task.category is None or task.pid in explained:
            continue
        if task.killable and task.category == "task":
            continue  # as a parent waits for its vfork()ed child, however long that takes
        if (task.since_last_arrival_ns or 0) < LONG_NS:
            continue
        groups[task.category, task.doing, task.functions].append(task)
    for (category, doing, functions), tasks in groups.items():
        yield _finding(facts, category, doing, functions, tasks)


def _in_chains(facts: Facts) -> set[int]:
    """Those that other findings tell of: about locks, devices, servers, filesystems, memory."""
    found = {pid for ring in facts.locks.rings for pid in (*ring.pids, *ring.behind)}
    for root in facts.locks.roots:
        found.update(root.behind)
        if root.pid is not None:
            found.add(root.pid)
    devices = overdue_devices(facts)
    found.update(task.pid for task in facts.locks.blocked if task.device in devices)
    found.update(task.pid for tasks in overdue_servers(facts) for task in tasks)
    if _is_told_of_memory(facts):
        found.update(task.pid for task in reclaiming(facts))
    return found


def _is_told_of_memory(facts: Facts) -> bool:
    try:
        return is_exhausted(facts)
    except READ_ERRORS:
        return False  # then the rule for memory has failed, and these tasks are told of here


def _finding(
    facts: Facts, category: Category, doing: str, functions: tuple[str, ...], tasks: list[Blocked]
) -> Finding:
    tasks.sort(key=lambda task: -(task.since_last_arrival_ns or 0))
    longest = waited(tasks)
    if len(tasks) == 1:
        title = f"{name_of(tasks[0])} is blocked"
        sentence = f"It {doing}"
    else:
        title = f"{len(tasks)} tasks are blocked"
        sentence = f"Each of them, with the same stack, {doing}"
    title += f" in {caller(functions)}()" if functions else ""
    title += lasting(longest)
    stack = of_stack("stack", " <- ".join(telling(functions) or functions[:6]), tasks[0].pid)
    return Finding(
        rule=RULE.name,
        severity=severity_of(facts, longest),
        title=title,
        explanation=f"{sentence}. {_ADVICE[category]} The time is since the task was last on a "
        "CPU, so at most this long.",
        evidence=(*(of_task(task) for task in tasks[:_MOST_SHOWN]), stack),
        duration_ns=longest or None,
        tasks=tuple(task.pid for task in tasks),
        locks=tuple(dict.fromkeys(task.lock for task in tasks if task.lock is not None)),
        disproof="the tasks are runnable, or were on a CPU more recently",
        rank=40,
    )


RULE = Rule("blocked-tasks", "tasks blocked for long", _check, seconds=20.0)
