"""Every task of the machine as a row: what ``ps`` shows, read once and fast.

Where tasks are looked for, in this order, each found once:

- the idle task of every possible CPU, online or not: after panic() the others are offline;
- the PID table of the initial namespace (``init_pid_ns.idr``). It leads to each task by itself, so
  that an unreadable task costs one row and not all behind it;
- if a part of that table cannot be read, whom the tasks found so far lead to, and all slabs that
  hold tasks;
- what CPUs were running: a task that has left the PID table and still has its last steps to do.
"""

from collections.abc import Generator, Iterable, Iterator
from functools import cached_property
from typing import NamedTuple

import msgspec
from drgn import FaultError, Program
from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.percpu import per_cpu

from kscope.kernel.access.layout import Layout
from kscope.kernel.access.reading import READ_ERRORS, Readings, reason
from kscope.kernel.death.panic import panic_task
from kscope.kernel.process.pid_table import PidTable
from kscope.kernel.process.relatives import relatives
from kscope.kernel.process.resident_memory import ResidentMemory
from kscope.kernel.process.states import States, policy_name
from kscope.model.base import Address, Progress, QueryError, Unreadable
from kscope.model.tasks import Task
from kscope.model.text import printable
from kscope.target.target import Target

PF_KTHREAD = 0x00200000

_SLICE = 500
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
    swap_entries: int | None
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
    "swap_entries": ("rss_stat.count[2]",),
    "shmem_pages": ("rss_stat.count[3]",),
}

_MAY_BE_ABSENT = {"file_pages", "anon_pages", "swap_entries", "shmem_pages"}

