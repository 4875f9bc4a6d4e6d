"""Who holds a lock, as far as the lock itself says, and how sure that is."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from drgn import Object, Program
from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.percpu import per_cpu_ptr

from kscope.kernel.access.reading import READ_ERRORS, reason
from kscope.kernel.waiting.filesystems import frozen_filesystem_of
from kscope.model.locks import LockKind
from kscope.model.text import printable


@dataclass(frozen=True)
class Owner:
    """The owner of a lock."""

    task: int | None
    """Address of its ``task_struct``; ``None`` if there is none or it is not known."""
    certain: bool
    note: str = ""
    may_be_found_on_stacks: bool = False
    """Whether somebody does hold it whom the lock does not name."""
    handed_over: bool = False
    """Whether the owner is still in the lock's queue: it was given the lock and has not run yet."""


Exists = Callable[[int], bool | None]
"""Whether there is a task at an address; ``None`` where not all tasks could be found."""


def owner_of(program: Program, kind: LockKind, address: int, exists: Exists) -> Owner:
    """Who holds the lock at ``address``."""
    reader = _READERS.get(kind)
    if reader is None:
        return Owner(None, False, _OWNERLESS.get(kind, ""))
    try:
        return reader(program, address, exists)
    except READ_ERRORS as error:
        return Owner(None, False, f"owner unreadable: {reason(error)}")


_FREE = "free: it was just released and nobody has taken it yet"

_UNSIGNED = (1 << 64) - 1
"""``atomic_long_t`` is signed; what it holds here is a pointer with flags."""

_OWNERLESS: dict[LockKind, str] = {
    "completion": "a completion has no owner: whoever is to complete it is not recorded",
    "wait_queue": "a wait queue has no owner: whoever is to wake it up is not recorded",
    "swait_queue": "a wait queue has no owner: whoever is to wake it up is not recorded",
    "bit_lock": "a bit has no owner: whoever set it is not recorded",
}


# The low bits of mutex.owner are flags: MUTEX_FLAG_WAITERS, _HANDOFF and _PICKUP.
# Since Linux kernel commit 3ca0ff571b09 ("locking/mutex: Rework mutex::owner") (in v4.10).
_MUTEX_FLAGS = 7
_MUTEX_PICKUP = 4
"""The mutex was given to a waiter that is only about to wake up and take it."""


def _mutex(program: Program, address: int, exists: Exists) -> Owner:
    lock = Object(program, "struct mutex", address=address)
    word = lock.owner.counter.value_() & _UNSIGNED
    if not word & ~_MUTEX_FLAGS:
        return Owner(None, False, _FREE)
    how = f"owner {word:#x} & ~7"
    if word & _MUTEX_PICKUP:
        how += ": handed over to it while it waited, it has not run since"
    found = _live(word & ~_MUTEX_FLAGS, exists, certain=True, how=how)
    return replace(found, handed_over=bool(word & _MUTEX_PICKUP))


# The low bits of rw_semaphore.owner are RWSEM_READER_OWNED and RWSEM_NONSPINNABLE; of count, bit 0
# is RWSEM_WRITER_LOCKED and the readers count from bit 8 on.
# Since Linux kernel commits 64489e78004c ("locking/rwsem: Implement a new locking scheme") and
# 94a9717b3c40 ("locking/rwsem: Make rwsem->owner an atomic_long_t") (in v5.3).
_RWSEM_OWNER_FLAGS = 7
_RWSEM_READER_OWNED = 1
_RWSEM_WRITER_LOCKED = 1
_RWSEM_READER_SHIFT = 8


def _rwsem(program: Program, address: int, exists: Exists) -> Owner:
    lock = Object(program, "struct rw_semaphore", address=address)
    count = lock.count.counter.value_() & _UNSIGNED
    word = lock.owner.counter.value_() & _UNSIGNED
    if count & _RWSEM_WRITER_LOCKED:
        if word & _RWSEM_READER_OWNED or not word & ~_RWSEM_OWNER_FLAGS:
            # The writer sets owner after count and clears it before.
            note = f"owner {word:#x}, count {count:#x}: a writer is just taking or releasing it"
            return Owner(None, False, note)
        return _live(
            word & ~_RWSEM_OWNER_FLAGS, exists, certain=True,
            how=f"owner {word:#x}, count {count:#x}: write-locked",
        )  # fmt: skip
    readers = (count & (1 << 63) - 1) >> _RWSEM_READER_SHIFT
    if not readers:
        return Owner(None, False, _FREE)
    held = f"held by {readers} reader{'s' if readers > 1 else ''}"
    if not word & ~_RWSEM_OWNER_FLAGS:
        return Owner(None, False, f"{held}, none of them recorded", may_be_found_on_stacks=True)
    last = word & ~_RWSEM_OWNER_FLAGS
    there = exists(last)
    if there:
        note = f"{held}; this is the last one to take it, not certainly one that still holds it"
    elif there is None:
        note = f"{held}; the last one to take it is {_NOT_FOUND}"
    else:
        note = f"{held}; the last one to take it has exited, so it has left it or leaked it"
    return Owner(last if there else None, False, note, may_be_found_on_stacks=True)


