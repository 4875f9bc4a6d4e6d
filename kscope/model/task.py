"""One task in full: its stack, who it is, its files, its memory, its threads."""

from typing import Annotated

import msgspec
from msgspec import Meta

from kscope.model.base import Address, Query, Result, Unreadable
from kscope.model.stacks import Stack
from kscope.model.tasks import Task

# The stack.


class FrameWords(msgspec.Struct, frozen=True):
    """What lies on the stack between one frame's stack pointer and the next's."""

    frame: int
    """Index into ``Stack.frames``, inlined ones counted."""
    address: Address
    words: tuple[Address, ...]


class Variable(msgspec.Struct, frozen=True):
    """A parameter or local variable of a frame, as far as DWARF tells where it is."""

    name: str
    type: str
    value: str
    """As drgn writes it; empty for one that was optimised out."""
    target: Address | None
    """Where it points, if it is a pointer into the kernel; where a structure or array lies."""
    parameter: bool


class FrameVariables(msgspec.Struct, frozen=True):
    """The variables of one frame."""

    frame: int
    """Index into ``Stack.frames``, inlined ones counted."""
    variables: tuple[Variable, ...]


class TextSymbol(msgspec.Struct, frozen=True):
    """A word on the raw stack that lies in a function: perhaps a return address, perhaps old."""

    address: Address
    """Where on the stack."""
    value: Address
    symbol: str
    """``schedule+0x5e [module]``."""


class TaskStack(msgspec.Struct, frozen=True, kw_only=True):
    """A task's kernel stack; the parts that were not asked for are empty."""

    stack: Stack
    telling: tuple[int, ...] = ()
    """Which of ``stack.frames`` say what the task does."""
    words: tuple[FrameWords, ...] = ()
    variables: tuple[FrameVariables, ...] = ()
    text_symbols: tuple[TextSymbol, ...] = ()


# Identity.


class TaskName(msgspec.Struct, frozen=True):
    """Another task, named."""

    pid: int | None
    comm: str | None
    task: Address


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """Who the task acts as (``task->cred``), in the initial user namespace."""

    uid: int
    euid: int
    suid: int
    fsuid: int
    gid: int
    egid: int
    sgid: int
    fsgid: int
    groups: tuple[int, ...]
    cap_effective: int
    cap_permitted: int
    cap_inheritable: int


class Namespace(msgspec.Struct, frozen=True):
    """One namespace by its inode number, as ``/proc/PID/ns`` shows it."""

    kind: str
    inode: int
    initial: bool
    """Whether it is the one the kernel started with."""
    address: Address


