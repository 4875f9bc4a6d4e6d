"""What a blocked task waits for, found through the structure that it waits with.

A task that sleeps for a lock has linked itself into the lock's queue with a ``mutex_waiter``,
``rwsem_waiter`` and so on, nearly always a local variable of the slow path that it sleeps in. So it
lies on the task's own stack and points to the task. Of the words there that equal the task's
address, the one with consistent list links around it is that waiter; along its list lies the lock,
and the slow path's name says which kind of lock. This needs neither DWARF nor a debug kernel.

Where the kernel itself records what a task waits for, that is used first. Since the waiters of a
mutex, rw_semaphore or semaphore link only each other (v7.1), there is no other way for those but a
pointer to the lock that its slow path has left on the stack.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from drgn import FaultError, Object, Program, Type, cast, container_of, offsetof
from drgn.helpers.linux.kthread import kthread_data
from drgn.helpers.linux.rbtree import rbtree_inorder_for_each_entry
from drgn.helpers.linux.slab import slab_object_info

from kscope.kernel.access.reading import READ_ERRORS
from kscope.kernel.process.relatives import is_task
from kscope.kernel.unwinding.blocked_stack import Frame, Stack
from kscope.kernel.unwinding.telling import function_name
from kscope.model.locks import LockKind, Mode

_LONGEST_QUEUE = 200_000


@dataclass(frozen=True)
class Queued:
    """A task in a lock's queue."""

    task: int
    waiter: int
    mode: Mode


_OF_A_FOLIO = " of a folio"


@dataclass(frozen=True)
class Wait:
    """What a task sleeps on."""

    kind: LockKind
    lock: int
    mode: Mode
    waiter: int
    how: str
    name: str = ""
    """Where the wait itself says what the lock is."""

    @property
    def is_for_folio(self) -> bool:
        """Whether ``lock`` is a ``struct folio``, of which it waits for a bit."""
        return self.name.endswith(_OF_A_FOLIO)


@dataclass(frozen=True)
class _Listed:
    """A kind of lock whose queue is a list of waiters, and where its members are."""

    kind: LockKind
    lock_type: str
    list_member: str
    waiter_type: str
    link_member: str
    task_member: str
    mode: Mode
    first_member: str = ""
    """What the lock has instead of a list's head, in kernels where it has: see _FIRST."""


# Since Linux kernel commits 25500ba7e77c ("locking/mutex: Remove the list_head from struct mutex")
# and b9bdd4b68404 ("locking/semaphore: Remove the list_head from struct semaphore") (in v7.1), and
# one for struct rw_semaphore, the lock points to the first waiter, and the waiters form a ring.
_FIRST = "first_waiter"

_MUTEX = _Listed(
    "mutex", "struct mutex", "wait_list", "struct mutex_waiter", "list", "task", "exclusive", _FIRST
)
_RWSEM = _Listed(
    "rwsem", "struct rw_semaphore", "wait_list", "struct rwsem_waiter", "list", "task", "write",
    _FIRST,
)  # fmt: skip
_SEMAPHORE = _Listed(
    "semaphore", "struct semaphore", "wait_list", "struct semaphore_waiter", "list", "task",
    "exclusive", _FIRST,
)  # fmt: skip
# Since Linux kernel commit a5c6234e1028 ("completion: Use simple wait queues") (in v5.7), a
# completion's queue is a simple one.
_COMPLETION = _Listed(
    "completion", "struct completion", "wait.task_list", "struct swait_queue", "task_list", "task",
    "completion",
)  # fmt: skip
_SWAIT = _Listed(
    "swait_queue", "struct swait_queue_head", "task_list", "struct swait_queue", "task_list",
    "task", "wait_queue",
)  # fmt: skip
_PERCPU_RWSEM = _Listed(
    "percpu_rwsem", "struct percpu_rw_semaphore", "waiters.head", "struct wait_queue_entry",
    "entry", "private", "read",
)  # fmt: skip
_WAIT_QUEUE = _Listed(
    "wait_queue", "struct wait_queue_head", "head", "struct wait_queue_entry", "entry", "private",
    "wait_queue",
)  # fmt: skip
_LISTED = {
    listed.kind: listed
    for listed in (_MUTEX, _RWSEM, _SEMAPHORE, _COMPLETION, _SWAIT, _PERCPU_RWSEM, _WAIT_QUEUE)
}

