"""Queues behind a lock: whoever is at the end of each chain of waiting, and what it does."""

from collections.abc import Iterator

from kscope.model.locks import Lock, Root
from kscope.model.survey import Finding
from kscope.triage.evidence import name_of, of_lock, of_task, short_name
from kscope.triage.facts import Facts
from kscope.triage.rule import Rule
from kscope.triage.waiting import (
    CHAIN_NS,
    lasting,
    overdue_devices,
    overdue_servers,
    severity_of,
    waited,
)

_MOST_SHOWN = 6


def _check(facts: Facts) -> Iterator[Finding]:
    for root in facts.locks.roots:
        locks = [facts.lock_at[int(address)] for address in root.locks]
        # A worker that others wait for is told of as stuck work.
        if all(lock.kind == "work" for lock in locks):
            continue
        behind = [facts.blocked[pid] for pid in root.behind if pid in facts.blocked]
        if all(task.state != "UN" for task in behind):
            # Whoever sleeps interruptibly may do so for ever, as the second reader of a terminal
            # waits for the first.
            continue
        if root.pid is None and all(task.category == "io" for task in behind):
            continue  # a frozen filesystem, which has a finding of its own
        if waited(behind) >= CHAIN_NS:
            yield _finding(facts, root, locks)


def _finding(facts: Facts, root: Root, locks: list[Lock]) -> Finding:
    behind = [facts.blocked[pid] for pid in root.behind if pid in facts.blocked]
    longest = waited(behind)
    owner = facts.blocked.get(root.pid) if root.pid is not None else None
    # An owner that is blocked itself has mostly been so for longer than those behind it.
    since = waited([owner, *behind]) if owner and owner.state == "UN" else longest
    lock = locks[0]
    called = f"{lock.kind} {short_name(lock)}"
    count = f"{len(behind)} task{'s' if len(behind) > 1 else ''}"
    if owner is None:
        title = f"{called}: {count}, owner not recorded,"
        explanation = f"{root.doing}. "
        if lock.possible_owners:
            found = ", ".join(map(str, lock.possible_owners))
            explanation += f"Its address is on the stacks of PID {found}: look at these first. "
    elif not root.certain:
        reader = lock.kind == "rwsem"
        last = "a reader" if reader else "its last holder"
        title = f"{called}: {count} behind {name_of(owner)}, {last},"
        explanation = (
            f"{name_of(owner)} was the last to take it{' for reading' if reader else ''} "
            f"({lock.owner_note}), and {owner.doing}. If it still has it, it is what everybody "
            f"waits for; others {'that read ' if reader else ''}may be. "
        )
        if lock.possible_owners:
            found = ", ".join(map(str, lock.possible_owners))
            explanation += f"The lock's address is also on the stacks of PID {found}. "
    else:
        title = f"{called}: {count} behind its owner {name_of(owner)}"
        explanation = f"{name_of(owner)} {owner.doing}. Until it goes on, nobody does. "
    if owner is not None and owner.device in overdue_devices(facts):
        explanation += f"{owner.device} does not answer, so they are all victims of that. "
    if owner is not None and owner.asked and any(owner in t for t in overdue_servers(facts)):
        explanation += f"{owner.asked.server} does not answer, so they are all victims of that. "
    modes = {waiter.mode for waiter in lock.waiters}
    if {"read", "write"} <= modes:
        explanation += "Readers queue behind the first writer, although a reader has the lock. "
    return Finding(
        rule=RULE.name,
        severity=severity_of(facts, since),
        title=title + lasting(longest) if longest else title.removesuffix(","),
        explanation=explanation,
        evidence=(
            *((of_task(owner),) if owner else ()),
            *(of_lock(lock) for lock in locks),
            *(of_task(task) for task in behind[:_MOST_SHOWN]),
        ),
        duration_ns=longest or None,
        tasks=(*((root.pid,) if root.pid is not None else ()), *root.behind),
        locks=root.locks,
        disproof="the owner is running, or the lock has another owner now"
        if root.certain
        else "somebody else is found to hold it",
        rank=30 if owner is not None and (owner.device or owner.asked) else 20,
    )


RULE = Rule("lock-chain", "queues behind a lock's owner", _check, seconds=20.0)