class Signals(msgspec.Struct, frozen=True, kw_only=True):
    """Signals by name."""

    pending: tuple[str, ...]
    """Sent to this thread and not yet taken."""
    shared_pending: tuple[str, ...]
    """Sent to its thread group and not yet taken."""
    blocked: tuple[str, ...]
    ignored: tuple[str, ...]
    caught: tuple[str, ...]


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who a task is. ``None`` where a member could not be read."""

    stack: Address | None
    """The lowest address of its kernel stack; ``None`` also when that is freed."""
    flags: int | None
    flag_names: tuple[str, ...]
    """``PF_*``, without their prefix."""
    on_cpu: bool | None
    real_parent: TaskName | None
    """The task that is told of its end; differs from its parent while it is being traced."""
    parent: TaskName | None
    group_leader: TaskName | None
    children: tuple[TaskName, ...]
    start_date_seconds: int | None
    """Seconds since 1970."""
    utime_ns: int | None
    stime_ns: int | None
    runtime_ns: int | None
    """Time on CPUs, as the scheduler counted it (``se.sum_exec_runtime``)."""
    voluntary_switches: int | None
    involuntary_switches: int | None
    in_iowait: bool | None
    normal_prio: int | None
    cpus_allowed: str | None
    """As in ``/proc/PID/status``: ``0-3``."""
    command_line: tuple[str, ...] | None
    """Its arguments, read from its own memory: seldom in a filtered dump."""
    executable: str | None
    """``None`` for kernel threads."""
    credentials: Credentials | None
    namespaces: tuple[Namespace, ...] | None
    cgroup: str | None
    """Its path in the unified hierarchy."""
    signals: Signals | None


# Files.


class OpenFile(msgspec.Struct, frozen=True, kw_only=True):
    """One open descriptor."""

    descriptor: int
    file: Address
    dentry: Address | None
    inode: Address | None
    type: str | None
    """``REG DIR CHR BLK FIFO SOCK LNK``; empty where there is no inode type."""
    path: str | None
    flags: int | None
    """As given to open(2), the access mode in the lowest two bits."""
    offset: int | None
    unreadable: tuple[Unreadable, ...] = ()


class Files(msgspec.Struct, frozen=True, kw_only=True):
    """Open files; none for a kernel thread and a zombie."""

    root: str | None
    cwd: str | None
    descriptors: tuple[OpenFile, ...]


# Memory.


class Area(msgspec.Struct, frozen=True, kw_only=True):
    """One mapping of an address space (``struct vm_area_struct``)."""

    vma: Address
    start: Address
    """A user address, as is the end."""
    end: Address
    flags: int
    """``vm_flags``."""
    permissions: str
    """``rwxp`` as in ``/proc/PID/maps``."""
    name: str | None
    """The file, ``[heap]``, ``[stack]``; empty for nameless memory."""
    kind: str
    """One of ``AREA_KINDS``."""


AREA_KINDS = ("file code", "file data", "file", "heap", "stack", "anonymous", "shared", "special")
"""``file code`` can be executed, ``file data`` is private and can be written."""


class AreaTotal(msgspec.Struct, frozen=True):
    """The mappings of one kind together."""

    kind: str
    areas: int
    size_bytes: int


class AddressSpace(msgspec.Struct, frozen=True, kw_only=True):
    """The memory of a task (``task->mm``)."""

    mm: Address
    pgd: Address | None
    rss_bytes: int | None
    vsize_bytes: int | None
    anonymous_bytes: int | None
    """Of the RSS: pages of no file."""
    file_bytes: int | None
    shared_bytes: int | None
    swap_bytes: int | None
    locked_bytes: int | None
    users: int | None
    """Tasks that share it, and temporary users (``mm_users``)."""
    areas: tuple[Area, ...]
    totals: tuple[AreaTotal, ...]


class TaskDetail(Result, frozen=True, kw_only=True):
    """One task; the sections that were not asked for are ``None``, as are those that it does not
    have or that could not be read: ``unreadable`` says why."""

    row: Task
    stack: TaskStack | None = None
    identity: Identity | None = None
    files: Files | None = None
    memory: AddressSpace | None = None
    threads: tuple[Task, ...] | None = None
    unreadable: tuple[Unreadable, ...] = ()


class TaskQuery(Query[TaskDetail], frozen=True, kw_only=True):
    """One task in full. Without any section named: its stack and identity."""

    task: Annotated[str, Meta(description="a PID, or the address of a task_struct")]
    stack: Annotated[bool, Meta(description="its kernel stack")] = False
    raw: Annotated[bool, Meta(description="the stack's words by frame (bt -f)")] = False
    variables: Annotated[
        bool, Meta(description="arguments and local variables by frame, where DWARF tells them")
    ] = False
    symbols: Annotated[
        bool, Meta(description="everything on the raw stack that is in a function (bt -t)")
    ] = False
    identity: Annotated[bool, Meta(description="parents, credentials, signals, flags …")] = False
    files: Annotated[bool, Meta(description="open files")] = False
    vm: Annotated[bool, Meta(description="its memory and every mapping")] = False
    threads: Annotated[bool, Meta(description="the threads of its group")] = False
