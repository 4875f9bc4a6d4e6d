"""Deadlocks: rings of tasks each of which waits for a lock that the next one holds."""

from collections.abc import Iterator

from kscope.model.locks import Blocked, Cycle
from kscope.model.survey import Finding
from kscope.triage.evidence import name_of, of_lock, of_task, of_wait
from kscope.triage.facts import Facts
from kscope.triage.rule import Rule
from kscope.triage.waiting import lasting, waited

_MOST_BEHIND = 20


def _check(facts: Facts) -> Iterator[Finding]:
    for ring in facts.locks.rings:
        tasks = [facts.blocked[pid] for pid in ring.pids]
        yield _finding(facts, ring, tasks)


def _finding(facts: Facts, ring: Cycle, tasks: list[Blocked]) -> Finding:
    names = [name_of(task) for task in tasks]
    locks = [facts.lock_at[int(address)] for address in ring.locks]
    kinds = " and ".join(dict.fromkeys(lock.kind for lock in locks))
    sentences = []
    for index, task in enumerate(tasks):
        wanted, held = locks[index], locks[index - 1]
        sentences.append(
            f"{name_of(task)} holds {held.kind} {held.name or held.address:} and wants "
            f"{wanted.kind} {wanted.name or wanted.address}"
        )
    behind = [facts.blocked[pid] for pid in ring.behind if pid in facts.blocked]
    longest = waited([*tasks, *behind])
    count = f"{len(tasks)} task{'s' if len(tasks) > 1 else ''} in the ring"
    count += f", {len(behind)} queued behind" if behind else ""
    queue = f" Behind them: {_list(behind)}." if behind else ""
    lasts = "None of them can ever go on" + (
        ", unless one that may be interrupted gets a signal."
        if any(task.killable or task.state == "IN" for task in tasks)
        else "."
    )
    if not ring.certain:
        lasts = (
            "One of these owners is only the last known reader: it may have left the lock. If it "
            f"has not: {lasts[0].lower()}{lasts[1:]}"
        )
    if len(tasks) == 1:
        title = f"Deadlock: {names[0]} waits for a {kinds} that it holds itself"
    elif len(tasks) == 2:
        title = f"Deadlock: {tasks[0].comm} and {tasks[1].comm} hold each other's {kinds}"
    else:
        title = f"Deadlock: {len(tasks)} tasks in a ring of {kinds}: {', '.join(names)}"
    if not ring.certain:
        title = title.replace("Deadlock", "Possible deadlock")
    title += lasting(longest)
    return Finding(
        rule=RULE.name,
        severity="critical" if ring.certain else "warning",
        title=title,
        explanation=f"{count}. {'; '.join(sentences)}. "
        f"{lasts}{queue} "
        "Compare the order in which the two code paths take these locks: one of them must change.",
        evidence=(
            *(of_task(task) for task in tasks),
            *(of_lock(lock) for lock in locks),
            *(of_wait(task) for task in tasks),
        ),
        duration_ns=longest or None,
        tasks=(*ring.pids, *ring.behind),
        locks=ring.locks,
        disproof="one of the tasks is runnable, or the owner of one of the locks is another task",
        rank=1,
    )


def _list(tasks: list[Blocked]) -> str:
    names = [name_of(task) for task in tasks[:_MOST_BEHIND]]
    more = len(tasks) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


RULE = Rule("deadlock", "tasks that hold each other's locks", _check, seconds=20.0)