_SHOWN_AS = {
    "exit_state": "state", "flags": "kthread", "last_arrival": "since_last_arrival_ns",
    "parent": "ppid", "group_leader": "leader", "start_time": "start_time_ns", "mm": "rss_bytes",
    "file_pages": "rss_bytes", "anon_pages": "rss_bytes", "swap_entries": "rss_bytes",
    "shmem_pages": "rss_bytes",
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
    """All tasks of a target, those read so far while they are being read.

    Several questions may read on in turn: each goes on where the last one left off.
    """

    def __init__(self, target: Target) -> None:
        """
        :raises QueryError: if there are no types.
        """
        target.need_types("Tasks")
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
        page_size = self._readings.read("page size", lambda: int(self._program["PAGE_SIZE"]), 4096)
        self._not_yet_added: dict[int, list[int]] = {}
        self.memory = ResidentMemory(self._program, page_size, self._not_yet_added)
        # Where tasks count for themselves first, an address space is known when they all are.
        self._memory_comes_last = any(name in self._layout for name in _MAY_BE_ABSENT)
        self._running = {cpu.current for cpu in self.cpus.values()}
        self._panicked = self._readings.read("panic task", lambda: _panicked(self._program), 0)
        self._reading: Generator[Progress, None, None] | None = None
        self.found: list[FoundTask] = []
        self.rows: list[Task] = []
        """One for each of ``found``."""
        self._pids: dict[int, int | None] = {}
        """Of the tasks found, by address."""
        self.complete = False
        self.has_gaps = False
        """Whether there may be tasks that could not be found."""

    @cached_property
    def places(self) -> dict[int, list[int]]:
        """Where in ``rows`` tasks are, by PID and by address; to be asked for when all are read."""
        places: dict[int, list[int]] = {}
        for place, task in enumerate(self.rows):
            for name in (task.pid, task.task):
                if name is not None:
                    places.setdefault(int(name), []).append(place)
        return places

    @property
    def unreadable(self) -> tuple[Unreadable, ...]:
        """What could not be read of the table itself."""
        return self._readings.unreadable

    def read_on(self) -> Generator[Progress, None, None]:
        """Find and read all tasks that are still to be read: idle tasks first, then by PID."""
        while not self.complete:
            if self._reading is None:
                self._reading = self._read()
            try:
                step = next(self._reading)
            except StopIteration:
                break
            except BaseException:
                # It was interrupted. Whoever reads on begins again.
                self._reading = None
                raise
            yield step

    def _read(self) -> Generator[Progress, None, None]:
        self.found.clear()
        self.rows.clear()
        self._pids.clear()
        self._not_yet_added.clear()
        for found in self._addresses():
            if found is None:
                yield Progress(len(self.rows), 0, "looking for more tasks")
                continue
            address, pid = found
            task = self._find(address, pid)
            self.found.append(task)
            self._pids[address] = task.raw.pid
            self.rows.append(self._row(task))
            if len(self.rows) % _SLICE == 0:
                yield Progress(len(self.rows), 0, "reading tasks")
        if self._memory_comes_last:
            for count, task in enumerate(self.found):
                if count and count % _SLICE == 0:
                    yield Progress(count, len(self.found), "reading the memory of tasks")
                if task.raw.mm:
                    self.rows[count] = self._with_memory(self.rows[count], task)
        self.complete = True

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

    def _addresses(self) -> Iterator[tuple[int, int | None] | None]:
        """Addresses of all tasks, with the PID where the PID table tells it. ``None`` now and then
        where looking for more takes long.
        """
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
            self.has_gaps = True
            self._readings.note("a part of the PID table", table.why_incomplete)
            for task in relatives(self._program, tuple(seen)):
                if task is None:
                    yield None
                else:
                    yield from fresh([(task, None)])
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
        return FoundTask(address, raw, unreadable | self._absent if unreadable else self._absent)

    # Giving their members a meaning.

    def _row(self, task: FoundTask) -> Task:
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
            # A parent may come behind its children: PIDs are given out again from the start.
            ppid = self._pids.get(raw.parent)
            if ppid is None:
                ppid = self._pid_at(raw.parent)
                if ppid is None:
                    unreadable["ppid"] = f"the parent at {raw.parent:#x} cannot be read"
        rss: int | None = None
        vsize: int | None = None
        if raw.mm and self._memory_comes_last:
            self._count_for_its_memory(raw)
        else:
            rss, vsize, why = self.memory.totals(raw.mm)
            if why:
                unreadable |= {"rss_bytes": why, "vsize_bytes": why}
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
            active=task.address in self._running,
            panicked=task.address == self._panicked,
            unreadable=tuple(Unreadable(*item) for item in unreadable.items()),
        )

    def _count_for_its_memory(self, raw: RawTask) -> None:
        """Keep the pages that a task has counted and not yet added to its mm's counters."""
        pending = (raw.file_pages, raw.anon_pages, raw.swap_entries, raw.shmem_pages)
        if raw.mm and any(pending):
            counts = self._not_yet_added.setdefault(raw.mm, [0, 0, 0, 0])
            for index, pages in enumerate(pending):
                counts[index] += pages or 0

    def _with_memory(self, row: Task, task: FoundTask) -> Task:
        rss, vsize, why = self.memory.totals(task.raw.mm)
        unreadable = row.unreadable
        if why:
            unreadable = (
                *(missing for missing in unreadable if missing.what != "rss_bytes"),
                Unreadable("rss_bytes", why),
                Unreadable("vsize_bytes", why),
            )
        return msgspec.structs.replace(row, rss_bytes=rss, vsize_bytes=vsize, unreadable=unreadable)

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


def physical_memory_bytes(program: Program) -> int:
    """Memory up to the highest page, as crash's %MEM counts it."""
    return int(program["max_pfn"].value_()) * int(program["PAGE_SIZE"].value_())


# For everyone else.

_CACHE_KEY = "kscope task table"


def open_task_table(target: Target) -> TaskTable:
    """The table of all tasks, as far as it has been read. A dump has one, a live target a new one
    for each question.

    :raises QueryError: if there are no types to read it with.
    """
    if target.identity.live:
        return TaskTable(target)
    cache = target.program.cache
    table: TaskTable | None = cache.get(_CACHE_KEY)
    if table is None:
        table = cache[_CACHE_KEY] = TaskTable(target)
    return table


def task_table_in_slices(target: Target) -> Generator[Progress, None, TaskTable]:
    """The table of all tasks, read in slices.

    :raises QueryError: if there are no types to read it with.
    """
    table = open_task_table(target)
    yield from table.read_on()
    return table


def task_table(target: Target) -> TaskTable:
    """The table of all tasks.

    :raises QueryError: if there are no types to read it with.
    """
    table = open_task_table(target)
    for _ in table.read_on():
        pass
    return table


def task_rows(target: Target) -> list[Task]:
    """All tasks, idle tasks first, then by PID.

    :raises QueryError: if there are no types to read them with.
    """
    return task_table(target).rows
