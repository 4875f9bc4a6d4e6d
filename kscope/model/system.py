"""The machine: what crash's ``sys`` says, how the kernel was set, and the state of the dump."""

import msgspec

from kscope.model.base import Address, Query, Result, Unreadable
from kscope.model.cpus import RegistersFrom


class PanicTask(msgspec.Struct, frozen=True):
    """The task that was running where the kernel panicked."""

    pid: int
    comm: str
    task: Address
    cpu: int
    state: str


class Fact(msgspec.Struct, frozen=True):
    """One named value, such as a DMI string."""

    name: str
    value: str


class Taint(msgspec.Struct, frozen=True):
    """One taint flag that is set."""

    letter: str
    meaning: str


class Setting(msgspec.Struct, frozen=True):
    """One kernel setting as the kernel had it in memory."""

    name: str
    """Its sysctl's name, or the variable's where it has none."""
    value: int
    meaning: str
    """What this very value makes the kernel do."""
    notable: bool
    """Whether it differs from a default kernel or took part in the panic."""


class CrashKernel(msgspec.Struct, frozen=True):
    """Memory kept for the kdump kernel, and whether one was loaded into it."""

    start: Address
    """Physical."""
    size_bytes: int
    loaded: bool


class CpuState(msgspec.Struct, frozen=True):
    """What one CPU ran."""

    cpu: int
    online: bool
    idle: bool
    pid: int | None
    comm: str
    registers: RegistersFrom
    softirq: str = ""
    """The softirq's handler that it was in, on top of that task, also of the idle one; ``?`` if its
    stack does not say which."""


class Memory(msgspec.Struct, frozen=True):
    """Memory in bytes."""

    total_bytes: int
    free_bytes: int | None


class System(Result, frozen=True):
    """Each member is ``None`` (or empty) where it could not be read; ``unreadable`` says why."""

    dumpfile: str
    partial: bool = False
    """Whether makedumpfile left pages out of it on purpose."""
    kernel: str = ""
    """The vmlinux; empty when types come from elsewhere."""
    cpus: int | None = None
    """Present CPUs, as crash counts them."""
    offline: int | None = None
    date_seconds: int | None = None
    """The realtime clock of the dumped machine, seconds since 1970."""
    uptime_seconds: int | None = None
    load_average: tuple[float, float, float] | None = None
    tasks: int | None = None
    nodename: str = ""
    release: str = ""
    version: str = ""
    machine: str = ""
    mhz: int | None = None
    memory: Memory | None = None
    panic_message: str = ""
    """Empty when the kernel did not panic."""
    panic_task: PanicTask | None = None
    taints: tuple[Taint, ...] | None = None
    dmi: tuple[Fact, ...] | None = None
    command_line: str = ""
    settings: tuple[Setting, ...] = ()
    crash_kernel: CrashKernel | None = None
    cpu_states: tuple[CpuState, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()


class SystemQuery(Query[System], frozen=True, kw_only=True):
    """The machine, its settings and the state of the dump."""
