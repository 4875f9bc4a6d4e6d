"""Whether, where and with which words the kernel panicked."""

import re
from collections.abc import Iterable

from drgn import Object, Program

from kscope.model.log import Record

# What crash and drgn show as PANIC, the most telling first.
_MESSAGES = (
    re.compile(r"Kernel panic -.*"),
    re.compile(r"BUG: (?:kernel NULL pointer dereference|unable to handle).*|Unable to handle .*"),
    re.compile(r"general protection fault.*"),
    re.compile(r"[Kk]ernel BUG at.*"),
    re.compile(r"Oops: .*"),
)

PANIC_CPU_INVALID = -1
"""``panic_cpu`` while no CPU has panicked (include/linux/panic.h)."""


def panic_message(records: Iterable[Record]) -> str:
    """The kernel's own words for its death; empty if it said none."""
    found: dict[int, str] = {}
    for record in records:
        for rank, pattern in enumerate(_MESSAGES):
            if rank not in found and (match := pattern.search(record.text)):
                found[rank] = match.group()
    return found[min(found)] if found else ""


def panic_cpu(program: Program) -> int | None:
    """The CPU that panicked or crashed; ``None`` if none did."""
    cpu = int(program["panic_cpu"].counter.value_())
    return None if cpu == PANIC_CPU_INVALID else cpu


def panic_task(program: Program) -> Object | None:
    """The task that was running where the kernel panicked; ``None`` if it did not.

    :return: ``struct task_struct *``
    """
    return None if panic_cpu(program) is None else program.crashed_thread().object
