"""Tasks that other tasks lead to, for where the PID table has gaps.

A task is linked to its neighbours in several lists, and each link is followed from both its ends: a
list that is broken at one unreadable task still leads to all others. What lies between two of those
is found among all slabs that hold tasks: each has a ``struct page`` in the memory map.
"""

from collections.abc import Iterable, Iterator

from drgn import FaultError, Object, Program, cast, offsetof
from drgn.helpers.linux.mm import page_to_virt, pfn_to_page
from drgn.helpers.linux.slab import SlabObjectInfo, slab_object_info

from kscope.kernel.access.layout import Layout
from kscope.kernel.access.reading import READ_ERRORS

_LISTS = {
    "tasks": "tasks",
    "sibling": "sibling",
    "children": "sibling",
    "thread_node": "thread_node",
}
"""Members that link tasks -> the member of the other task that they point to."""
_POINTERS = ("parent", "real_parent", "group_leader")


def relatives(program: Program, known: Iterable[int]) -> Iterator[int | None]:
    """Addresses of the tasks that the known ones lead to, directly or through each other, and of
    all others that there are. ``None`` now and then while none is found.
    """
    try:
        links = _Links(program)
        slabs = _Slabs(program)
    except READ_ERRORS:
        return
    seen = set(known)

    def linked(pending: list[int]) -> Iterator[int]:
        while pending:
            for near in links.of(pending.pop()):
                if near not in seen and is_task(program, near):
                    seen.add(near)
                    pending.append(near)
                    yield near

    yield from linked(list(seen))
    for task in slabs.tasks():
        if task is None:
            yield None
        elif task not in seen:
            seen.add(task)
            yield task
            yield from linked([task])


def is_task(program: Program, address: int) -> bool:
    """Whether the slab allocator has a ``task_struct`` in use at that very address, as far as what
    it remembers of it can be read."""
    found = _task_at(program, address)
    return found is not None and found.address == address and found.allocated is not False


def _task_at(program: Program, address: int) -> SlabObjectInfo | None:
    try:
        found = slab_object_info(program, address)
        if found is not None and found.slab_cache == program["task_struct_cachep"]:
            return found
    except READ_ERRORS:
        pass
    return None


class _Links:
    def __init__(self, program: Program) -> None:
        members = {f"{name}.{end}": name for name in _LISTS for end in ("next", "prev")}
        wanted = {name: (name,) for name in (*members, *_POINTERS)}
        self._layout = Layout(program, "struct task_struct", wanted)
        self._inside = [
            self._layout.offset(f"{_LISTS[members[name]]}.next") if name in members else 0
            for name in self._layout.names
        ]

    def of(self, task: int) -> set[int]:
        """Where other tasks are linked to this one; the head of a list leads to what is none."""
        try:
            values = self._layout.read(task)
        except FaultError:
            values, _ = self._layout.read_what_is_there(task)
        places = zip(self._inside, values, strict=True)
        return {value - offset for offset, value in places if value}


_AT_ONCE = 2 << 20
"""Bytes of the memory map that are read at once: it tells of 128 MiB of memory."""
_PAGE = 4096
"""What is read at once where some of that is not in the dump."""


class _Slabs:
    def __init__(self, program: Program) -> None:
        self._program = program
        self._cache: bytes = program["task_struct_cachep"].to_bytes_()
        self._page = program.type("struct page *")
        # Since Linux kernel commit d122019bf061 ("mm: Split slab into its own type") (in v5.17).
        try:
            slab = program.type("struct slab")
        except LookupError:
            slab = program.type("struct page")
        self._cache_offset = offsetof(slab, "slab_cache")
        # Since Linux kernel commit 2c4704756cab ("pids: Move the pgrp and session pid pointers from
        # task_struct to signal_struct") (in v4.19); before, in a struct pid_link.
        self._pid = Layout(program, "struct task_struct", {"pid": ("thread_pid", "pids[0].pid")})

    def tasks(self) -> Iterator[int | None]:
        """The tasks in all slabs that the memory map tells of."""
        try:
            start = pfn_to_page(self._program, 0).value_()
            end = pfn_to_page(self._program, self._program["max_pfn"]).value_()
        except READ_ERRORS:
            return
        for address in range(start, end, _AT_ONCE):
            yield None
            for page in self._slabs(address, min(_AT_ONCE, end - address)):
                yield from self._tasks_in(page)

    def _slabs(self, start: int, size: int) -> Iterator[int]:
        """Addresses of the ``struct page`` in front of each slab, in a part of the memory map."""
        try:
            part = self._program.read(start, size)
        except FaultError:
            if size > _PAGE:
                for address in range(start, start + size, _PAGE):
                    yield from self._slabs(address, min(_PAGE, start + size - address))
            return
        place = part.find(self._cache)
        while place >= 0:
            yield start + place - self._cache_offset
            place = part.find(self._cache, place + 1)

    def _tasks_in(self, page: int) -> Iterator[int]:
        try:
            start = page_to_virt(Object(self._program, self._page, value=page)).value_()
            found = _task_at(self._program, start)
            if found is None or cast(self._page, found.slab).value_() != page:
                return
            size = found.slab_cache.member_("size").value_()
            count = int(found.slab.objects)
        except READ_ERRORS:
            return
        for task in range(start, start + size * count, size):
            if self._has_a_pid(task) and is_task(self._program, task):
                yield task

    def _has_a_pid(self, task: int) -> bool:
        """One that has been reaped may still be in use, but has no PID any more."""
        try:
            return bool(self._pid.read(task)[0])
        except FaultError:
            return False
