"""Every task of the machine as a row: what ``ps`` shows, read once and fast.

Where tasks are looked for, in this order, each found once:

- the idle task of every possible CPU, online or not: after panic() the others are offline;
- the PID table of the initial namespace (``init_pid_ns.idr``). It leads to each task by itself, so
  that an unreadable task costs one row and not all behind it;
- if a part of that table cannot be read, the lists of processes and of their threads;
- what CPUs were running: a task that has left the PID table and still has its last steps to do.
"""

import struct
from collections.abc import Generator, Iterable, Iterator
from typing import NamedTuple

from drgn import FaultError, PlatformFlags, Program, TypeKind
from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.percpu import per_cpu
from drgn.helpers.linux.pid import for_each_pid

from kscope.kernel.layout import Layout
from kscope.kernel.panic import panic_task
from kscope.kernel.reading import READ_ERRORS, Readings, reason
from kscope.kernel.states import States, policy_name
from kscope.model.base import Address, Progress, QueryError, Unreadable
from kscope.model.tasks import Task
from kscope.model.text import printable
from kscope.target.target import Target

PF_KTHREAD = 0x00200000

_SLICE = 4000
"""Tasks read before the worker may look for other work."""


class RawTask(NamedTuple):
    """The members of a ``task_struct`` as they lie in memory; ``None`` where unreadable."""

    state: int | None
    exit_state: int | None
    stack: int | None
    flags: int | None
    cpu: int | None
    prio: int | None
    static_prio: int | None
    rt_priority: int | None
    policy: int | None
    last_arrival: int | None
    mm: int | None
    pid: int | None
    tgid: int | None
    parent: int | None
    group_leader: int | None
    start_time: int | None
    comm: bytes | None
    file_pages: int | None
    anon_pages: int | None
    shmem_pages: int | None


_MEMBERS = {
    # Since Linux kernel commit 2f064a59a11f ("sched: Change task_struct::state") (in v5.14).
    "state": ("__state", "state"),
    "exit_state": ("exit_state",),
    "stack": ("stack",),
    "flags": ("flags",),
    # Since Linux kernel commit bcf9033e5449 ("sched: move CPU field back into thread_info if
    # THREAD_INFO_IN_TASK=y") (in v5.16) in thread_info, which is the task's first member.
    "cpu": ("thread_info.cpu", "cpu"),
    "prio": ("prio",),
    "static_prio": ("static_prio",),
    "rt_priority": ("rt_priority",),
    "policy": ("policy",),
    "last_arrival": ("sched_info.last_arrival",),
    "mm": ("mm",),
    "pid": ("pid",),
    "tgid": ("tgid",),
    "parent": ("parent",),
    "group_leader": ("group_leader",),
    "start_time": ("start_time",),
    "comm": ("comm",),
    # What a task has not yet added to its mm's counters (SPLIT_RSS_COUNTING), until Linux kernel
    # commit f1a7941243c1 ("mm: convert mm's rss stats into percpu_counter") (in v6.2).
    "file_pages": ("rss_stat.count[0]",),
    "anon_pages": ("rss_stat.count[1]",),
    "shmem_pages": ("rss_stat.count[3]",),
}

_MAY_BE_ABSENT = {"file_pages", "anon_pages", "shmem_pages"}

_SHOWN_AS = {
    "exit_state": "state", "flags": "kthread", "last_arrival": "since_last_arrival_ns",
    "parent": "ppid", "group_leader": "leader", "start_time": "start_time_ns", "mm": "rss_bytes",
    "file_pages": "rss_bytes", "anon_pages": "rss_bytes", "shmem_pages": "rss_bytes",
}  # fmt: skip
"""Members of ``task_struct`` by what is made of them and shown."""


class FoundTask(NamedTuple):
    """A task, before and after its members were given their meaning."""

    address: int
    raw: RawTask
    unreadable: dict[str, str]
    """Why, by the names of ``RawTask``."""


class Cpu(NamedTuple):
    """What its runqueue says of a CPU."""

    clock: int
    current: int
    """Address of the running task."""
    idle: int


