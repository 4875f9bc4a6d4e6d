"""The walk through the page tables of x86-64, level by level, as the processor does it."""

from collections.abc import Iterator

from drgn import Architecture, FaultError, Program

from kscope.kernel.access.reading import reason
from kscope.model.address import TableEntry
from kscope.model.base import Address
from kscope.target.target import Target

_PRESENT, _PAGE_SIZE = 0x1, 0x80
_FRAME = 0x000FFFFFFFFFF000
_FLAGS = {
    0x1: "PRESENT", 0x2: "RW", 0x4: "USER", 0x8: "PWT", 0x10: "PCD", 0x20: "ACCESSED",
    0x40: "DIRTY", 0x80: "PSE", 0x100: "GLOBAL", 1 << 63: "NX",
}  # fmt: skip


def address_bits(target: Target) -> int:
    """How many bits of an address count, on each side of the hole between user and kernel."""
    platform = target.program.platform
    if platform is None or platform.arch is not Architecture.X86_64:
        return 63
    return 56 if has_five_levels(target) else 47


def has_five_levels(target: Target) -> bool:
    """Whether the kernel uses page tables of five levels, or of four."""
    return bool(target.vmcoreinfo.number("pgtable_l5_enabled"))


def walk(program: Program, table: int, address: int, *, five_levels: bool) -> Iterator[TableEntry]:
    """The entries from the top down, to the page or to the one that is not present.

    :param table: physical address of the top-level table.
    """
    levels = [("PUD", 30), ("PMD", 21), ("PTE", 12)]
    levels = [("PGD", 48), ("P4D", 39), *levels] if five_levels else [("PGD", 39), *levels]
    for name, shift in levels:
        where = table + (address >> shift & 0x1FF) * 8
        try:
            value = program.read_u64(where, True)
        except FaultError as error:
            yield TableEntry(name, Address(where), Address(0), f"cannot be read: {reason(error)}")
            return
        yield TableEntry(name, Address(where), Address(value), _flags(value, name))
        if not value & _PRESENT or (value & _PAGE_SIZE and name != "PTE"):
            return
        table = value & _FRAME


def _flags(value: int, level: str) -> str:
    if not value:
        return "not mapped"
    names = [
        # In the last level bit 7 is PAT: its entries have no size to tell.
        "PAT" if level == "PTE" and name == "PSE" else name
        for bit, name in _FLAGS.items()
        if value & bit
    ]
    if not value & _PRESENT:
        return "|".join(["not present", *names])
    return "|".join(names)
