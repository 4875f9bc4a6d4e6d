"""The address space of a task: crash's ``vm``."""

from collections.abc import Iterator
from typing import Any

from drgn import Object
from drgn.helpers.linux.mm import for_each_vma, vma_name

from kscope.kernel.access.layout import Layout
from kscope.kernel.access.members import number
from kscope.kernel.access.reading import READ_ERRORS, Readings
from kscope.kernel.process.resident_memory import Resident, ResidentMemory
from kscope.model.base import Address
from kscope.model.task import AREA_KINDS, AddressSpace, Area, AreaTotal
from kscope.model.text import printable
from kscope.target.target import Target

_VM_READ, _VM_WRITE, _VM_EXEC, _VM_SHARED = 0x1, 0x2, 0x4, 0x8
_MOST_AREAS = 1 << 17
_SHARED_MEMORY = ("/dev/zero", "/memfd:", "/SYSV", "/dev/shm/", "[anon_shmem:")


def address_space(
    target: Target, mm: Object, memory: ResidentMemory, readings: Readings
) -> AddressSpace:
    """Totals and every mapping.

    :param mm: ``struct mm_struct *``
    """
    areas: list[Area] = []

    def collect() -> None:
        areas.extend(_areas(target, mm))

    readings.read("mappings", collect, None)
    page_size = target.program["PAGE_SIZE"].value_()
    resident = memory.of(mm.value_())
    known = resident if isinstance(resident, Resident) else None
    if isinstance(resident, str):
        readings.note("rss_bytes", resident)
    return AddressSpace(
        mm=Address(mm.value_()),
        pgd=readings.read("pgd", lambda: Address(mm.pgd.value_()), None),
        rss_bytes=known and known.rss,
        vsize_bytes=known and known.size,
        anonymous_bytes=known and known.anonymous,
        file_bytes=known and known.file,
        shared_bytes=known and known.shared,
        swap_bytes=known and known.swapped,
        locked_bytes=readings.read(
            "locked memory", lambda: mm.locked_vm.value_() * page_size, None
        ),
        users=readings.read("mm_users", lambda: number(mm, "mm_users"), None),
        areas=tuple(areas),
        totals=tuple(_totals(areas)),
    )


def _areas(target: Target, mm: Object) -> Iterator[Area]:
    layout = Layout(
        target.program,
        "struct vm_area_struct",
        {
            "start": ("vm_start",),
            "end": ("vm_end",),
            "flags": ("vm_flags",),
            "file": ("vm_file",),
        },
    )
    names: dict[int, str | None] = {}
    for vma, _ in zip(for_each_vma(mm), range(_MOST_AREAS), strict=False):
        address = vma.value_()
        start, end, flags, file = layout.read(address)
        if file and file in names:
            name = names[file]
        else:
            name = names[file] = _name(vma)
        yield Area(
            vma=Address(address), start=Address(start), end=Address(end), flags=flags,
            permissions=permissions(flags), name=name, kind=kind(flags, bool(file), name),
        )  # fmt: skip


def _name(vma: Object) -> str | None:
    try:
        return printable(vma_name(vma))
    except READ_ERRORS:
        return None


def permissions(flags: int) -> str:
    """``r-xp`` as in ``/proc/PID/maps``."""
    return (
        ("r" if flags & _VM_READ else "-")
        + ("w" if flags & _VM_WRITE else "-")
        + ("x" if flags & _VM_EXEC else "-")
        + ("s" if flags & _VM_SHARED else "p")
    )


def kind(flags: int, has_file: bool, name: str | None) -> str:
    """What a mapping is for, one of ``AREA_KINDS``."""
    name = name or ""
    if has_file:
        if name.startswith(_SHARED_MEMORY):
            return "shared"
        if flags & _VM_EXEC:
            return "file code"
        return "file data" if flags & _VM_WRITE and not flags & _VM_SHARED else "file"
    if name == "[heap]":
        return "heap"
    if name == "[stack]":
        return "stack"
    if name.startswith("[") and not name.startswith("[anon"):
        return "special"
    return "anonymous"


def _totals(areas: list[Area]) -> Iterator[AreaTotal]:
    for each in AREA_KINDS:
        sizes: list[Any] = [area.end - area.start for area in areas if area.kind == each]
        if sizes:
            yield AreaTotal(each, len(sizes), sum(sizes))