class TaskTable:
    """All tasks of a target. ``rows`` is empty until ``fill`` has run to its end."""

    def __init__(self, target: Target) -> None:
        """
        :raises QueryError: if there are no types.
        """
        if target.debug_info.types == "none":
            missing = "; ".join(target.debug_info.missing)
            raise QueryError(
                f"Tasks cannot be read without the kernel's types: {missing}.",
                "Name its vmlinux with -s VMLINUX.",
                kind="no-types",
            )
        self._target = target
        self._program = target.program
        self._readings = Readings()
        try:
            self._layout = Layout(self._program, "struct task_struct", _MEMBERS)
        except LookupError as error:
            raise QueryError(
                f"Tasks cannot be read: {reason(error)}.", kind="unreadable"
            ) from error
        self._states = States(self._program)
        self._absent = {
            name: f"this kernel has no task_struct.{member}"
            for name, member in self._layout.absent.items()
            if name not in _MAY_BE_ABSENT
        }
        self.cpus: dict[int, Cpu] = self._read_cpus()
        self.found: list[FoundTask] = []
        self.rows: list[Task] = []
        self._page_size = self._readings.read(
            "page size", lambda: int(self._program["PAGE_SIZE"]), 4096
        )

    @property
    def unreadable(self) -> tuple[Unreadable, ...]:
        """What could not be read of the table itself."""
        return self._readings.unreadable

    def fill(self) -> Generator[Progress, None, None]:
        """Find and read all tasks, idle tasks first, then by PID."""
        current = {cpu.current for cpu in self.cpus.values()}
        for count, (address, pid) in enumerate(self._addresses(), 1):
            self.found.append(self._find(address, pid))
            if count % _SLICE == 0:
                yield Progress(count, 0, "reading tasks")
        panicked = self._readings.read("panic task", lambda: _panicked(self._program), 0)
        memory = _Memory(self._program, self._page_size, self.found)
        pids = {task.address: task.raw.pid for task in self.found}
        for count, task in enumerate(self.found, 1):
            self.rows.append(self._row(task, current, panicked, memory, pids))
            if count % _SLICE == 0:
                yield Progress(count, len(self.found), "reading tasks")

    # Finding them.

    def _read_cpus(self) -> dict[int, Cpu]:
        cpus: dict[int, Cpu] = {}
        program = self._program
        try:
            layout = Layout(
                program, "struct rq", {"clock": ("clock",), "curr": ("curr",), "idle": ("idle",)}
            )
            runqueues = program["runqueues"]
            possible = list(for_each_possible_cpu(program))
        except READ_ERRORS as error:
            self._readings.note("runqueues", reason(error))
            return cpus
        for cpu in possible:
            try:
                address = per_cpu(runqueues, cpu).address_of_().value_()
                cpus[cpu] = Cpu._make(layout.read(address))
            except READ_ERRORS as error:
                self._readings.note(f"runqueue of CPU {cpu}, and its idle task", reason(error))
        return cpus

    def _addresses(self) -> Iterator[tuple[int, int | None]]:
        """Addresses of all tasks, with the PID where the PID table tells it."""
        seen: set[int] = {0}

        def fresh(tasks: Iterable[tuple[int, int | None]]) -> Iterator[tuple[int, int | None]]:
            for address, pid in tasks:
                if address not in seen:
                    seen.add(address)
                    yield address, pid

        yield from fresh((cpu.idle, 0) for cpu in self.cpus.values())
        table = PidTable(self._program)
        yield from fresh(table.tasks())
        if table.why_incomplete:
            self._readings.note("a part of the PID table", table.why_incomplete)
            yield from fresh((address, None) for address in _through_lists(self._program))
        yield from fresh((cpu.current, None) for cpu in self.cpus.values())

    def _find(self, address: int, pid: int | None) -> FoundTask:
        unreadable: dict[str, str]
        try:
            raw, unreadable = RawTask._make(self._layout.read(address)), {}
        except FaultError:
            values, unreadable = self._layout.read_what_is_there(address)
            raw = RawTask._make(values)
        if pid is not None and raw.pid != pid:
            if raw.pid is not None:
                # A page of zeros, or one that was used again while the dump was being written.
                unreadable = dict.fromkeys(
                    RawTask._fields, f"PID {raw.pid} is written there: it is not this task any more"
                )
                raw = RawTask._make([None] * len(RawTask._fields))
            raw = raw._replace(pid=pid)
            unreadable.pop("pid", None)
        return FoundTask(address, raw, unreadable | self._absent)

    # Giving their members a meaning.

    def _row(
        self,
        task: FoundTask,
        current: set[int],
        panicked: int,
        memory: "_Memory",
        pids: dict[int, int | None],
    ) -> Task:
        raw = task.raw
        state = cpu = since = policy = ppid = None
        if raw.state is not None and raw.exit_state is not None:
            state = self._states.code(raw.state, raw.exit_state)
        if raw.policy is not None:
            policy = policy_name(raw.policy)
        unreadable = {_SHOWN_AS.get(name, name): why for name, why in task.unreadable.items()}
        if raw.cpu is not None:
            cpu = raw.cpu
            runqueue = self.cpus.get(cpu)
            if runqueue is None:
                unreadable["since_last_arrival_ns"] = f"the clock of CPU {cpu} could not be read"
            elif raw.last_arrival is not None:
                # Clocks of CPUs differ by what their last ticks do: never below zero, as in crash.
                since = max(0, runqueue.clock - raw.last_arrival)
        if raw.parent is not None:
            ppid = pids.get(raw.parent)
            if ppid is None:
                ppid = self._pid_at(raw.parent)
                if ppid is None:
                    unreadable["ppid"] = f"the parent at {raw.parent:#x} cannot be read"
        rss, vsize, why = memory.of(raw.mm)
        if why:
            if vsize is None:
                unreadable["vsize_bytes"] = why
            unreadable["rss_bytes"] = why
        comm = raw.comm
        return Task(
            pid=raw.pid,
            tgid=raw.tgid,
            ppid=ppid,
            comm=None if comm is None else printable(comm.partition(b"\0")[0]),
            task=Address(task.address),
            state=state,
            cpu=cpu,
            policy=policy,
            prio=raw.prio,
            static_prio=raw.static_prio,
            rt_priority=raw.rt_priority,
            kthread=None if raw.flags is None else bool(raw.flags & PF_KTHREAD),
            leader=None if raw.group_leader is None else raw.group_leader == task.address,
            since_last_arrival_ns=since,
            rss_bytes=rss,
            vsize_bytes=vsize,
            start_time_ns=raw.start_time,
            parent=None if raw.parent is None else Address(raw.parent),
            mm=Address(raw.mm) if raw.mm else None,
            active=task.address in current,
            panicked=task.address == panicked,
            unreadable=tuple(Unreadable(*item) for item in unreadable.items()),
        )

    def _pid_at(self, address: int) -> int | None:
        if "pid" not in self._layout:
            return None
        try:
            pid: int = self._program.read_u32(address + self._layout.offset("pid"))
        except FaultError:
            return None
        return pid


