"""Contended locks, their owners and waiters, deadlocks and root blockers."""

import struct
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from drgn import Object, Program, cast

from kscope.kernel.access.layout import Layout
from kscope.kernel.access.lists import collect
from kscope.kernel.access.reading import READ_ERRORS, Readings, reason
from kscope.kernel.process.task_table import task_table
from kscope.kernel.unwinding.blocked_stack import Stack, sleeping_stack
from kscope.kernel.waiting.devices import JOURNAL_THREAD, Devices
from kscope.kernel.waiting.filesystems import Filesystem, frozen_filesystem_of
from kscope.kernel.waiting.lock_names import lock_name
from kscope.kernel.waiting.lock_owners import Owner, owner_of
from kscope.kernel.waiting.lock_sleepers import lock_sleepers
from kscope.kernel.waiting.remote_servers import RemoteServers, in_sentence, request_name
from kscope.kernel.waiting.spinning import spinlocks
from kscope.kernel.waiting.wait_categories import caller, category_of, is_throttled
from kscope.kernel.waiting.wait_graph import Edge, WaitGraph
from kscope.kernel.waiting.waits import Queued, Wait, Waits, flushed_work
from kscope.model.base import Address
from kscope.model.locks import (
    Blocked,
    Category,
    Cycle,
    Lock,
    Locks,
    LocksQuery,
    Root,
    Unanswered,
    Waiter,
)
from kscope.model.tasks import Task
from kscope.target.target import Target

_TASK_WAKEKILL = 0x100
"""With it, TASK_UNINTERRUPTIBLE is TASK_KILLABLE (include/linux/sched.h)."""

_SECONDS_FOR_STACKS = 0.5
"""How long stacks are searched for who may hold the locks that do not say who does."""

_EVENTS = ("completion", "wait_queue", "swait_queue", "work", "bit_lock")
"""What a task waits for without anybody holding it."""

_CACHE_KEY = "kscope locks"


def locks(target: Target, query: LocksQuery) -> Locks:
    """Answer a LocksQuery.

    :raises QueryError: if there are no types.
    """
    result = read_locks(target)
    return _only(result, query.pid) if query.pid else result


def read_locks(target: Target) -> Locks:
    """The whole wait graph. A dump's is read once.

    :raises QueryError: if there are no types.
    """
    cache = target.program.cache
    result: Locks | None = None if target.identity.live else cache.get(_CACHE_KEY)
    if result is None:
        result = _Graph(target).result()
        if not target.identity.live:
            cache[_CACHE_KEY] = result
    return result


@dataclass
class _Node:
    """A task in the graph."""

    row: Task
    task: Object
    """``struct task_struct *``"""
    pid: int
    """Its PID; where that could not be read, a negative number that no other task has."""
    stack: Stack | None = None
    wait: Wait | None = None
    category: Category | None = None
    words: str = ""
    """What it waits for, where its functions say more than the lock does."""
    device: str = ""
    asked: Unanswered | None = None
    in_iowait: bool = False
    killable: bool = False

    @property
    def comm(self) -> str:
        """Its name."""
        return self.row.comm or "?"

    @property
    def functions(self) -> tuple[str, ...]:
        """Its stack's functions, innermost first."""
        return self.stack.functions if self.stack else ()


