"""What the rules look at, each read once, when the first rule asks for it."""

from collections.abc import Mapping, Sequence
from functools import cached_property

from kscope.kernel.cpus import cpus
from kscope.kernel.locks import read_locks
from kscope.kernel.machine.block_requests import Request, requests_in_flight
from kscope.kernel.machine.clocks import jiffy_ns
from kscope.kernel.machine.memory_zones import Zone, memory_zones
from kscope.kernel.process.task_table import task_rows, task_table
from kscope.model.base import Unreadable
from kscope.model.cpus import Cpu, Cpus, CpusQuery
from kscope.model.locks import Blocked, Lock, Locks
from kscope.model.survey import Panic
from kscope.model.tasks import Task
from kscope.triage.death_facts import DeathFacts
from kscope.triage.panic_kind import classify


class Facts(DeathFacts):
    """Everything that rules reason about. What cannot be read raises where it is asked for."""

    @cached_property
    def panic(self) -> Panic:
        """How the kernel died."""
        return classify(self)

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

    @cached_property
    def jiffy_ns(self) -> int:
        """The length of a jiffy."""
        return jiffy_ns(self.program)
