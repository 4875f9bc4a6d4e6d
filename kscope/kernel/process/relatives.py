"""Tasks that other tasks lead to, for where the PID table has gaps.

A task is linked to its neighbours in several lists, and each link is followed from both its ends: a
list that is broken at one unreadable task still leads to all others. Behind two of those in a row,
others are found beside a task in the same slab.
"""

from collections.abc import Iterable, Iterator

from drgn import FaultError, Program, cast
from drgn.helpers.linux.mm import page_to_virt
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


def relatives(program: Program, known: Iterable[int]) -> Iterator[int]:
    """Addresses of the tasks that the known ones lead to, directly or through each other."""
    try:
        links = _Links(program)
        slabs = _Slabs(program)
    except READ_ERRORS:
        return
    seen = set(known)
    pending = list(seen)
    while pending:
        task = pending.pop()
        found = [near for near in links.of(task) if near not in seen and is_task(program, near)]
        found += [near for near in slabs.beside(task) if near not in seen]
        for near in dict.fromkeys(found):
            seen.add(near)
            pending.append(near)
            yield near


def is_task(program: Program, address: int) -> bool:
    """Whether the slab allocator has a ``task_struct`` in use at that very address."""
    found = _task_at(program, address)
    return found is not None and found.address == address and bool(found.allocated)


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


class _Slabs:
    def __init__(self, program: Program) -> None:
        self._program = program
        self._looked_at: set[int] = set()
        # Since Linux kernel commit 2c4704756cab ("pids: Move the pgrp and session pid pointers from
        # task_struct to signal_struct") (in v4.19); before, in a struct pid_link.
        self._pid = Layout(program, "struct task_struct", {"pid": ("thread_pid", "pids[0].pid")})

    def beside(self, task: int) -> list[int]:
        """The other tasks in the same slab, each slab once."""
        if task in self._looked_at:
            return []
        found = _task_at(self._program, task)
        if found is None:
            return []
        try:
            start = page_to_virt(cast("struct page *", found.slab)).value_()
            size = found.slab_cache.member_("size").value_()
            places = range(start, start + size * int(found.slab.objects), size)
        except READ_ERRORS:
            return []
        self._looked_at.update(places)
        return [
            place for place in places if self._has_a_pid(place) and is_task(self._program, place)
        ]

    def _has_a_pid(self, task: int) -> bool:
        """One that has been reaped may still be in use, but has no PID any more."""
        try:
            return bool(self._pid.read(task)[0])
        except FaultError:
            return False
