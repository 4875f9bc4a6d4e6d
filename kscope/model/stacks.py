"""Kernel stacks: of one task in full, and of all tasks grouped by what they have in common."""

from typing import Literal

import msgspec

from kscope.model.base import Address, Result, Unreadable
from kscope.model.tasks import TaskSelection

StackKind = Literal["task", "irq", "softirq", "nmi", "exception", "user", "unknown"]
"""Which stack frames lie on: the task's own, or one that the CPU switched to."""


class Frame(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """One frame, the way backtraces show it."""

    function: str
    """The symbol; for an inlined frame the function's name in the source. Empty in user space."""
    offset: int | None
    """From the start of the symbol, in bytes; ``None`` for an inlined frame."""
    module: str
    """Empty for the kernel itself."""
    source: str
    """``kernel/locking/mutex.c:747``; empty without DWARF."""
    inline: bool = False
    """Whether it is inlined into the frame after it, whose registers and address it shares."""
    address: Address
    """Where the function goes on when those above return."""
    sp: Address | None = None
    """The stack pointer in this frame; ``None`` in a group of tasks, each of which has its own."""


class Register(msgspec.Struct, gc=False, frozen=True):
    """One register's value, by the name the processor's manual has for it in small letters."""

    name: str
    value: Address


class Segment(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """Frames on one stack, up to where something interrupted what the next segment shows."""

    kind: StackKind
    frames: tuple[Frame, ...]
    registers: tuple[Register, ...] = ()
    """Of the topmost frame, where an exception or the dump saved them whole."""
    irqs_enabled: bool | None = None
    """From its saved RFLAGS."""


class Stack(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """A task's backtrace, what ran last first."""

    segments: tuple[Segment, ...]
    stopped: str = ""
    """Why there are no more frames, unless the stack is whole."""

    @property
    def frames(self) -> tuple[Frame, ...]:
        """All kernel frames."""
        return tuple(f for s in self.segments if s.kind != "user" for f in s.frames)


class StackGroup(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """Tasks in the same state with the same kernel stack, return address by return address."""

    count: int
    state: str
    summary: tuple[str, ...]
    """The telling functions: what is waited in, then callers; the scheduler's left out."""
    frames: tuple[Frame, ...]
    """Empty where there is no kernel stack to show: ``stopped`` says why."""
    telling: tuple[int, ...]
    """Which of the frames the summary names."""
    tasks: tuple[int | None, ...]
    """PIDs, longest since it last ran first."""
    addresses: tuple[Address, ...]
    """The same tasks' ``task_struct``: idle tasks share a PID."""
    comms: tuple[str | None, ...]
    """The same tasks' commands."""
    since_last_arrival_ns: tuple[int | None, ...]
    """How long ago the same tasks last ran."""
    longest_since_last_arrival_ns: int | None
    idle_worker: bool = False
    """Whether this is how an idle CPU, or a worker without work, waits."""
    stopped: str = ""
    """Why there are no more frames, unless the stack is whole."""


class Stacks(Result, frozen=True, kw_only=True):
    """Groups, the most telling first: uninterruptible before others, idle workers last, and within
    that the longest blocked first."""

    groups: tuple[StackGroup, ...]
    tasks: int
    """How many tasks they hold together."""
    total: int
    """How many tasks there are in all."""
    unwound: int
    """How many stacks were unwound; the others were recognised by their return addresses."""
    unreadable: tuple[Unreadable, ...] = ()


class StacksQuery(TaskSelection[Stacks], frozen=True, kw_only=True):
    """Tasks by their kernel stacks. ``match`` also looks at the functions in the stacks."""
