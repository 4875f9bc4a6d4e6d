"""What a link on any screen leads to. Whichever screen names its type in ``OPENS`` opens it."""

from dataclasses import dataclass

from kscope.model.base import Address


@dataclass(frozen=True)
class TaskLink:
    """A task, by PID as in a log line, or exactly by its ``task_struct``."""

    pid: int
    task: Address | None = None

    def __str__(self) -> str:
        return str(self.pid) if self.task is None else str(self.task)


@dataclass(frozen=True)
class CpuLink:
    """A CPU."""

    cpu: int

    def __str__(self) -> str:
        return str(self.cpu)


@dataclass(frozen=True)
class AddressLink:
    """A kernel address, with the type of what is there where that is known."""

    address: Address
    type: str = ""
    """As in ``struct mutex``; empty when it is not known."""

    def __str__(self) -> str:
        return str(self.address)


@dataclass(frozen=True)
class SymbolLink:
    """A symbol, with the offset into it."""

    name: str
    offset: int = 0

    def __str__(self) -> str:
        return f"{self.name}+{self.offset:#x}" if self.offset else self.name


@dataclass(frozen=True)
class LogLink:
    """A record of the log."""

    seq: int

    def __str__(self) -> str:
        return str(self.seq)


@dataclass(frozen=True)
class LockLink:
    """A lock."""

    address: Address

    def __str__(self) -> str:
        return str(self.address)


Link = TaskLink | CpuLink | AddressLink | SymbolLink | LogLink | LockLink
