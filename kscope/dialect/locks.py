"""Locks: who waits for whom, as an indented tree, and the contended locks as a table.

crash has no command for either. What one types is ``ps -m | grep UN`` for the tasks, ``struct`` for
the lock that one has found, and a mask over its owner.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from kscope.dialect.views import Equivalent
from kscope.model.base import Address
from kscope.model.durations import in_words
from kscope.model.locks import Blocked, Lock, Locks, LocksQuery, Waiter

QUERY = LocksQuery

_STRUCTS = {
    "mutex": "struct mutex.owner,wait_list",
    "rwsem": "struct rw_semaphore.owner,count,wait_list",
    "rt_mutex": "struct rt_mutex_base.owner,waiters",
    "semaphore": "struct semaphore.count,wait_list",
    "percpu_rwsem": "struct percpu_rw_semaphore.block,writer,waiters",
    "completion": "struct completion.done,wait",
    "wait_queue": "struct wait_queue_head.head",
    "swait_queue": "struct swait_queue_head.task_list",
    "work": "struct work_struct.data,entry,func",
    "spinlock": "struct qspinlock.val",
    "bit_lock": "rd",
}

_DRGN = """\
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.sched import task_since_last_arrival_ns, task_state_to_char

for task in for_each_task(prog):
    if task_state_to_char(task) == "D":
        since = task_since_last_arrival_ns(task) / 1e9
        print(since, task.pid.value_(), hex(task), task.comm.string_())
        print(prog.stack_trace(task))
"""


def equivalent(query: LocksQuery) -> Equivalent:
    """The tasks that wait; the locks crash leaves to the reader."""
    note = "crash shows who waits, not for what: bt each, then struct MUTEX.owner & ~7"
    if query.pid:
        return Equivalent(f"bt -f {query.pid}", f"print(prog.stack_trace({query.pid}))", note)
    return Equivalent("ps -m | grep UN", _DRGN, note)


def type_of(lock: Lock) -> str:
    """The type of what is at the lock's address; empty for the word of a bit lock."""
    return "" if lock.kind == "bit_lock" else _STRUCTS[lock.kind].partition(".")[0]


def lock_equivalent(lock: Lock) -> Equivalent:
    """What shows one lock."""
    if lock.kind == "bit_lock":
        drgn = f"print(hex(prog.read_u64({lock.address:#x})))"
    else:
        drgn = f'print(Object(prog, "{type_of(lock)}", address={lock.address:#x}))'
        drgn = "from drgn import Object\n\n" + drgn
    return Equivalent(f"{_STRUCTS[lock.kind]} {lock.address:x}", drgn)


Role = Literal["", "name", "state", "dim", "warning", "critical", "head"]


class Span(msgspec.Struct, frozen=True):
    """A piece of a line, and what it leads to."""

    text: str
    role: Role = ""
    pid: int | None = None
    lock: Address | None = None


Line = tuple[Span, ...]


def text(query: LocksQuery, result: Locks) -> str:  # noqa: ARG001
    """The tree, then the table."""
    parts = ["\n".join("".join(span.text for span in line) for line in tree(result))]
    if result.locks:
        parts.append(_table(result.locks))
    if result.unreadable:
        parts.append("UNREADABLE\n" + "\n".join(f"  {u.what}: {u.why}" for u in result.unreadable))
    return "\n\n".join(filter(None, parts)) or "No task waits for a lock."


def summary(result: Locks) -> str:
    """How much there is, in a few words."""
    blocked = sum(task.state == "UN" for task in result.blocked)
    parts = [
        _count(len(result.cycles), "cycle") if result.cycles else "",
        _count(len(result.roots), "root blocker") if result.roots else "",
        _count(blocked, "blocked task"),
    ]
    return " · ".join(filter(None, parts))


def tree(result: Locks) -> list[Line]:
    """The wait graph: cycles first, then each root blocker with all who wait for it below it."""
    return list(_Tree(result).lines())


