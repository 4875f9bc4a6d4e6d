"""Who waits for whom: contended locks, their owners and waiters, deadlocks and root blockers."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from kscope.model.base import Address, Query, Result, Unreadable

LockKind = Literal[
    "mutex", "rwsem", "rt_mutex", "semaphore", "percpu_rwsem", "completion", "wait_queue",
    "swait_queue", "bit_lock", "work", "spinlock",
]  # fmt: skip
"""``bit_lock`` is a bit somebody waits for with ``wait_on_bit()`` or in a folio's flags; ``work``
is a work item that somebody flushes."""

Mode = Literal["exclusive", "read", "write", "completion", "wait_queue", "work"]
"""What a waiter wants the lock for; the last three wait for an event, not for a lock."""

Category = Literal["lock", "io", "memory", "completion", "work", "task", "unknown"]


class Waiter(msgspec.Struct, frozen=True, kw_only=True):
    """A task that waits for a lock, in the order of the lock's own queue."""

    pid: int
    """Negative, and its own in this answer, where it could not be read; so in all that follows."""
    comm: str
    task: Address
    state: str
    since_last_arrival_ns: int | None
    """Since the task was last on a CPU: an upper bound for how long it has been waiting."""
    mode: Mode
    waiter: Address
    """The structure that links the task into the lock's queue, mostly on its own stack."""


class Lock(msgspec.Struct, frozen=True, kw_only=True):
    """A lock or event that a task sleeps on (or, of a spinlock, a CPU spins on)."""

    kind: LockKind
    address: Address
    name: str
    """A symbol, ``mmap_lock of mm_struct …``, a slab cache and offset; empty if unknown."""
    owner: int | None
    """PID of the owner; ``None`` when the lock has none or does not record it."""
    owner_comm: str = ""
    owner_task: Address | None = None
    owner_certain: bool
    """Whether the owner surely holds it. A rw_semaphore only remembers the last reader, who may
    have left; a spinlock's is inferred from the stacks of the CPUs."""
    owner_note: str
    """What is known of the owner, in words, when there is more or less than a certain one."""
    possible_owners: tuple[int, ...] = ()
    """PIDs of tasks on whose stacks the lock's address was found and that do not wait for it."""
    waiters: tuple[Waiter, ...]


class Unanswered(msgspec.Struct, frozen=True, kw_only=True):
    """What an NFS, other RPC or FUSE server was asked and has not answered."""

    kind: Literal["rpc", "fuse"]
    server: str
    """``NFS server 127.0.0.1``, ``RPC server ...``, ``FUSE server of /mnt``."""
    operation: str
    """``NFSv4 GETATTR``, ``LOOKUP``"""
    progress: str
    """How far the request got, in words."""
    age_ns: int | None
    """Since it was made; ``None`` where the kernel does not record that."""
    request: Address
    """``struct rpc_task`` or ``struct fuse_req``"""
    connection: Address
    """``struct rpc_xprt`` or ``struct fuse_conn``"""


class Blocked(msgspec.Struct, frozen=True, kw_only=True):
    """A task in uninterruptible sleep (UN, not ID), or one that such a task waits for."""

    pid: int
    comm: str
    task: Address
    state: str
    """crash's code."""
    cpu: int
    since_last_arrival_ns: int | None
    killable: bool
    """TASK_KILLABLE: the hung task detector does not report it."""
    in_iowait: bool
    category: Category | None
    """What it waits for; ``None`` for a task that is not in uninterruptible sleep."""
    device: str = ""
    """The block device that it waits for, such as ``vda``, where that can be told."""
    asked: Unanswered | None = None
    """What it waits for a server to answer, where that can be told."""
    doing: str
    """In words: what it waits for, or where it sleeps, or that it runs."""
    lock: Address | None
    """The lock it waits for."""
    functions: tuple[str, ...]
    """Its kernel stack, innermost first."""
    how: str
    """How the lock was found."""


class Root(msgspec.Struct, frozen=True, kw_only=True):
    """Where a chain of waiting ends: a task that waits for no other, or a lock that nobody has."""

    locks: tuple[Address, ...]
    """The locks that everybody behind it waits for, directly."""
    pid: int | None
    """The task that holds it; ``None`` if nobody is known to."""
    certain: bool
    doing: str
    """What that task does, or why there is none."""
    behind: tuple[int, ...]
    """PIDs of all that wait for it, those directly behind first."""


class Cycle(msgspec.Struct, frozen=True, kw_only=True):
    """A ring of tasks, each waiting for a lock that the next one owns."""

    pids: tuple[int, ...]
    """The lowest first."""
    locks: tuple[Address, ...]
    """What each of them waits for."""
    certain: bool
    """Whether every owner in it is."""
    behind: tuple[int, ...]
    """PIDs of the tasks that are not in the ring but wait for one who is."""


class Spinner(msgspec.Struct, frozen=True, kw_only=True):
    """A CPU that spins for a spinlock."""

    cpu: int
    pid: int
    comm: str
    task: Address
    lock: Address | None
    function: str
    """Whoever called for the lock."""


class Locks(Result, frozen=True):
    """The wait graph."""

    locks: tuple[Lock, ...]
    """What somebody can hold first, then events; each by its longest waiting task."""
    cycles: tuple[tuple[int, ...], ...]
    """Deadlocks, of certain owners only: PIDs, each waiting for a lock that the next one owns."""
    rings: tuple[Cycle, ...] = ()
    """The same with their locks, and those that go over an owner that is not certain."""
    roots: tuple[Root, ...] = ()
    """The one with the most waiting behind it first."""
    blocked: tuple[Blocked, ...] = ()
    """Every task in uninterruptible sleep, the longest first, then owners that are not."""
    spinning: tuple[Spinner, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()


class LocksQuery(Query[Locks], frozen=True, kw_only=True):
    """Contended locks, their owners and waiters, and the deadlocks among them."""

    pid: Annotated[
        int, Meta(ge=0, description="only locks that this task owns or waits for (0: all)")
    ] = 0
