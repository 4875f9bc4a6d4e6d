"""What is read of how the kernel died, each once: all that the panic's kind is judged by."""

from functools import cached_property

from drgn import Object, Program

from kscope.kernel.access.reading import READ_ERRORS
from kscope.kernel.death.exception import Stopped, what_stopped
from kscope.kernel.death.panic import panic_cpu, panic_message, panic_task, survived
from kscope.kernel.log import log
from kscope.model.base import QueryError, Unreadable
from kscope.model.log import Log, LogQuery
from kscope.target.target import Target


class DeathFacts:
    """The log, and the CPU and task that panicked."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.program: Program = target.program

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

    @cached_property
    def panic_cpu(self) -> int | None:
        """The CPU that panicked or crashed; ``None`` if none did."""
        try:
            return panic_cpu(self.program)
        except READ_ERRORS:
            return None

    @cached_property
    def survived(self) -> bool:
        """Whether this kernel surely had not died when the dump was taken."""
        return survived(self.target)

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

    def number(self, name: str) -> int | None:
        """The value of a kernel variable; ``None`` where there is none or it cannot be read."""
        try:
            return int(self.program[name].value_())
        except READ_ERRORS:
            return None