class _Tree:
    def __init__(self, result: Locks) -> None:
        self._result = result
        self._locks = {lock.address: lock for lock in result.locks}
        self._tasks = {task.pid: task for task in result.blocked}
        self._held: dict[int, list[Lock]] = defaultdict(list)
        for lock in result.locks:
            if lock.owner is not None and lock.kind != "spinlock":
                self._held[lock.owner].append(lock)
        self._shown: set[int] = set()

    def lines(self) -> Iterator[Line]:
        """Sections with an empty line between them."""
        sections = [*self._cycles(), *self._roots(), *self._spinlocks(), *self._others()]
        for index, section in enumerate(sections):
            if index:
                yield ()
            yield from section

    def _cycles(self) -> Iterator[list[Line]]:
        for ring in self._result.rings:
            word = "cycle" if ring.certain else "possible cycle"
            role: Role = "critical" if ring.certain else "warning"
            first = ring.pids[0]
            lines: list[Line] = [(Span("● ", role), Span(word, role))]
            lines.append((Span("  "), *self._task(first), *self._holding(first)))
            lines += self._below(first, "  ", {first}, set(ring.pids))
            yield lines

    def _roots(self) -> Iterator[list[Line]]:
        for root in self._result.roots:
            held = [self._locks[lock] for lock in root.locks if lock in self._locks]
            if root.pid is None:
                lines: list[Line] = [
                    (Span("● ", "warning"), *(_lock(held[0]) if held else ())),
                    *_sentences(root.doing),
                ]
                for lock in held:
                    lines += self._waiting(lock, "  ", set(), set())
            else:
                bullet = Span("● ", "warning")
                lines = [
                    (bullet, *self._task(root.pid), *self._holding(root.pid, doubt=False)),
                    *((Span(f"  {words}", "warning"),) for words in dict.fromkeys(map(_doubt, held))
                      if words),
                    (Span("  itself ", "dim"), Span(root.doing)),
                ]  # fmt: skip
                lines += self._below(root.pid, "  ", {root.pid}, set())
            yield lines

    def _spinlocks(self) -> Iterator[list[Line]]:
        for lock in self._result.locks:
            if lock.kind != "spinlock":
                continue
            lines: list[Line] = [(Span("● ", "critical"), *_lock(lock))]
            if lock.owner is not None:
                lines.append(
                    (Span("  likely held by ", "dim"), Span(f"{lock.owner_comm} {lock.owner}",
                                                            "name", lock.owner))
                )  # fmt: skip
            lines += _sentences(lock.owner_note)
            spinners = [s for s in self._result.spinning if s.lock == lock.address]
            for index, spinner in enumerate(spinners):
                lines.append(
                    (
                        Span("  " + _branch(index, len(spinners))),
                        Span(f"{spinner.comm} {spinner.pid}", "name", spinner.pid),
                        Span(f" spins on CPU {spinner.cpu} in {spinner.function}()", "dim"),
                    )
                )
            yield lines

    def _others(self) -> Iterator[list[Line]]:
        """Those that wait for no lock and have nobody behind them."""
        rest = [
            task
            for task in self._result.blocked
            if task.state == "UN" and task.pid not in self._shown
        ]
        if rest:
            lines: list[Line] = [(Span("● ", "dim"), Span("blocked, with nobody behind", "head"))]
            for task in rest:
                lines.append(
                    (Span("  "), *self._task(task.pid, role=""), Span("   " + task.doing, "dim"))
                )
            yield lines

    def _below(self, pid: int, indent: str, path: set[int], ring: set[int]) -> Iterator[Line]:
        for lock in self._held.get(pid, ()):
            yield from self._waiting(lock, indent, path, ring)

    def _waiting(self, lock: Lock, indent: str, path: set[int], ring: set[int]) -> Iterator[Line]:
        # Those in the cycle first, since the others only queue behind them.
        waiters = sorted(lock.waiters, key=lambda waiter: waiter.pid not in ring)
        for index, waiter in enumerate(waiters):
            branch = _branch(index, len(waiters))
            if waiter.pid in path:
                closes = Span("   wants it: closes the cycle", "critical")
                yield (
                    Span(indent + branch, "dim"),
                    *self._task(waiter.pid, role="", time=False),
                    closes,
                )
                continue
            yield (
                Span(indent + branch, "dim"),
                *self._task(waiter.pid, role=""),
                Span("   " + _wants(waiter, lock), "dim"),
                *self._holding(waiter.pid, ", "),
            )
            deeper = indent + ("   " if index == len(waiters) - 1 else "│  ")
            yield from self._below(waiter.pid, deeper, path | {waiter.pid}, ring)

    def _task(self, pid: int, *, role: Role = "name", time: bool = True) -> Line:
        self._shown.add(pid)
        task = self._tasks.get(pid)
        if task is None:
            return (Span(str(pid), role, pid),)
        name = Span(f"{task.comm} {task.pid}", role, pid)
        return (name, *_state(task)) if time else (name,)

    def _holding(self, pid: int, before: str = "   ", *, doubt: bool = True) -> Line:
        spans: list[Span] = []
        for lock in self._held.get(pid, ()):
            reads = lock.kind == "rwsem" and not lock.owner_certain
            verb = "executes" if lock.kind == "work" else "reads" if reads else "holds"
            spans.append(Span(f"{before if not spans else ', '}{verb} ", "dim"))
            spans += _lock(lock)
            if doubt and _doubt(lock):
                spans.append(Span(f" {_doubt(lock)}", "warning"))
        return tuple(spans)


