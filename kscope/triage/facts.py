"""What the rules look at, each read once, when the first rule asks for it."""

from collections.abc import Mapping, Sequence
from functools import cached_property

from drgn import Object, Program

from kscope.kernel.access.reading import READ_ERRORS
from kscope.kernel.cpus import cpus
from kscope.kernel.death.exception import Stopped, what_stopped
from kscope.kernel.death.panic import panic_message, panic_task
from kscope.kernel.locks import read_locks
from kscope.kernel.log import log
from kscope.kernel.machine.block_requests import Request, requests_in_flight
from kscope.kernel.machine.memory_zones import Zone, memory_zones
from kscope.kernel.process.task_table import task_rows, task_table
from kscope.kernel.processor.timers import jiffy_ns
from kscope.model.base import QueryError, Unreadable
from kscope.model.cpus import Cpu, Cpus, CpusQuery
from kscope.model.locks import Blocked, Lock, Locks
from kscope.model.log import Log, LogQuery
from kscope.model.survey import Panic
from kscope.model.tasks import Task
from kscope.target.target import Target

_NO_CPU = -1
"""``PANIC_CPU_INVALID``."""


class Facts:
    """Everything that rules reason about. What cannot be read raises where it is asked for."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.program: Program = target.program

    # The log.

    @cached_property
    def log(self) -> Log:
        """The log with its reports; empty if it cannot be read."""
        try:
            return log(self.target, LogQuery())
        except QueryError as error:
            unreadable = (Unreadable("the log", error.sentence),)
            return Log(records=(), reports=(), boot_time_ns=None, unreadable=unreadable)

    @cached_property
    def panic_message(self) -> str:
        """The kernel's own words for its death."""
        return panic_message(self.log.records)

    # The panic.

    @cached_property
    def panic(self) -> Panic:
        """How the kernel died."""
        from kscope.triage.panic_kind import classify

        return classify(self)

    @cached_property
    def panic_cpu(self) -> int | None:
        """The CPU that panicked or crashed; ``None`` if none did."""
        try:
            cpu = int(self.program["panic_cpu"].counter.value_())
        except READ_ERRORS:
            return None
        return None if cpu == _NO_CPU else cpu

    @cached_property
    def panic_task(self) -> Object | None:
        """``struct task_struct *``"""
        if self.target.debug_info.types == "none":
            return None
        return panic_task(self.program)

    @cached_property
    def stopped(self) -> Stopped | None:
        """What the panicking CPU was doing and which exception stopped it."""
        try:
            task = self.panic_task
            return None if task is None else what_stopped(self.program, task)
        except READ_ERRORS:
            return None

    # Tasks, locks and CPUs.

    @cached_property
    def tasks(self) -> list[Task]:
        """All tasks."""
        return task_rows(self.target)

    @cached_property
    def locks(self) -> Locks:
        """The wait graph."""
        return read_locks(self.target)

    @cached_property
    def blocked(self) -> dict[int, Blocked]:
        """The tasks of the wait graph by PID."""
        return {task.pid: task for task in self.locks.blocked}

    @cached_property
    def requests(self) -> Mapping[str, Sequence[Request]]:
        """Block requests in flight by disk, the oldest first."""
        return requests_in_flight(self.program)

    @cached_property
    def zones(self) -> list[Zone]:
        """The zones of memory."""
        return memory_zones(self.program)

    @cached_property
    def lock_at(self) -> dict[int, Lock]:
        """Locks by address."""
        return {int(lock.address): lock for lock in self.locks.locks}

    @cached_property
    def all_cpus(self) -> Cpus:
        """What every CPU was doing, and its health."""
        slices = cpus(self.target, CpusQuery(backtrace=True, watchdog=True))
        while True:
            try:
                next(slices)
            except StopIteration as stop:
                found: Cpus = stop.value
                return found

    @cached_property
    def online_cpus(self) -> list[Cpu]:
        """Those that were at work, also if a panic has since marked them offline."""
        return [cpu for cpu in self.all_cpus.cpus if cpu.online or cpu.active]

    @property
    def unreadable(self) -> tuple[Unreadable, ...]:
        """What could not be read of all that was asked for so far."""
        found: list[Unreadable] = []
        for name in ("log", "locks", "all_cpus"):
            if name in self.__dict__:
                found += self.__dict__[name].unreadable
        for cpu in self.__dict__["all_cpus"].cpus if "all_cpus" in self.__dict__ else ():
            found += [
                Unreadable(f"CPU {cpu.cpu}: {each.what}", each.why) for each in cpu.unreadable
            ]
        if "tasks" in self.__dict__:
            found += task_table(self.target).unreadable
            damaged = [task for task in self.tasks if task.unreadable]
            if damaged:
                what = f"parts of {len(damaged)} of {len(self.tasks)} tasks"
                found.append(Unreadable(what, damaged[0].unreadable[0].why))
        return tuple(dict.fromkeys(found))

    # Numbers.

    @cached_property
    def jiffy_ns(self) -> int:
        """The length of a jiffy."""
        return jiffy_ns(self.program)

    def number(self, name: str, otherwise: int | None = None) -> int | None:
        """The value of a kernel variable; ``otherwise`` where this kernel has none."""
        try:
            value = self.program[name]
        except LookupError:
            return otherwise
        return int(value.value_())
