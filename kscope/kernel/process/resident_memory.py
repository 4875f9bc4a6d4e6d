"""RSS and size of address spaces, each computed once for all tasks that share it."""

import struct
from typing import NamedTuple

from drgn import FaultError, Program
from drgn.helpers.linux.cpumask import for_each_possible_cpu

from kscope.kernel.access.layout import Layout
from kscope.kernel.access.reading import READ_ERRORS, reason

_WORD = (1 << 64) - 1
_S32 = struct.Struct("=i")
_KINDS = ("MM_FILEPAGES", "MM_ANONPAGES", "MM_SWAPENTS", "MM_SHMEMPAGES")


class Resident(NamedTuple):
    """What is in memory of an address space, in bytes."""

    file: int
    anonymous: int
    swapped: int
    """Not in memory, but in swap."""
    shared: int
    size: int
    """``total_vm``: all that is mapped."""

    @property
    def rss(self) -> int:
        """Resident set size."""
        return self.file + self.anonymous + self.shared


class ResidentMemory:
    """Reads the counters of address spaces."""

    def __init__(
        self, program: Program, page_size: int, not_yet_added: dict[int, list[int]]
    ) -> None:
        """
        :param not_yet_added: pages by mm and kind that tasks have counted for themselves.
        """
        self._program = program
        self._page_size = page_size
        self._not_yet_added = not_yet_added
        self._known: dict[int, Resident | str] = {}
        self._percpu: list[int] = []
        self._why = ""
        try:
            kinds = [program.constant(name).value_() for name in _KINDS]
            members: dict[str, tuple[str, ...]] = {"total_vm": ("total_vm",)}
            for kind in kinds:
                # An array of percpu_counters since Linux kernel commit f1a7941243c1 ("mm: convert
                # mm's rss stats into percpu_counter") (in v6.2), before in a struct of atomics.
                members[f"count{kind}"] = (f"rss_stat.count[{kind}]", f"rss_stat[{kind}].count")
            for kind in kinds:
                members[f"counters{kind}"] = (f"rss_stat[{kind}].counters",)
            self._layout = Layout(program, "struct mm_struct", members)
            if f"counters{kinds[0]}" in self._layout:
                # Of all possible CPUs: one that panic() stopped keeps its share.
                offsets = program["__per_cpu_offset"]
                self._percpu = [offsets[cpu].value_() for cpu in for_each_possible_cpu(program)]
        except READ_ERRORS as error:
            self._why = reason(error)

    def totals(self, mm: int | None) -> tuple[int | None, int | None, str]:
        """RSS and virtual size in bytes; why they are not known.

        :param mm: 0 for a task that has none, ``None`` where that is not known.
        """
        if not mm:
            return (None, None, "") if mm is None else (0, 0, "")
        found = self.of(mm)
        if isinstance(found, str):
            return None, None, found
        return found.rss, found.size, ""

    def of(self, mm: int) -> Resident | str:
        """What is resident of the address space at ``mm``; else why it is not known."""
        known = self._known.get(mm)
        if known is None:
            known = self._known[mm] = self._why or self._read(mm)
        return known

    def _read(self, mm: int) -> Resident | str:
        try:
            total_vm, *values = self._layout.read(mm)
            counts, counters = values[:4], values[4:]
            if None in counts:
                return "this kernel counts resident pages in a way that is not known"
            if counters[0] is not None:
                self._add_per_cpu(counts, counters)
        except FaultError as error:
            return reason(error)
        for index, pages in enumerate(self._not_yet_added.get(mm, ())):
            counts[index] += pages
        # A counter below zero is one whose other half was still on its way: get_mm_counter().
        return Resident._make(max(0, count) * self._page_size for count in (*counts, total_vm))

    def _add_per_cpu(self, counts: list[int], counters: list[int]) -> None:
        # The counters of one mm are allocated together since Linux kernel commit 14ef95be6f55
        # ("kernel/fork: group allocation/free of per-cpu counters for mm struct") (in v6.6).
        first, last = min(counters), max(counters)
        together = last - first < 64
        for offset in self._percpu:
            if together:
                data = self._program.read(first + offset & _WORD, last - first + 4)
                for index, counter in enumerate(counters):
                    counts[index] += _S32.unpack_from(data, counter - first)[0]
            else:
                for index, counter in enumerate(counters):
                    data = self._program.read(counter + offset & _WORD, 4)
                    counts[index] += _S32.unpack(data)[0]