class _Graph:
    def __init__(self, target: Target) -> None:
        table = task_table(target)
        self._table = table
        self._program: Program = target.program
        self._readings = Readings()
        self._rows = {int(row.task): row for row in table.rows}
        stacks = {found.address: found.raw.stack for found in table.found}
        self._stacks = stacks
        self._row_by_stack = {
            stack: self._rows[address] for address, stack in stacks.items() if stack
        }
        self._thread_size = int(self._program["THREAD_SIZE"])
        self._waits = Waits(self._program, stacks)
        journal_threads = {
            address: row.comm
            for address, row in self._rows.items()
            if row.kthread and row.comm and row.comm.startswith(JOURNAL_THREAD)
        }
        self._devices = Devices(self._program, journal_threads)
        self._servers = RemoteServers(self._program)
        self._nodes: dict[int, _Node] = {}
        self._without_pid = 0
        self._owners: dict[int, Owner] = {}
        self._queues: dict[int, tuple[Wait, list[Queued]]] = {}
        self._names: dict[int, str] = {}
        self._frozen: dict[int, Filesystem | None] = {}
        """By lock: it has many waiters, and all filesystems are gone through to tell."""
        self._possible: dict[int, tuple[int, ...]] = {}

    def result(self) -> Locks:
        """Read everything and put it together."""
        for address, row in self._rows.items():
            if row.state == "UN":
                self._add(address)
        interruptible = {
            address: self._stacks.get(address)
            for address, row in self._rows.items()
            if row.state == "IN"
        }
        try:
            for address in lock_sleepers(self._program, interruptible, self._readings):
                self._add(address)
        except READ_ERRORS as error:
            self._readings.note("who waits for locks in interruptible sleep", reason(error))
        self._follow_waits()
        self._search_stacks()
        found = [self._lock(address) for address in self._queues]
        found.sort(key=lambda lock: (lock.kind in _EVENTS and not lock.owner, -_longest_wait(lock)))
        spun, spinning = spinlocks(self._program, self._readings)
        graph = WaitGraph(self._edges())
        cycles = sorted(
            (
                _lowest_first(
                    Cycle(
                        pids=self._pids(ring.tasks), locks=tuple(map(Address, ring.locks)),
                        certain=ring.certain, behind=self._pids(ring.behind),
                    )
                )
                for ring in graph.rings()
            ),
            key=lambda cycle: cycle.pids,
        )  # fmt: skip
        return Locks(
            locks=(*found, *spun),
            cycles=tuple(cycle.pids for cycle in cycles if cycle.certain),
            rings=tuple(cycles),
            roots=tuple(self._roots(graph)),
            blocked=self._blocked(),
            spinning=spinning,
            unreadable=(*self._table.unreadable, *self._readings.unreadable),
        )

    # Collecting.

    def _add(self, address: int) -> _Node | None:
        if address not in self._nodes:
            try:
                self._nodes[address] = self._read(address)
            except READ_ERRORS as error:
                self._readings.note(f"task {address:x}", reason(error))
                return None
        return self._nodes[address]

    def _read(self, address: int) -> _Node:
        pointer = Object(self._program, "unsigned long", address)
        task = cast("struct task_struct *", pointer)
        row = self._rows[address]
        if row.pid is None:
            self._without_pid += 1
        node = _Node(row, task, -self._without_pid if row.pid is None else row.pid)
        who = f"{node.comm} {node.pid}"
        read = self._readings.read
        node.in_iowait = read(f"in_iowait of {who}", lambda: bool(task.in_iowait), False)
        node.killable = read(f"state of {who}", lambda: bool(_state(task) & _TASK_WAKEKILL), False)
        if node.row.active or node.row.state in ("RU", "ZO", "DE"):
            return node
        try:
            node.stack = sleeping_stack(self._program, task)
            node.wait = self._waits.of(task, node.stack)
        except READ_ERRORS as error:
            self._readings.note(f"stack of {node.comm} {node.pid}", reason(error))
        if node.row.state != "UN" and node.wait is not None and node.wait.kind in _EVENTS:
            node.wait = None  # it sleeps as one does that has nothing to do
        if node.row.state == "UN" or node.wait is not None:
            self._categorise(node)
        if node.wait is not None:
            flushed = flushed_work(self._program, node.wait)
            if flushed is not None:
                work, worker = flushed
                node.category, node.words = "work", ""
                how = node.wait.how + ", of a flush_work() barrier"
                node.wait = Wait("work", work, "work", node.wait.waiter, how)
                self._owners[work] = Owner(
                    worker.task.value_(), True, "the worker that executes it"
                )
        return node

    def _categorise(self, node: _Node) -> None:
        wait = node.wait
        frozen = None
        if wait is not None and wait.kind == "percpu_rwsem":
            if wait.lock not in self._frozen:
                self._frozen[wait.lock] = frozen_filesystem_of(self._program, wait.lock)
            frozen = self._frozen[wait.lock]
        if frozen is not None:
            node.category, node.words = "io", f"for {frozen} to be thawed"
            return
        node.asked = self._servers.asked(wait, node.functions) if wait is not None else None
        if node.asked is not None and wait is not None:
            node.category, node.words = "io", f"for {in_sentence(node.asked)}"
            if not wait.is_for_folio:
                self._names[wait.lock] = request_name(node.asked)
            return
        node.category, node.words = category_of(wait, node.functions, node.in_iowait)
        if (node.category == "io" or is_throttled(node.functions)) and node.stack is not None:
            node.device = self._devices.of(wait, node.stack)
            if node.device:
                node.words += f" on {node.device}"

    def _follow_waits(self) -> None:
        """Add the owner of every lock that is waited for, and the others in the same queue."""
        pending = list(self._nodes.values())
        while pending:
            node = pending.pop()
            wait = node.wait
            if wait is None:
                continue
            known = wait.lock in self._queues
            if not known:
                self._queues[wait.lock] = (wait, self._queue_of(wait))
            queue = self._queues[wait.lock][1]
            if all(queued.task != node.row.task for queued in queue):
                queue.append(Queued(int(node.row.task), wait.waiter, wait.mode))
            if known:
                continue
            owner = self._owners.get(wait.lock)
            if owner is None:
                owner = owner_of(self._program, wait.kind, wait.lock, self._exists)
                self._owners[wait.lock] = owner
            involved = [queued.task for queued in queue]
            if owner.task is not None:
                involved.append(owner.task)
            for address in involved:
                if address in self._rows and address not in self._nodes:
                    added = self._add(address)
                    if added is not None:
                        pending.append(added)

    def _exists(self, task: int) -> bool | None:
        if task in self._rows:
            return True
        return None if self._table.has_gaps else False

    def _queue_of(self, wait: Wait) -> list[Queued]:
        what = f"queue of {wait.kind} {wait.lock:x}"
        return list(collect(self._readings, what, lambda: self._waits.queue(wait.kind, wait.lock)))

    def _search_stacks(self) -> None:
        """Look on every stack for the locks whose holders are not recorded."""
        waiting = {
            lock: {queued.task for queued in queue}
            for lock, (_, queue) in self._queues.items()
            if self._owners[lock].may_be_found_on_stacks
        }
        if not waiting:
            return
        needles = {lock: struct.pack("<Q", lock) for lock in waiting}
        holders: dict[int, list[int]] = {lock: [] for lock in waiting}
        until = time.process_time() + _SECONDS_FOR_STACKS
        try:
            layout = Layout(self._program, "struct task_struct", {"sp": ("thread.sp",)})
        except READ_ERRORS as error:
            self._readings.note("who may hold locks that do not record it", reason(error))
            return
        for address, stack in self._stacks.items():
            if time.process_time() > until:
                self._readings.note(
                    "who may hold locks that do not record it",
                    f"not every stack could be searched within {_SECONDS_FOR_STACKS} s",
                )
                break
            if not stack:
                continue
            try:
                (pointer,) = layout.read(address)
                end = stack + self._thread_size
                if not stack <= pointer < end:
                    continue
                used = self._program.read(pointer, end - pointer)
            except READ_ERRORS:
                continue
            for lock, needle in needles.items():
                if needle in used and address not in waiting[lock]:
                    added = self._add(address)
                    if added is not None:
                        holders[lock].append(added.pid)
        self._possible = {lock: tuple(pids) for lock, pids in holders.items()}

    # Putting together.

    def _edges(self) -> Iterator[Edge]:
        for address, node in self._nodes.items():
            if node.wait is None:
                continue
            owner = self._owners[node.wait.lock]
            # One that waits to write what it was the last to read is not its own blocker for sure.
            # Nor is one that was given the lock that it still waits for.
            is_none = owner.handed_over or not owner.certain
            task = None if owner.task == address and is_none else owner.task
            yield Edge(address, node.wait.lock, task, owner.certain)

    def _pids(self, tasks: Iterable[int]) -> tuple[int, ...]:
        return tuple(self._nodes[task].pid for task in tasks if task in self._nodes)

    def _lock(self, address: int) -> Lock:
        wait, queue = self._queues[address]
        owner = self._owners[address]
        holder = self._nodes.get(owner.task) if owner.task else None
        return Lock(
            kind=wait.kind,
            address=Address(address),
            name=self._name(wait),
            owner=holder.pid if holder else None,
            owner_comm=holder.comm if holder else "",
            owner_task=holder.row.task if holder else None,
            owner_certain=owner.certain and holder is not None,
            owner_note=owner.note,
            possible_owners=self._possible.get(address, ()),
            waiters=tuple(self._waiters(queue)),
        )

    def _waiters(self, queue: Iterable[Queued]) -> Iterator[Waiter]:
        for queued in queue:
            node = self._nodes.get(queued.task)
            if node is not None:
                yield Waiter(
                    pid=node.pid, comm=node.comm, task=node.row.task, state=node.row.state or "??",
                    since_last_arrival_ns=node.row.since_last_arrival_ns, mode=queued.mode,
                    waiter=Address(queued.waiter),
                )  # fmt: skip

    def _name(self, wait: Wait) -> str:
        if wait.lock not in self._names:
            name = lock_name(self._program, wait.lock) or self._on_stack(wait.lock)
            self._names[wait.lock] = " of ".join(filter(None, (wait.name, name)))
        return self._names[wait.lock]

    def _on_stack(self, address: int) -> str:
        """Whoever waits for what it has itself submitted has the completion on its own stack."""
        # A stack is aligned to its size (THREAD_ALIGN).
        row = self._row_by_stack.get(address & -self._thread_size)
        return "" if row is None else f"on the stack of {row.comm} {row.pid}"

    def _roots(self, graph: WaitGraph) -> Iterator[Root]:
        for end in graph.ends():
            behind = self._pids(end.behind)
            locks = tuple(map(Address, end.locks))
            if end.task is not None:
                node = self._nodes.get(end.task)
                if node is not None:
                    yield Root(
                        locks=locks, pid=node.pid, certain=end.certain, doing=self._doing(node),
                        behind=behind,
                    )  # fmt: skip
            elif self._queues[end.locks[0]][0].kind not in _EVENTS:
                note = self._owners[end.locks[0]].note
                yield Root(locks=locks, pid=None, certain=False, doing=note, behind=behind)

    def _doing(self, node: _Node) -> str:
        where = f" in {caller(node.functions)}()" if node.functions else ""
        if node.wait is not None:
            return f"waits {node.words or _for(node.wait, self._name(node.wait))}{where}"
        if node.row.active:
            return f"runs on CPU {node.row.cpu}"
        if node.row.state == "UN":
            return f"waits {node.words}{where}" if node.words else f"is blocked{where}"
        if node.row.state is None:
            return "cannot be read"
        words = {
            "RU": f"is ready to run on CPU {node.row.cpu}", "IN": "sleeps", "ID": "is idle",
            "ST": "is stopped", "TR": "is stopped by a tracer", "ZO": "has exited (a zombie)",
            "DE": "has exited", "PA": "is parked",
        }  # fmt: skip
        return words.get(node.row.state, f"is in state {node.row.state}") + where

    def _blocked(self) -> tuple[Blocked, ...]:
        nodes = sorted(
            self._nodes.values(),
            key=lambda node: (node.row.state != "UN", -(node.row.since_last_arrival_ns or 0)),
        )
        return tuple(
            Blocked(
                pid=node.pid,
                comm=node.comm,
                task=node.row.task,
                state=node.row.state or "??",
                cpu=-1 if node.row.cpu is None else node.row.cpu,
                since_last_arrival_ns=node.row.since_last_arrival_ns,
                killable=node.killable,
                in_iowait=node.in_iowait,
                category=node.category,
                device=node.device,
                asked=node.asked,
                doing=self._doing(node),
                lock=Address(node.wait.lock) if node.wait else None,
                functions=node.functions,
                how=node.wait.how if node.wait else "",
            )
            for node in nodes
        )


