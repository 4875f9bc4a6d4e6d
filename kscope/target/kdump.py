"""The kdump-compressed format that makedumpfile writes: its header, bitmap and page descriptors.

Layout: makedumpfile's IMPLEMENTATION and ``diskdump_mod.h``. A header block, a sub-header block,
two bitmaps (which page frames exist, which are in the dump), a table of page descriptors, pages.
"""

import struct
from dataclasses import dataclass
from typing import BinaryIO

SIGNATURE = b"KDUMP   "
FLATTENED_SIGNATURE = b"makedumpfile\0\0\0\0"

DUMP_DH_COMPRESSED_INCOMPLETE = 0x8
"""``disk_dump_header.status``: makedumpfile itself ran out of room."""

LARGEST_DUMP_LEVEL = 31
"""makedumpfile(8): the sum of the five kinds of pages that can be left out."""

_COMPRESSIONS = {0x1: "zlib", 0x2: "lzo", 0x4: "snappy", 0x20: "zstd"}
_UTSNAME = struct.Struct("65s65s65s65s65s65s")
# struct disk_dump_header: signature, header_version, utsname, timestamp, status, block_size,
# sub_hdr_size, bitmap_blocks, max_mapnr, total_ram_blocks, device_blocks, written_blocks,
# current_cpu, nr_cpus.
_HEADER = struct.Struct("<8si390s6xqqIiiIIIIIii")
# struct kdump_sub_header (version 6, 64 bit): phys_base, dump_level, split, start_pfn, end_pfn,
# offset_vmcoreinfo, size_vmcoreinfo, offset_note, size_note, offset_eraseinfo, size_eraseinfo,
# start_pfn_64, end_pfn_64, max_mapnr_64.
_SUB_HEADER = struct.Struct("<qiiQQqQqQqQQQQ")
# struct page_desc: offset, size, flags, page_flags.
_PAGE_DESCRIPTOR = struct.Struct("<qIIQ")
_LARGEST_NOTE = 64 << 20


class KdumpError(Exception):
    """The file starts like a kdump but cannot be one; says what is wrong with it."""


@dataclass(frozen=True)
class Kdump:
    """A kdump's headers."""

    utsname: tuple[str, ...]
    """sysname, nodename, release, version, machine, domainname."""
    status: int
    block_size: int
    dump_level: int | None
    """``None`` when the header holds an impossible one."""
    max_mapnr: int
    """Page frames of the machine."""
    vmcoreinfo: bytes
    notes: bytes
    """ELF notes: an NT_PRSTATUS per CPU."""
    bitmap_offset: int
    bitmap_bytes: int
    """Of both bitmaps together."""


def read_headers(file: BinaryIO) -> Kdump:
    """Read the header and sub-header.

    :raises KdumpError: if they are cut off or cannot be right.
    """
    file.seek(0)
    raw = file.read(_HEADER.size)
    if len(raw) < _HEADER.size:
        raise KdumpError("its header is cut off")
    (_, version, utsname, _, _, status, block_size, sub_header_blocks, bitmap_blocks, max_mapnr,
     *_) = _HEADER.unpack(raw)  # fmt: skip
    if block_size not in (4096, 8192, 16384, 65536):
        raise KdumpError(f"its header claims pages of {block_size} bytes")
    file.seek(block_size)
    raw = file.read(_SUB_HEADER.size)
    if len(raw) < _SUB_HEADER.size:
        raise KdumpError("its sub-header is cut off")
    (_, dump_level, _, _, _, vmcoreinfo_offset, vmcoreinfo_size, note_offset, note_size, _, _,
     _, _, max_mapnr_64) = _SUB_HEADER.unpack(raw)  # fmt: skip
    bitmap_offset = (1 + sub_header_blocks) * block_size
    bitmap_bytes = bitmap_blocks * block_size
    if sub_header_blocks < 1 or bitmap_blocks < 2 or max_mapnr > bitmap_bytes * 4:
        raise KdumpError("its header's sizes contradict each other")
    return Kdump(
        utsname=tuple(
            field.split(b"\0")[0].decode("ascii", "replace") for field in _UTSNAME.unpack(utsname)
        ),
        status=status,
        block_size=block_size,
        dump_level=dump_level if version >= 1 and 0 <= dump_level <= LARGEST_DUMP_LEVEL else None,
        # The 32-bit count is 0xffffffff-limited; version 6 added the 64-bit one.
        max_mapnr=max_mapnr_64 if version >= 6 and max_mapnr_64 else max_mapnr,
        vmcoreinfo=_read_note(file, vmcoreinfo_offset, vmcoreinfo_size) if version >= 3 else b"",
        notes=_read_note(file, note_offset, note_size) if version >= 4 else b"",
        bitmap_offset=bitmap_offset,
        bitmap_bytes=bitmap_bytes,
    )


def _read_note(file: BinaryIO, offset: int, size: int) -> bytes:
    if offset <= 0 or not 0 < size <= _LARGEST_NOTE:
        return b""
    file.seek(offset)
    return file.read(size)


@dataclass(frozen=True)
class Extent:
    """How far a kdump's contents reach, against how long the file is."""

    missing_bytes: int | None
    """0 when the file is whole; ``None`` when it is cut off before that can be known."""
    compression: str


def measure(file: BinaryIO, kdump: Kdump, file_size: int) -> Extent:
    """Whether all pages that the dump claims to hold are in the file.

    makedumpfile writes page contents in the order of their descriptors, so the last descriptors
    tell where the file must end. (Excluded zero pages all share one offset near the front.)
    """
    table = kdump.bitmap_offset + kdump.bitmap_bytes
    if table > file_size:
        return Extent(None, "")
    second = kdump.bitmap_offset + kdump.bitmap_bytes // 2
    file.seek(second)
    bitmap = file.read(kdump.bitmap_bytes // 2)
    pages = int.from_bytes(bitmap, "little").bit_count()
    table_end = table + pages * _PAGE_DESCRIPTOR.size
    if table_end > file_size:
        return Extent(None, "")
    looked_at = min(pages, 4096)
    file.seek(table_end - looked_at * _PAGE_DESCRIPTOR.size)
    end = table_end
    flags = 0
    for offset, size, page_flags, _ in _PAGE_DESCRIPTOR.iter_unpack(
        file.read(looked_at * _PAGE_DESCRIPTOR.size)
    ):
        end = max(end, offset + size)
        flags |= page_flags
    names = [name for flag, name in _COMPRESSIONS.items() if flags & flag]
    return Extent(max(0, end - file_size), " ".join(names))