# The slow path that has the waiter in its frame -> what it waits for.
_SLOW_PATHS = (
    (re.compile(r"_*(?:ww_)?mutex_lock"), _MUTEX),
    (re.compile(r"rwsem_down_(?:read|write)|__down_(?:read|write)"), _RWSEM),
    (re.compile(r"_*down(?:_common|_interruptible|_killable|_timeout)?$"), _SEMAPHORE),
    (re.compile(r"_*(?:do_)?wait_for_common|wait_for_completion"), _COMPLETION),
)
_RT_MUTEX = re.compile(r"_*(?:rt_mutex|rtlock|rt_spin|rwbase)")
_PERCPU_WRITER = "percpu_down_write"

_WQ_FLAG_CUSTOM = 0x04 | 0x08
"""Set by percpu_rwsem_wait() for readers (include/linux/wait.h): 0x08 until v6.6, 0x04 since. No
entry in the queue of a percpu_rw_semaphore has the other's old or new meaning."""


class Waits:
    """Finds what tasks wait for. Remembers the queues it has walked."""

    def __init__(self, program: Program, stacks: Mapping[int, int | None]) -> None:
        """
        :param stacks: where each task's stack begins; ``None`` where that could not be read.
        """
        self._program = program
        self._thread_size = int(program["THREAD_SIZE"])
        self._stacks = stacks
        self._offsets: dict[tuple[str, str], int] = {}
        self._queues: dict[tuple[str, int], list[Queued]] = {}
        self._lock_of_link: dict[int, int] = {}
        self._rings: dict[tuple[str, str], bool] = {}

    def of(self, task: Object, stack: Stack) -> Wait | None:
        """What ``task`` waits for; ``None`` if that cannot be told.

        :param task: ``struct task_struct *``, not running
        """
        for way in (
            self._from_pi_blocked_on,
            self._from_blocked_on,
            self._from_blocker,
            self.by_waiter,
            self.by_pointer_on_stack,
        ):
            try:
                wait = way(task, stack)
            except READ_ERRORS:
                continue
            if wait is not None:
                return wait
        return None

    def queue(self, kind: LockKind, lock: int) -> Iterable[Queued]:
        """Who waits for ``lock``, in the order of its queue; a damaged one ends with an error."""
        listed = _LISTED.get(kind)
        if listed is not None:
            if self._is_ring(listed):
                return self._ring(listed, lock)
            head = lock + self._offset(listed.lock_type, listed.list_member)
            return self._queue(listed, head)
        if kind == "rt_mutex":
            return self._rt_mutex_queue(lock)
        return []

    # What the kernel records.

    def _from_pi_blocked_on(self, task: Object, stack: Stack) -> Wait | None:  # noqa: ARG002
        waiter = task.pi_blocked_on
        if not waiter:
            return None
        return Wait(
            "rt_mutex", waiter.lock.value_(), "exclusive", waiter.value_(),
            "task_struct.pi_blocked_on",
        )  # fmt: skip

    def _from_blocked_on(self, task: Object, stack: Stack) -> Wait | None:  # noqa: ARG002
        try:
            blocked_on = task.blocked_on
        except AttributeError:
            return None  # until v6.17 only with CONFIG_DEBUG_MUTEXES
        if not blocked_on:
            return None
        how = "task_struct.blocked_on"
        if blocked_on.type_.type.tag == "mutex":
            return self._checked(_MUTEX, task, blocked_on.value_(), how)
        # Before Linux kernel commit 44e4e0297c3c ("locking/mutex: Rework task_struct::blocked_on")
        # (in v6.17), it points to the waiter.
        return self._from_link(_MUTEX, task, blocked_on.list.address_of_().value_(), how)

    def _from_blocker(self, task: Object, stack: Stack) -> Wait | None:  # noqa: ARG002
        # With CONFIG_DETECT_HUNG_TASK_BLOCKER, since Linux kernel commit e711faaafbe5 ("hung_task:
        # replace blocker_mutex with encoded blocker") (in v6.16): an address whose two low bits are
        # a BLOCKER_TYPE_* of include/linux/hung_task.h.
        try:
            blocker = task.blocker.value_()
        except AttributeError:
            return None
        if not blocker:
            return None
        listed = (_MUTEX, _SEMAPHORE, _RWSEM, _RWSEM)[blocker & 3]
        return self._checked(listed, task, blocker & ~3, "task_struct.blocker")

    # The waiter on the stack.

    def by_waiter(self, task: Object, stack: Stack) -> Wait | None:
        """The wait by the waiter on the task's own stack."""
        for slot in stack.find(task.value_()):
            frame = stack.frame_of(slot)
            try:
                wait = self._waiter_at(task, slot, frame, stack)
            except READ_ERRORS:
                continue
            if wait is not None:
                return wait
        return None

    def _waiter_at(self, task: Object, slot: int, frame: Frame | None, stack: Stack) -> Wait | None:
        function = frame.function if frame else ""
        if _RT_MUTEX.match(function):
            return self._rt_mutex_waiter(task, slot)
        for pattern, listed in _SLOW_PATHS:
            # The waiter of a completion lies in the frame that sleeps, the name of the kind in
            # the next one where that was not inlined.
            if pattern.match(function):
                waiter = slot - self._offset(listed.waiter_type, listed.task_member)
                link = waiter + self._offset(listed.waiter_type, listed.link_member)
                return self._from_link(
                    listed, task, link, f"{listed.waiter_type} at {waiter:x} on its stack"
                )
        return self._wait_queue_entry(task, slot) or self._simple_wait(task, slot, stack)

    def _from_link(self, listed: _Listed, task: Object, link: int, how: str) -> Wait | None:
        """The wait of the task that is linked at ``link`` into a queue of this kind."""
        if self._is_ring(listed) or not self._consistent(link):
            return None  # nothing leads from a ring of waiters to their lock
        head = self._head(listed, link)
        if head is None:
            return None
        for queued in self._queue(listed, head):
            if queued.task == task.value_():
                lock = head - self._offset(listed.lock_type, listed.list_member)
                return Wait(listed.kind, lock, queued.mode, queued.waiter, how)
        return None

    def _checked(self, listed: _Listed, task: Object, lock: int, how: str) -> Wait | None:
        """A wait for ``lock`` if the task is in the lock's queue."""
        for queued in self.queue(listed.kind, lock):
            if queued.task == task.value_():
                return Wait(listed.kind, lock, queued.mode, queued.waiter, how)
        return None

    def _rt_mutex_waiter(self, task: Object, slot: int) -> Wait | None:
        waiter_type = "struct rt_mutex_waiter"
        address = slot - self._offset(waiter_type, "task")
        lock = self._word(address + self._offset(waiter_type, "lock"))
        how = f"{waiter_type} at {address:x} on its stack"
        for queued in self._rt_mutex_queue(lock):
            if queued.task == task.value_():
                return Wait("rt_mutex", lock, "exclusive", address, how)
        return None

    def _wait_queue_entry(self, task: Object, slot: int) -> Wait | None:
        entry_type = "struct wait_queue_entry"
        address = slot - self._offset(entry_type, "private")
        wake_function = self._function(self._word(address + self._offset(entry_type, "func")))
        link = address + self._offset(entry_type, "entry")
        if not wake_function or not self._consistent(link):
            return None
        how = f"{entry_type} at {address:x} on its stack, woken by {wake_function}()"
        if wake_function == "wake_page_function":
            return self._folio_wait(address, how)
        if wake_function in ("wake_bit_function", "var_wake_function"):
            return self._bit_wait(address, wake_function, how)
        listed = _PERCPU_RWSEM if wake_function == "percpu_rwsem_wake_function" else _WAIT_QUEUE
        return self._from_link(listed, task, link, how)

    def _folio_wait(self, address: int, how: str) -> Wait:
        program = self._program
        entry = Object(program, "struct wait_queue_entry", address=address).address_of_()
        wait = container_of(entry, program.type("struct wait_page_queue"), "wait")
        try:
            # Since Linux kernel commit 6974d7c977d7 ("mm/filemap: Convert page wait queues to be
            # folios") (in v5.16).
            folio = wait.folio
        except AttributeError:
            folio = wait.page
        bit = wait.bit_nr.value_()
        flag = _enumerator(program.type("enum pageflags"), bit)
        # The bits are in the folio's first word, page->flags.
        return Wait("bit_lock", folio.value_(), "exclusive", address, how, f"{flag}{_OF_A_FOLIO}")

    def _bit_wait(self, address: int, wake_function: str, how: str) -> Wait:
        program = self._program
        entry = Object(program, "struct wait_queue_entry", address=address).address_of_()
        wait = container_of(entry, program.type("struct wait_bit_queue_entry"), "wq_entry")
        word = wait.key.flags.value_()
        bit = wait.key.bit_nr.value_()
        if wake_function == "var_wake_function":
            return Wait("wait_queue", word, "wait_queue", address, how, "a variable's change")
        return Wait("bit_lock", word, "exclusive", address, how, self._bit_name(word, bit))

    def _bit_name(self, word: int, bit: int) -> str:
        """A buffer's bits have names; the journal's follow those of all others."""
        info = slab_object_info(self._program, word)
        if info is None or info.slab_cache.name.string_() != b"buffer_head":
            return f"bit {bit}"
        for enum in ("enum bh_state_bits", "enum jbd_state_bits"):
            try:
                name = _enumerator(self._program.type(enum), bit)
            except LookupError:
                continue
            if name not in (str(bit), "BH_PrivateStart"):
                return name
        return f"bit {bit}"

    def _simple_wait(self, task: Object, slot: int, stack: Stack) -> Wait | None:
        waiter = slot - self._offset("struct swait_queue", "task")
        link = waiter + self._offset("struct swait_queue", "task_list")
        if not self._consistent(link):
            return None
        completion = any("wait_for_completion" in name for name in stack.functions)
        how = f"struct swait_queue at {waiter:x} on its stack"
        return self._from_link(_COMPLETION if completion else _SWAIT, task, link, how)

    # Any pointer on the stack to a lock in whose own queue the task is.

    def by_pointer_on_stack(self, task: Object, stack: Stack) -> Wait | None:
        """The wait by a lock that the blocked frames point to, without a look at the waiter."""
        for index, frame in enumerate(stack.frames):
            check: Callable[[int], Wait | None] | None = None
            if frame.function.startswith(_PERCPU_WRITER):
                check = self._percpu_writer(task)
            else:
                for pattern, listed in _SLOW_PATHS:
                    if pattern.match(frame.function):
                        check = self._listed_check(listed, task)
                        break
            if check is None:
                continue
            # The pointer may have been kept by the slow path, or by its callers.
            until = stack.frames[index + 3].sp if index + 3 < len(stack.frames) else 1 << 64
            for address, word in zip(range(stack.start, until, 8), stack.words, strict=False):
                if address < frame.sp - 0x100 or word >> 63 == 0 or word % 8:
                    continue
                try:
                    wait = check(word)
                except READ_ERRORS:
                    continue
                if wait is not None:
                    return wait
        return None

    def _listed_check(self, listed: _Listed, task: Object) -> Callable[[int], Wait | None]:
        return lambda lock: self._checked(
            listed, task, lock, f"a pointer on its stack to the {listed.kind} it is queued at"
        )

    def _percpu_writer(self, task: Object) -> Callable[[int], Wait | None]:
        """A writer waits for readers to leave, alone, in ``percpu_rw_semaphore.writer``."""

        def check(lock: int) -> Wait | None:
            sem = Object(self._program, "struct percpu_rw_semaphore", address=lock)
            if sem.writer.task != task:
                return None
            return Wait("percpu_rwsem", lock, "write", lock, "percpu_rw_semaphore.writer")

        return check

    # Queues.

    def _queue(self, listed: _Listed, head: int) -> list[Queued]:
        key = (listed.kind, head)
        if key not in self._queues:
            self._queues[key] = list(self._walk(listed, head))
        return self._queues[key]

    def _walk(self, listed: _Listed, head: int) -> Iterator[Queued]:
        link_offset = self._offset(listed.waiter_type, listed.link_member)
        task_offset = self._offset(listed.waiter_type, listed.task_member)
        previous, link = head, self._word(head)
        for _ in range(_LONGEST_QUEUE):
            try:
                if link == head or self._word(link + 8) != previous:
                    return  # the end, or the list is broken from here on
                waiter = link - link_offset
                if listed.waiter_type != "struct wait_queue_entry" or self._is_task_entry(waiter):
                    task = self._word(waiter + task_offset)
                    self._lock_of_link[link] = head
                    yield Queued(task, waiter, self._mode(listed, waiter))
                previous, link = link, self._word(link)
            except FaultError:
                return  # what was found before stands

    def _is_ring(self, listed: _Listed) -> bool:
        """Whether this kernel's locks of that kind have no list head."""
        key = (listed.lock_type, listed.first_member)
        if not listed.first_member:
            return False
        if key not in self._rings:
            self._rings[key] = self._program.type(listed.lock_type).has_member(listed.first_member)
        return self._rings[key]

    def _ring(self, listed: _Listed, lock: int) -> list[Queued]:
        """Who waits for a lock that points to its first waiter."""
        waiter = self._word(lock + self._offset(listed.lock_type, listed.first_member))
        link_offset = self._offset(listed.waiter_type, listed.link_member)
        if not waiter:
            return []
        # Seen as the head of a list, the first waiter's link has all the others behind it.
        first = Queued(
            self._word(waiter + self._offset(listed.waiter_type, listed.task_member)), waiter,
            self._mode(listed, waiter),
        )  # fmt: skip
        return [first, *self._queue(listed, waiter + link_offset)]

    def _mode(self, listed: _Listed, waiter: int) -> Mode:
        if listed is _RWSEM:
            kind = Object(self._program, "struct rwsem_waiter", address=waiter).type
            return "read" if "READ" in _enumerator(kind.type_, kind.value_()) else "write"
        if listed is _PERCPU_RWSEM:
            entry = Object(self._program, "struct wait_queue_entry", address=waiter)
            return "read" if entry.flags.value_() & _WQ_FLAG_CUSTOM else "write"
        return listed.mode

    def _head(self, listed: _Listed, link: int) -> int | None:
        """The list's head: the only one on the list that is no waiter."""
        if link in self._lock_of_link:
            return self._lock_of_link[link]
        waiter_offset = self._offset(listed.waiter_type, listed.link_member)
        task_offset = self._offset(listed.waiter_type, listed.task_member)
        node = link
        for _ in range(_LONGEST_QUEUE):
            node = self._word(node)
            if node == link:
                return None
            if listed.waiter_type == "struct wait_queue_entry":
                if not self._function(self._word(node - 8)):
                    return node
            elif not self._on_own_stack(node, node - waiter_offset + task_offset):
                return node
        return None

    def _on_own_stack(self, node: int, task_pointer: int) -> bool:
        """Whether at ``task_pointer`` is the address of the task on whose stack ``node`` is.

        :raises LookupError: if it is a task's whose stack is not known, so that the question cannot
            be answered: taking a waiter for the head of the list would make up a lock.
        """
        task = self._word(task_pointer)
        if task in self._stacks:
            base = self._stacks[task]
        elif task >> 63 and is_task(self._program, task):
            # One that was not found among all tasks, since parts of the dump are missing.
            base = Object(self._program, "struct task_struct", address=task).stack.value_()
        else:
            return False
        if base is None:
            raise LookupError(f"the stack of task {task:x}")
        return base <= node < base + self._thread_size

    def _is_task_entry(self, waiter: int) -> bool:
        """Whether a wait queue's entry has a sleeping task as its ``private``.

        Those of poll and epoll have something else there.
        """
        entry_type = "struct wait_queue_entry"
        link = waiter + self._offset(entry_type, "entry")
        return self._on_own_stack(link, waiter + self._offset(entry_type, "private"))

    def _rt_mutex_queue(self, lock: int) -> Iterator[Queued]:
        program = self._program
        try:
            base = Object(program, "struct rt_mutex_base", address=lock)
        except LookupError:
            # Before Linux kernel commit 830e6acc8a1c ("locking/rtmutex: Split out the inner parts
            # of 'struct rtmutex'") (in v5.15) there was only struct rt_mutex.
            base = Object(program, "struct rt_mutex", address=lock)
        for waiter in rbtree_inorder_for_each_entry(
            "struct rt_mutex_waiter", base.waiters.rb_root.address_of_(), self._rt_mutex_link
        ):
            yield Queued(waiter.task.value_(), waiter.value_(), "exclusive")

    @cached_property
    def _rt_mutex_link(self) -> str:
        waiter = self._program.type("struct rt_mutex_waiter")
        # Since Linux kernel commit f7853c342418 ("locking/rtmutex: Fix
        # task->pi_waiters integrity") (in v6.5 and stable kernels).
        return "tree.entry" if waiter.has_member("tree") else "tree_entry"

    # Memory.

    def _word(self, address: int) -> int:
        word: int = self._program.read_u64(address)
        return word

    def _offset(self, type_name: str, member: str) -> int:
        key = (type_name, member)
        if key not in self._offsets:
            self._offsets[key] = offsetof(self._program.type(type_name), member)
        return self._offsets[key]

    def _consistent(self, link: int) -> bool:
        """Whether both neighbours on a list point back, and there is one."""
        following, previous = self._word(link), self._word(link + 8)
        if link in (following, previous) or following % 8 or previous % 8:
            return False
        return self._word(following + 8) == link and self._word(previous) == link

    def _function(self, address: int) -> str:
        """The name of the function that starts at ``address``; empty if none does."""
        if address >> 63 == 0:
            return ""
        try:
            symbol = self._program.symbol(address)
        except LookupError:
            return ""
        return function_name(symbol.name) if symbol.address == address else ""