def _for(wait: Wait, name: str) -> str:
    what = {
        "wait_queue": "wait queue",
        "swait_queue": "wait queue",
        "bit_lock": "",
        "work": "work item",
    }.get(wait.kind, wait.kind)
    verb = {"read": "to read", "write": "to write"}.get(wait.mode, "for")
    return " ".join(filter(None, (verb, what, name or format(wait.lock, "x"))))


def _lowest_first(cycle: Cycle) -> Cycle:
    first = cycle.pids.index(min(cycle.pids))
    return Cycle(
        pids=cycle.pids[first:] + cycle.pids[:first],
        locks=cycle.locks[first:] + cycle.locks[:first],
        certain=cycle.certain,
        behind=cycle.behind,
    )


def _longest_wait(lock: Lock) -> int:
    return max((waiter.since_last_arrival_ns or 0 for waiter in lock.waiters), default=0)


def _state(task: Object) -> int:
    try:
        # Since Linux kernel commit 2f064a59a11f ("sched: Change task_struct::state") (in v5.14).
        return int(task.member_("__state").value_())
    except LookupError:
        return int(task.state.value_())


def _only(result: Locks, pid: int) -> Locks:
    return Locks(
        locks=tuple(
            lock
            for lock in result.locks
            if lock.owner == pid or any(waiter.pid == pid for waiter in lock.waiters)
        ),
        cycles=tuple(cycle for cycle in result.cycles if pid in cycle),
        rings=tuple(ring for ring in result.rings if pid in (*ring.pids, *ring.behind)),
        roots=tuple(root for root in result.roots if pid in (root.pid, *root.behind)),
        blocked=result.blocked,
        spinning=tuple(spinner for spinner in result.spinning if spinner.pid == pid),
        unreadable=result.unreadable,
    )


ANSWERS = {LocksQuery: locks}
