"""Recompresses a kdump file with snappy, which Debian's makedumpfile is built without.

The file (makedumpfile's IMPLEMENTATION and diskdump_mod.h): a block of header, the sub-header with
VMCOREINFO and notes, two bitmaps of pages (in memory; in the dump), one descriptor for each page
in the dump, and the pages.
"""

import ctypes
import struct
import zlib
from pathlib import Path

# In struct disk_dump_header.
STATUS_OFFSET = 424
STATUS = struct.Struct("<IiiI")  # status, block_size, sub_hdr_size, bitmap_blocks
# struct page_desc: offset, size, flags, page_flags
PAGE = struct.Struct("<qIIQ")

COMPRESSED_ZLIB = 0x1
COMPRESSED_SNAPPY = 0x4


def zlib_to_snappy(source: Path, target: Path) -> None:
    old = source.read_bytes()
    status, block, sub_header_blocks, bitmap_blocks = STATUS.unpack_from(old, STATUS_OFFSET)
    assert old.startswith(b"KDUMP   ")
    assert status & COMPRESSED_ZLIB
    bitmaps = (1 + sub_header_blocks) * block
    descriptors = bitmaps + bitmap_blocks * block
    in_dump = old[bitmaps + bitmap_blocks // 2 * block : descriptors]
    pages = int.from_bytes(in_dump, "little").bit_count()

    new = bytearray(old[: descriptors + pages * PAGE.size])
    STATUS.pack_into(
        new,
        STATUS_OFFSET,
        status & ~COMPRESSED_ZLIB | COMPRESSED_SNAPPY,
        block,
        sub_header_blocks,
        bitmap_blocks,
    )
    library = ctypes.CDLL("libsnappy.so.1")
    written: dict[int, tuple[int, int, int]] = {}  # old offset: all zero pages are one
    for place in range(descriptors, len(new), PAGE.size):
        offset, size, flags, page_flags = PAGE.unpack_from(new, place)
        if offset not in written:
            data = old[offset : offset + size]
            page = zlib.decompress(data) if flags & COMPRESSED_ZLIB else data
            packed = _compress(library, page)
            if len(packed) < len(page):
                written[offset] = (len(new), len(packed), COMPRESSED_SNAPPY)
                new += packed
            else:
                written[offset] = (len(new), len(page), 0)
                new += page
        PAGE.pack_into(new, place, *written[offset], page_flags)
    target.write_bytes(new)


def _compress(library: ctypes.CDLL, page: bytes) -> bytes:
    library.snappy_max_compressed_length.restype = ctypes.c_size_t
    room = library.snappy_max_compressed_length(ctypes.c_size_t(len(page)))
    out = ctypes.create_string_buffer(room)
    length = ctypes.c_size_t(room)
    status = library.snappy_compress(page, ctypes.c_size_t(len(page)), out, ctypes.byref(length))
    assert status == 0, "snappy_compress"
    return out.raw[: length.value]