def _doubt(lock: Lock) -> str:
    """Why its owner may not be."""
    if lock.owner is None or lock.owner_certain:
        return ""
    if lock.kind == "rwsem":
        return "last known reader, not certain"
    return "its last holder, not certain" if lock.kind == "semaphore" else "not certain"


def _sentences(note: str) -> list[Line]:
    """A note about an owner, each part of it on a line."""
    return [(Span(f"  {part}", "dim"),) for part in note.split("; ")]


def _state(task: Blocked) -> Line:
    role: Role = "state" if task.state == "UN" else "dim"
    return (Span(f" {task.state}", role), Span(f" {in_words(task.since_last_arrival_ns)}"))


def _lock(lock: Lock) -> Line:
    kind = lock.kind.replace("_", " ") if lock.kind in ("wait_queue", "bit_lock") else lock.kind
    spans = [Span(f"{kind} {lock.address:x}", lock=lock.address)]
    if lock.name:
        spans.append(Span(f" {lock.name}", "dim"))
    return tuple(spans)


def _wants(waiter: Waiter, lock: Lock) -> str:
    if lock.kind == "work":
        return "waits for the work item to end"
    return {"read": "wants to read", "write": "wants to write"}.get(waiter.mode, "wants it")


def _branch(index: int, count: int) -> str:
    return "└─ " if index == count - 1 else "├─ "


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def certainty(lock: Lock) -> str:
    """Whether the owner is certain, in a word or two."""
    if lock.owner is None:
        return "-"
    if lock.owner_certain:
        return "yes"
    return {"rwsem": "no, reader", "spinlock": "no, likely"}.get(lock.kind, "no, last known")


def longest(lock: Lock) -> int | None:
    """How long its longest waiter has been off the CPU, in ns."""
    known = [w.since_last_arrival_ns for w in lock.waiters if w.since_last_arrival_ns is not None]
    return max(known, default=None)


COLUMNS = ("LOCK", "KIND", "NAME", "OWNER", "CERTAIN", "WAITERS", "LONGEST")


def row(lock: Lock) -> tuple[str, ...]:
    """A lock as a row of the table."""
    return (
        str(lock.address),
        lock.kind,
        lock.name,
        f"{lock.owner_comm} {lock.owner}" if lock.owner is not None else "-",
        certainty(lock),
        str(len(lock.waiters)),
        in_words(longest(lock)) if longest(lock) is not None else "-",
    )


def _table(locks: Iterable[Lock]) -> str:
    rows = [COLUMNS, *map(row, locks)]
    widths = [max(len(cells[column]) for cells in rows) for column in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
        for cells in rows
    )