def _panicked(program: Program) -> int:
    task = panic_task(program)
    return 0 if task is None else int(task.value_())


# The PID table.

_XA_NODE = 2
"""The low bits of an entry that is an inner node (``xa_is_internal`` of lib/xarray.c)."""
_XA_ZERO_LIMIT = 4096
"""Below are sibling, retry and zero entries, which are no nodes."""


class PidTable:
    """The tasks of the PID table, each with its PID."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.why_incomplete = ""

    def tasks(self) -> Iterator[tuple[int, int]]:
        """Address and PID of each task, in the order of PIDs."""
        program = self._program
        try:
            pid_layout = Layout(
                program, "struct pid", {"first": ("tasks[0].first",), "nr": ("numbers[0].nr",)}
            )
            # Since Linux kernel commit 2c4704756cab ("pids: Move the pgrp and session pid pointers
            # from task_struct to signal_struct") (in v4.19); before, in a struct pid_link.
            links = Layout(
                program,
                "struct task_struct",
                {"link": ("pid_links[0].next", "pids[0].node.next")},
            ).offset("link")
            pids = list(self._pids())
        except READ_ERRORS as error:
            self.why_incomplete = reason(error)
            return
        read = pid_layout.read
        for address in pids:
            try:
                first, nr = read(address)
            except FaultError as error:
                self.why_incomplete = reason(error)
                continue
            # A PID without a task is still the name of a process group or session.
            if first:
                yield first - links, nr

    def _pids(self) -> Iterator[int]:
        """Addresses of all ``struct pid``."""
        program = self._program
        namespace = program["init_pid_ns"]
        try:
            # Since Linux kernel commits 95846ecf9dac ("pid: replace pid bitmap implementation with
            # IDR API") (in v4.15) and f8d5d0cc145c ("xarray: Add definition of struct xarray") (in
            # v4.20).
            head = namespace.idr.idr_rt.xa_head.value_()
            node = program.type("struct xa_node")
        except (AttributeError, LookupError):
            yield from (pid.value_() for pid in for_each_pid(program))
            return
        slots = node.member("slots")
        assert slots.type.kind is TypeKind.ARRAY
        count = slots.type.length or 0
        platform = program.platform
        little = platform is None or PlatformFlags.IS_LITTLE_ENDIAN in platform.flags
        unpack = struct.Struct(f"{'<' if little else '>'}{count}Q")
        yield from self._entries(head, slots.bit_offset // 8, count * 8, unpack, 0)

    def _entries(
        self, entry: int, offset: int, size: int, unpack: struct.Struct, depth: int
    ) -> Iterator[int]:
        if not entry or entry & 1:
            return
        if entry & 3 != _XA_NODE:
            yield entry
            return
        if entry <= _XA_ZERO_LIMIT or depth > 11:
            return
        try:
            slots = unpack.unpack(self._program.read(entry - _XA_NODE + offset, size))
        except FaultError as error:
            self.why_incomplete = reason(error)
            return
        for slot in slots:
            if slot:
                yield from self._entries(slot, offset, size, unpack, depth + 1)


# The lists.


def _through_lists(program: Program) -> Iterator[int]:
    """Addresses of tasks found through the list of processes and the lists of their threads."""
    try:
        leaders = Layout(
            program,
            "struct task_struct",
            {"next": ("tasks.next",), "prev": ("tasks.prev",), "signal": ("signal",)},
        )
        threads = Layout(
            program,
            "struct task_struct",
            {"next": ("thread_node.next",), "prev": ("thread_node.prev",)},
        )
        head = Layout(program, "struct signal_struct", {"head": ("thread_head.next",)})
        first = program["init_task"].tasks.address_of_().value_()
        in_leader, in_thread = leaders.offset("next"), threads.offset("next")
        in_signal, signal = head.offset("head"), leaders.offset("signal")
    except READ_ERRORS:
        return
    for leader in _around(program, first):
        yield leader - in_leader
        try:
            group = program.read_u64(leader - in_leader + signal)
        except FaultError:
            continue
        for thread in _around(program, group + in_signal):
            yield thread - in_thread


def _around(program: Program, head: int) -> Iterator[int]:
    """Addresses of the ``list_head`` of a list: forwards from its head, and backwards if that ends
    at one that cannot be read."""
    seen = {head}
    for offset in (0, 8):
        at = head
        try:
            while True:
                at = program.read_u64(at + offset)
                if at == head:
                    return
                if at in seen:
                    break
                seen.add(at)
                yield at
        except FaultError:
            continue


# Memory.


class _Memory:
    """RSS and size of address spaces, each computed once for all its threads."""

    def __init__(self, program: Program, page_size: int, tasks: list[FoundTask]) -> None:
        self._program = program
        self._page_size = page_size
        self._known: dict[int | None, tuple[int | None, int | None, str]] = {0: (0, 0, "")}
        self._known[None] = (None, None, "")
        self._not_yet_added = _not_yet_added(tasks)
        self._percpu: list[int] = []
        try:
            kinds = [
                program.constant(name).value_()
                for name in ("MM_FILEPAGES", "MM_ANONPAGES", "MM_SHMEMPAGES")
            ]
            members: dict[str, tuple[str, ...]] = {"total_vm": ("total_vm",)}
            for index, kind in enumerate(kinds):
                # An array of percpu_counters since Linux kernel commit f1a7941243c1 ("mm: convert
                # mm's rss stats into percpu_counter") (in v6.2), before in a struct of atomics.
                members[f"count{index}"] = (
                    f"rss_stat.count[{kind}]",
                    f"rss_stat[{kind}].count",
                )
            for index, kind in enumerate(kinds):
                members[f"counters{index}"] = (f"rss_stat[{kind}].counters",)
            self._layout = Layout(program, "struct mm_struct", members)
            if "counters0" in self._layout:
                self._percpu = _per_cpu_offsets(program)
            self._why = ""
        except READ_ERRORS as error:
            self._why = reason(error)

    def of(self, mm: int | None) -> tuple[int | None, int | None, str]:
        """RSS and virtual size in bytes; why they are not known."""
        known = self._known.get(mm)
        if known is None:
            assert mm is not None
            known = self._known[mm] = self._read(mm)
        return known

    def _read(self, mm: int) -> tuple[int | None, int | None, str]:
        if self._why:
            return None, None, self._why
        try:
            values = self._layout.read(mm)
            total_vm, counts, counters = values[0], list(values[1:4]), values[4:7]
            if counters[0] is not None:
                self._add_per_cpu(counts, counters)
        except FaultError as error:
            return None, None, reason(error)
        if None in counts:
            return None, total_vm * self._page_size, "this kernel counts RSS in an unknown way"
        for index, pages in enumerate(self._not_yet_added.get(mm, ())):
            counts[index] += pages
        # A counter below zero is one whose other half was still on its way: get_mm_counter().
        pages = sum(max(0, count) for count in counts)
        return pages * self._page_size, total_vm * self._page_size, ""

    def _add_per_cpu(self, counts: list[int], counters: tuple[int, ...]) -> None:
        # The counters of one mm are allocated together since Linux kernel commit 14ef95be6f55
        # ("kernel/fork: group allocation/free of per-cpu counters for mm struct") (in v6.6).
        first, last = min(counters), max(counters)
        together = last - first < 64
        for offset in self._percpu:
            if together:
                data = self._program.read(first + offset & _WORD, last - first + 4)
                for index, counter in enumerate(counters):
                    counts[index] += _S32.unpack_from(data, counter - first)[0]
            else:
                for index, counter in enumerate(counters):
                    data = self._program.read(counter + offset & _WORD, 4)
                    counts[index] += _S32.unpack(data)[0]


_WORD = (1 << 64) - 1
_S32 = struct.Struct("=i")


def _per_cpu_offsets(program: Program) -> list[int]:
    offsets = program["__per_cpu_offset"]
    return [offsets[cpu].value_() for cpu in for_each_possible_cpu(program)]


def _not_yet_added(tasks: list[FoundTask]) -> dict[int, list[int]]:
    """Pages by mm and kind that its tasks have counted and not yet added to the mm's counters."""
    pending: dict[int, list[int]] = {}
    for task in tasks:
        raw = task.raw
        if raw.mm and (raw.file_pages or raw.anon_pages or raw.shmem_pages):
            counts = pending.setdefault(raw.mm, [0, 0, 0])
            for index, pages in enumerate((raw.file_pages, raw.anon_pages, raw.shmem_pages)):
                counts[index] += pages or 0
    return pending


def physical_memory_bytes(program: Program) -> int:
    """Memory up to the highest page, as crash's %MEM counts it."""
    return int(program["max_pfn"].value_()) * int(program["PAGE_SIZE"].value_())


# For everyone else.

_CACHE_KEY = "kscope task table"


def task_table_in_slices(target: Target) -> Generator[Progress, None, TaskTable]:
    """The table of all tasks, read in slices. A dump's is read once.

    :raises QueryError: if there are no types to read it with.
    """
    cache = target.program.cache
    table: TaskTable | None = None if target.identity.live else cache.get(_CACHE_KEY)
    if table is None:
        table = TaskTable(target)
        yield from table.fill()
        if not target.identity.live:
            cache[_CACHE_KEY] = table
    return table


def task_table(target: Target) -> TaskTable:
    """The table of all tasks.

    :raises QueryError: if there are no types to read it with.
    """
    slices = task_table_in_slices(target)
    while True:
        try:
            next(slices)
        except StopIteration as stop:
            table: TaskTable = stop.value
            return table


def task_rows(target: Target) -> list[Task]:
    """All tasks, idle tasks first, then by PID.

    :raises QueryError: if there are no types to read them with.
    """
    return task_table(target).rows