_RT_MUTEX_HAS_WAITERS = 1


def _rt_mutex(program: Program, address: int, exists: Exists) -> Owner:
    try:
        lock = Object(program, "struct rt_mutex_base", address=address)
    except LookupError:
        lock = Object(program, "struct rt_mutex", address=address)
    word = lock.owner.value_()
    if not word & ~_RT_MUTEX_HAS_WAITERS:
        return Owner(None, False, _FREE)
    how = f"owner {word:#x} & ~1"
    return _live(word & ~_RT_MUTEX_HAS_WAITERS, exists, certain=True, how=how)


def _semaphore(program: Program, address: int, exists: Exists) -> Owner:
    lock = Object(program, "struct semaphore", address=address)
    try:
        # With CONFIG_DETECT_HUNG_TASK_BLOCKER, since Linux kernel commit 194a9b9e843b ("hung_task:
        # show the blocker task if the task is hung on semaphore") (in v6.16).
        holder = lock.last_holder.value_()
    except AttributeError:
        return Owner(
            None, False, "a semaphore does not record who holds it", may_be_found_on_stacks=True
        )
    if not holder:
        return Owner(None, False, "its last holder has released it", may_be_found_on_stacks=True)
    there = exists(holder)
    if there:
        return Owner(holder, False, "its last holder; others may hold it too", True)
    what = f"is {_NOT_FOUND}" if there is None else "has exited"
    return Owner(None, False, f"its last holder {what}; others may hold it", True)


def _percpu_rwsem(program: Program, address: int, exists: Exists) -> Owner:  # noqa: ARG001
    lock = Object(program, "struct percpu_rw_semaphore", address=address)
    frozen = frozen_filesystem_of(program, address)
    if frozen is not None:
        return Owner(None, False, f"{frozen} is frozen, and waits for somebody to thaw it")
    # Since Linux kernel commit 7f26482a872c ("locking/percpu-rwsem: Remove the embedded rwsem") (in
    # v5.7) a writer sets block; it does not say who it is, but for the time in which it waits.
    writer = lock.writer.task
    if lock.block.counter.value_() and not writer:
        return Owner(None, False, "held by a writer that is not recorded", True)
    count = _percpu_readers(program, lock)
    if not count and not writer:
        return Owner(None, False, _FREE)
    held = f"held by {count} reader{'' if count == 1 else 's'}, not recorded"
    if writer:
        comm, pid = printable(writer.comm.string_()), writer.pid.value_()
        held += f"; the writer {comm} {pid} keeps new ones out until they have left"
    return Owner(None, False, held, True)


def _percpu_readers(program: Program, lock: Object) -> int:
    """A reader may leave on another CPU than it came on: only the sum counts."""
    counts = (per_cpu_ptr(lock.read_count, cpu)[0] for cpu in for_each_possible_cpu(program))
    return sum(int(count) for count in counts) % (1 << 32)


_READERS: dict[LockKind, Callable[[Program, int, Exists], Owner]] = {
    "mutex": _mutex,
    "rwsem": _rwsem,
    "rt_mutex": _rt_mutex,
    "semaphore": _semaphore,
    "percpu_rwsem": _percpu_rwsem,
}


_NOT_FOUND = "not among the tasks that could be found in this dump"


def _live(address: int, exists: Exists, *, certain: bool, how: str) -> Owner:
    """The owner with that address, if such a task still exists: a lock can outlive its owner."""
    there = exists(address)
    if there:
        return Owner(address, certain, how)
    if there is None:
        return Owner(None, False, f"{how}: {_NOT_FOUND}")
    return Owner(None, False, f"{how}: no such task, so its owner exited without releasing it")
