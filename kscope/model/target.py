"""What is being debugged: which machine's memory, in which file, how much of it, read how."""

from typing import ClassVar, Literal

from kscope.model.base import Query, Result

DumpFormat = Literal["elf", "kdump", "kcore", "qemu", "log"]

TypesFrom = Literal["dwarf", "btf", "none"]
"""Where types come from: a vmlinux, the dump's own BTF, or nowhere."""


class Identity(Result, frozen=True):
    """What can be said of a target from its first pages, before any types are known."""

    path: str
    name: str
    """The file's name, or ``/proc/kcore``, or the QEMU socket."""
    format: DumpFormat
    compression: str
    """The page compressions met, such as ``zlib`` or ``zstd``; empty when there is none."""
    dump_level: int | None
    """makedumpfile's ``-d``: which pages were left out on purpose (31: all but kernel data)."""
    size_bytes: int
    complete: bool
    missing_bytes: int | None
    """Bytes the file lacks at its end; ``None`` when it is incomplete but not known by how much."""
    incomplete_why: str
    live: bool
    release: str
    version: str
    machine: str
    nodename: str
    build_id: str
    """The vmlinux's build-ID in hexadecimal; empty before Linux 5.9 (commit 0935288c6e00)."""
    crash_time_seconds: int | None
    """When the kernel crashed, seconds since 1970 (VMCOREINFO's ``CRASHTIME``)."""

    @property
    def filtered(self) -> bool:
        """Whether makedumpfile left pages out on purpose."""
        return bool(self.dump_level)


class DebugInfo(Result, frozen=True):
    """Where types, symbols and unwind tables come from, and what is missing for it."""

    types: TypesFrom
    vmlinux: str
    """The file with the kernel's DWARF; empty when there is none."""
    searched: tuple[str, ...]
    """Where a vmlinux was looked for."""
    missing: tuple[str, ...]
    """What cannot be shown for lack of it, a sentence each."""
    fetch: tuple[str, ...]
    """Commands that would bring the missing debug info, the likeliest first."""


class Opened(Result, frozen=True):
    """A target that is open. ``debug_info`` is ``None`` while types are still being loaded."""

    identity: Identity
    debug_info: DebugInfo | None = None


class OpenQuery(Query[Opened], frozen=True, kw_only=True):
    """Open a target; the first Query to every worker."""

    deadline_seconds: ClassVar[float] = 900.0

    path: str = ""
    """A vmcore, or a directory as kdump.service leaves it."""
    live: bool = False
    """The running kernel, through ``/proc/kcore``."""
    qemu: str = ""
    """A QEMU guest, by its QMP socket."""
    vmlinux: str = ""
    debuginfod: bool = False
    """Whether debug info may be downloaded by debuginfod."""
