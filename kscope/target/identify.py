"""What a file is, from its content alone: which dump format, whose memory, how much of it.

Needs neither drgn nor types, so that the first screen can say it at once and a file that cannot
be opened is still named for what it is.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from kscope.model.base import QueryError
from kscope.model.target import DumpFormat, Identity
from kscope.model.text import printable
from kscope.target import elf, kdump
from kscope.target.vmcoreinfo import Vmcoreinfo

UNSUPPORTED = {"i386", "arm", "riscv", "loongarch"}
"""Architectures whose page tables or stacks drgn 0.3 cannot read (its docs/support_matrix.rst)."""

_OTHER_FORMATS = (
    (b"\x1f\x8b", "a gzip file", "Unpack it first: gunzip < FILE > vmcore"),
    (b"\xfd7zXZ\0", "an xz file", "Unpack it first: xz -dc FILE > vmcore"),
    (b"\x28\xb5\x2f\xfd", "a zstd file", "Unpack it first: zstd -dc FILE > vmcore"),
    (b"BZh", "a bzip2 file", "Unpack it first: bzip2 -dc FILE > vmcore"),
    (b"\x04\x22\x4d\x18", "an lz4 file", "Unpack it first: lz4 -dc FILE > vmcore"),
    (b"EMiL", "a LiME memory image", "kscope reads ELF and kdump-compressed dumps."),
    (b"QEVM", "a QEMU saved state (virsh save, migration)",
     "Take a dump instead: virsh dump --memory-only --format=elf DOMAIN FILE"),
    (b"LibvirtQemudSave", "a libvirt saved state",
     "Take a dump instead: virsh dump --memory-only --format=elf DOMAIN FILE"),
    (b"PK\x03\x04", "a zip archive", "Unpack it first: unzip FILE"),
)  # fmt: skip
_DUMP_NAMES = ("vmcore", "vmcore.flat", "vmcore-incomplete", "dump-incomplete")
_READABLE_LOG = "vmcore-dmesg.txt"
_LARGEST_LOG = 64 << 20


@dataclass(frozen=True)
class Core:
    """A dump's identity, and the notes in it that opening and unwinding need."""

    identity: Identity
    vmcoreinfo: Vmcoreinfo
    prstatus_notes: int
    """How many NT_PRSTATUS notes it carries, one per CPU whose registers were saved."""


def identify(given: str) -> Core:
    """Identify the dump at ``given``: a file, or a directory as kdump.service leaves it.

    :raises QueryError: of kind ``cannot-open``, saying what the file is instead.
    """
    path = dump_in(Path(given))
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) and not stat.S_ISBLK(status.st_mode):
                raise _refusal(f"{path} is not a regular file.", "Name a vmcore.")
            return _identify_file(path, file, status.st_size)
    except OSError as error:
        raise _refusal(
            f"{path} cannot be read: {error.strerror}.",
            _hint(error, path),
        ) from error


def _hint(error: OSError, path: Path) -> str:
    """What to do about a file that cannot be read."""
    refused = isinstance(error, PermissionError)
    if str(path) == "/proc/kcore" and refused:
        return "Run it as root; where the kernel is locked down (Secure Boot), not even root may."
    if str(path) == "/proc/kcore":
        return "Kernels built without CONFIG_PROC_KCORE and most containers have none."
    if refused:
        return "Dumps are usually readable by root only; try sudo, or change the file's mode."
    return "Check the path."


def read_log_file(path: str) -> bytes:
    """The content of a ``vmcore-dmesg.txt``."""
    with Path(path).open("rb") as file:
        return file.read(_LARGEST_LOG)


def dump_in(path: Path) -> Path:
    """The dump that ``path`` names: itself, or the one in a directory.

    :raises QueryError: if a directory holds none.
    """
    if not path.is_dir():
        return path
    try:
        names = sorted(entry.name for entry in path.iterdir())
    except OSError as error:
        raise _refusal(
            f"{path} cannot be listed: {error.strerror}.", "Name the dump in it."
        ) from error
    for name in _DUMP_NAMES:
        if name in names:
            return path / name
    # Debian's kdump-tools adds the date: dump.202611230339, dmesg.202611230339.
    for prefix in ("vmcore", "dump.", _READABLE_LOG, "dmesg."):
        for name in names:
            if name.startswith(prefix):
                return path / name
    raise _refusal(f"{path} is a directory with no vmcore in it.", "Name a vmcore.")


def _refusal(sentence: str, hint: str) -> QueryError:
    return QueryError(printable(sentence), printable(hint), kind="cannot-open")


def _identify_file(path: Path, file: BinaryIO, size: int) -> Core:
    start = file.read(4096)
    if not start:
        raise _refusal(
            f"{path} is empty.",
            "The dump was not written: look at the console of the kdump kernel, and at the room "
            "on its target file system.",
        )
    if start.startswith(kdump.SIGNATURE):
        return _identify_kdump(path, file, size)
    if start.startswith(kdump.FLATTENED_SIGNATURE):
        raise _refusal(
            f"{path} is in makedumpfile's flattened format.",
            f"Rearrange it first: makedumpfile -R vmcore < {path}",
        )
    if start.startswith(b"\x7fELF"):
        return _identify_elf(path, file, size)
    if b"Linux version " in start and start.isascii() and b"\0" not in start:
        return Core(_log_identity(path, start, size), Vmcoreinfo(), 0)
    for magic, what, hint in _OTHER_FORMATS:
        if start.startswith(magic):
            raise _refusal(f"{path} is {what}, not a dump.", hint.replace("FILE", str(path)))
    what = "text" if _is_text(start) else "in no dump format that kscope knows"
    raise _refusal(
        f"{path} is {what}, not a dump.",
        "kscope opens ELF and kdump-compressed vmcores, and vmcore-dmesg.txt.",
    )