def flushed_work(program: Program, wait: Wait) -> tuple[int, Object] | None:
    """The work item that is flushed by waiting for ``wait``'s completion, and who executes it.

    ``flush_work()`` queues a barrier, a work item of its own stack, right behind the item and waits
    for the barrier's completion. Behind one that is being executed, it is in the worker's own list.

    :return: address of the ``struct work_struct``, ``struct worker *``; ``None`` if the completion
        is not such a barrier's, or the item is not being executed.
    """
    if wait.kind != "completion":
        return None
    done = Object(program, "struct completion", address=wait.lock).address_of_()
    try:
        barrier = container_of(done, program.type("struct wq_barrier"), "done")
        if program.symbol(barrier.work.func.value_()).name != "wq_barrier_func":
            return None
        head = program.type("struct list_head")
        link = barrier.work.entry.address_of_()
        first = link
        for _ in range(_LONGEST_QUEUE):
            link = link.next
            if link == first:
                return None
            # The list's head is a worker's if the worker executes the item in front of the barrier.
            worker = container_of(cast(program.pointer_type(head), link),
                                  program.type("struct worker"), "scheduled")  # fmt: skip
            work = worker.current_work
            if work and worker.scheduled.address_of_() == link and _is_worker(worker):
                return work.value_(), worker
    except READ_ERRORS:
        return None
    return None


def _is_worker(worker: Object) -> bool:
    """Whether this may be a worker: its task's own data points back to it."""
    try:
        return bool(kthread_data(worker.task) == worker)
    except READ_ERRORS:
        return False


def _enumerator(enum: Type, value: int) -> str:
    for enumerator in enum.enumerators or ():
        if enumerator.value == value:
            name: str = enumerator.name
            return name
    return str(value)
