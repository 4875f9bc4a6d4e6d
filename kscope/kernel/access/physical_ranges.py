"""Which physical memory a target has: what a search can go through.

drgn ends a search at the first page that is not there. A dump that makedumpfile filtered is full
of holes; its bitmap says where.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from drgn import Program
from drgn.helpers.linux.ioport import for_each_resource

from kscope.kernel.access.reading import READ_ERRORS
from kscope.target.kdump import KdumpError, read_headers
from kscope.target.loops import once
from kscope.target.target import Target


def physical_ranges(target: Target) -> list[range]:
    """The physical addresses that can be read, as far as is known, in ascending order."""
    cache = target.program.cache
    if "kscope physical ranges" not in cache:
        cache["kscope physical ranges"] = _ranges(target)
    found: list[range] = cache["kscope physical ranges"]
    return found


def _ranges(target: Target) -> list[range]:
    if target.identity.format == "kdump":
        try:
            return list(_in_bitmap(Path(target.program.core_dump_path or "")))
        except (OSError, KdumpError):
            pass
    try:
        return _merged(_system_ram(target.program))
    except (RecursionError, *READ_ERRORS):
        pass
    try:
        return [range(0, target.program["max_pfn"].value_() << 12)]
    except READ_ERRORS:
        return []


def _in_bitmap(path: Path) -> Iterator[range]:
    """The runs of page frames that a kdump holds: its second bitmap, one bit each."""
    with path.open("rb") as file:
        kdump = read_headers(file)
        half = kdump.bitmap_bytes // 2
        file.seek(kdump.bitmap_offset + half)
        bitmap = file.read(half)
    size = kdump.block_size
    # As one number, a run of equal bits ends where it differs from itself moved by one.
    bits = int.from_bytes(bitmap, "little")
    edges = bits ^ (bits << 1)
    positions = []
    raw = edges.to_bytes(len(bitmap) + 1, "little")
    for index, byte in enumerate(raw):
        if byte:
            positions += [index * 8 + bit for bit in range(8) if byte >> bit & 1]
    for start, end in zip(positions[0::2], positions[1::2], strict=False):
        yield range(start * size, end * size)


def _system_ram(program: Program) -> Iterator[range]:
    for resource in once(for_each_resource(program["iomem_resource"].address_of_())):
        if resource.name and resource.name.string_() in (b"System RAM", b"System RAM (kmem)"):
            yield range(resource.start.value_(), resource.end.value_() + 1)


def _merged(ranges: Iterator[range]) -> list[range]:
    found = sorted(ranges, key=lambda each: each.start)
    if any(before.stop > after.start for before, after in pairwise(found)):
        raise ValueError("the ranges of memory overlap")
    if not found:
        raise LookupError("no System RAM")
    return found