def _is_text(start: bytes) -> bool:
    return b"\0" not in start and sum(c < 32 and c not in b"\t\n\r\f\x1b" for c in start) == 0


def _identify_kdump(path: Path, file: BinaryIO, size: int) -> Core:
    try:
        headers = kdump.read_headers(file)
    except kdump.KdumpError as error:
        raise _refusal(
            f"{path} is a damaged kdump: {error}.", "Copy it again from where it was captured."
        ) from error
    extent = kdump.measure(file, headers, size)
    vmcoreinfo = Vmcoreinfo.parse(headers.vmcoreinfo)
    _, nodename, release, version, machine, _ = headers.utsname
    out_of_room = bool(headers.status & kdump.DUMP_DH_COMPRESSED_INCOMPLETE)
    why = ""
    if out_of_room:
        why = "makedumpfile marked it incomplete: its target ran out of room"
    elif headers.dump_level is None:
        why = "its header is damaged: it names no possible dump level"
    elif extent.missing_bytes is None:
        why = "the file ends before its page table does"
    elif extent.missing_bytes:
        why = f"the file lacks its last {extent.missing_bytes} bytes"
    if not release and not machine:
        raise _refusal(
            f"{path} is QEMU's kdump format, whose header does not name the machine.",
            "Dump again as ELF: virsh dump --memory-only --format=elf DOMAIN FILE, or QMP "
            "dump-guest-memory without a format.",
        )
    identity = _identity(
        path,
        size,
        "kdump",
        vmcoreinfo,
        compression=extent.compression,
        dump_level=headers.dump_level,
        missing_bytes=None if out_of_room or headers.dump_level is None else extent.missing_bytes,
        incomplete_why=why,
        machine=machine,
        nodename=nodename,
        version=version,
        release=release,
    )
    notes = list(elf.parse_notes(headers.notes))
    return Core(identity, vmcoreinfo, sum(note.type == elf.NT_PRSTATUS for note in notes))


def _identify_elf(path: Path, file: BinaryIO, size: int) -> Core:
    try:
        headers = elf.read_headers(file)
        notes = elf.core_notes(file, headers) if headers.type == elf.ET_CORE else []
    except elf.ElfError as error:
        raise _refusal(
            f"{path} is a damaged ELF file: {error}.", "Copy it again from where it was captured."
        ) from error
    if headers.type != elf.ET_CORE:
        raise _refusal(
            f"{path} is an ELF program or library, not a dump.",
            "A vmlinux goes with -s: kscope VMCORE -s VMLINUX.",
        )
    described = [note for note in notes if note.name == b"VMCOREINFO"]
    names = {note.name for note in notes}
    if not described and b"QEMU" not in names and str(path) != "/proc/kcore":
        raise _refusal(
            f"{path} is an ELF core without VMCOREINFO: a process's core, or a kernel's that does "
            "not describe itself.",
            "A guest's dump has it when QEMU was started with -device vmcoreinfo.",
        )
    vmcoreinfo = Vmcoreinfo.parse(described[0].descriptor) if described else Vmcoreinfo()
    live = str(path) == "/proc/kcore"
    missing = 0 if live else max(0, headers.end() - size)
    identity = _identity(
        path,
        size,
        "kcore" if live else "elf",
        vmcoreinfo,
        machine=headers.machine,
        missing_bytes=missing,
        incomplete_why=f"the file lacks its last {missing} bytes" if missing else "",
    )
    return Core(identity, vmcoreinfo, sum(note.type == elf.NT_PRSTATUS for note in notes))


def _identity(
    path: Path,
    size: int,
    file_format: DumpFormat,
    vmcoreinfo: Vmcoreinfo,
    *,
    machine: str,
    missing_bytes: int | None,
    incomplete_why: str,
    compression: str = "",
    dump_level: int | None = None,
    nodename: str = "",
    version: str = "",
    release: str = "",
) -> Identity:
    if machine in UNSUPPORTED:
        raise _refusal(
            f"{path} is memory of {machine}, which drgn cannot read.",
            "crash can: build it with make target=… for that architecture.",
        )
    crash_time = vmcoreinfo.text("CRASHTIME")
    return Identity(
        path=printable(str(path)),
        name=printable(path.name),
        format=file_format,
        compression=compression,
        dump_level=dump_level,
        size_bytes=size,
        complete=not incomplete_why,
        missing_bytes=missing_bytes,
        incomplete_why=incomplete_why,
        live=file_format in ("kcore", "qemu"),
        release=printable(vmcoreinfo.text("OSRELEASE") or release),
        version=printable(version),
        machine=machine,
        nodename=printable(nodename),
        build_id=printable(vmcoreinfo.text("BUILD-ID")),
        crash_time_seconds=int(crash_time) if crash_time.isdecimal() else None,
    )


def _log_identity(path: Path, start: bytes, size: int) -> Identity:
    release = start.partition(b"Linux version ")[2].split(b" ", 1)[0]
    return _identity(
        path,
        size,
        "log",
        Vmcoreinfo(),
        machine="",
        missing_bytes=0,
        incomplete_why="",
        release=release.decode("ascii", "replace"),
    )
