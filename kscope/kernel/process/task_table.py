"""Every task of the machine as a row: what ``ps`` shows, read once and fast.

Where tasks are looked for, in this order, each found once:

- the idle task of every possible CPU, online or not: after panic() the others are offline;
- the PID table of the initial namespace (``init_pid_ns.idr``). It leads to each task by itself, so
  that an unreadable task costs one row and not all behind it;
- if a part of that table cannot be read, the lists of processes and of their threads;
- what CPUs were running: a task that has left the PID table and still has its last steps to do.
"""

from collections.abc import Generator, Iterable, Iterator
from typing import NamedTuple

from drgn import FaultError, Program
from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.percpu import per_cpu

from kscope.kernel.access.layout import Layout
from kscope.kernel.access.reading import READ_ERRORS, Readings, reason
from kscope.kernel.death.panic import panic_task
from kscope.kernel.process.pid_table import PidTable, through_lists
from kscope.kernel.process.resident_memory import ResidentMemory
from kscope.kernel.process.states import States, policy_name
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
        memory = self.memory = ResidentMemory(
            self._program, self._page_size, _not_yet_added(self.found)
        )
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
            yield from fresh((address, None) for address in through_lists(self._program))
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
        memory: ResidentMemory,
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
        rss, vsize, why = memory.totals(raw.mm)
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


def _not_yet_added(tasks: list[FoundTask]) -> dict[int, list[int]]:
    """Pages by mm and kind that its tasks have counted and not yet added to the mm's counters."""
    pending: dict[int, list[int]] = {}
    for task in tasks:
        raw = task.raw
        if raw.mm and (raw.file_pages or raw.anon_pages or raw.shmem_pages or raw.swap_entries):
            counts = pending.setdefault(raw.mm, [0, 0, 0, 0])
            added = (raw.file_pages, raw.anon_pages, raw.swap_entries, raw.shmem_pages)
            for index, pages in enumerate(added):
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
