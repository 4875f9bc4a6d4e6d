"""Whether, where and with which words the kernel panicked."""

import re
from collections.abc import Iterable

from drgn import Object, Program

from kscope.kernel.access.reading import READ_ERRORS
from kscope.model.log import Record
from kscope.target.target import Target

# What crash and drgn show as PANIC.
_PANIC = re.compile(r"Kernel panic -.*")
# How the reports of faults begin. (That of a process goes on with "ip:", not with what it was.)
_FAULT = re.compile(
    r"BUG: (?:kernel NULL pointer dereference|unable to handle).*|Unable to handle .*"
    r"|general protection fault[,:] .*|[Kk]ernel BUG at.*"
)
_OOPS = re.compile(r"Oops: .*")

PANIC_CPU_INVALID = -1
"""``panic_cpu`` while no CPU has panicked (include/linux/panic.h)."""


def panic_message(records: Iterable[Record]) -> str:
    """The kernel's own words for its death; empty if it said none.

    Without a panic's, those of the last fault: it may have survived others before. Of what user
    space writes into the log, nothing counts: its facility is never the kernel's.
    """
    fault = oops = ""
    for record in records:
        if record.facility:
            continue
        if match := _PANIC.search(record.text):
            return match.group()
        if match := _FAULT.search(record.text):
            fault = match.group()
        elif match := _OOPS.search(record.text):
            oops = match.group()
    return fault or oops


def panic_cpu(program: Program) -> int | None:
    """The CPU that panicked or crashed; ``None`` if none did."""
    cpu = int(program["panic_cpu"].counter.value_())
    return None if cpu == PANIC_CPU_INVALID else cpu


def survived(target: Target) -> bool:
    """Whether this kernel surely had not died when the dump was taken, whatever its log says.

    It goes on after a fault in a process unless it is told to panic, and a hypervisor dumps it
    later for another reason. crash's ``sys`` calls such a fault its panic all the same.
    """
    if target.identity.live:
        return True
    try:
        return (
            target.debug_info.types != "none"
            and target.identity.crash_time_seconds is None
            and panic_cpu(target.program) is None
        )
    except READ_ERRORS:
        return False


def panic_task(program: Program) -> Object | None:
    """The task that was running where the kernel panicked; ``None`` if it did not.

    :return: ``struct task_struct *``
    """
    return None if panic_cpu(program) is None else program.crashed_thread().object
