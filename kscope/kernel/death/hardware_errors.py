"""Errors that the hardware reported to the kernel: machine checks, arch/x86/kernel/cpu/mce/core.c.

The kernel prints each record. Of an error that it dies of, the CPU's handler keeps a copy in a
per-CPU variable; where it gives up before it has read the banks into that one, the record that it
printed is still on its stack. Records of corrected errors are freed as soon as they are printed.
"""

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from drgn import Object, Program
from drgn.helpers.linux.percpu import per_cpu

from kscope.kernel.access.members import variable
from kscope.kernel.access.reading import READ_ERRORS
from kscope.model.base import Address
from kscope.model.log import Record

# Bits of MCi_STATUS and MCG_STATUS, the same in Intel's and AMD's manuals.
_VALID = 1 << 63
_OVERFLOW = 1 << 62
_UNCORRECTED = 1 << 61
_ADDRESS_VALID = 1 << 58
_CONTEXT_CORRUPT = 1 << 57
_IN_PROGRESS = 1 << 2


@dataclass(frozen=True)
class HardwareError:
    """What a bank of a CPU's machine check registers said."""

    cpu: int
    bank: int
    status: int
    """MCi_STATUS."""
    address: int | None
    """The physical address that it is about; ``None`` if the bank has none."""
    record: Address | None = None
    """``struct mce``, where it is in memory."""

    @property
    def uncorrected(self) -> bool:
        """Whether the hardware could not correct it."""
        return bool(self.status & _UNCORRECTED)

    @property
    def what(self) -> str:
        """The part that failed and what it was doing, by the error code that all processors have
        in common."""
        return _meaning(self.status & 0xFFFF)

    @property
    def flags(self) -> tuple[str, ...]:
        """What else the status says of it."""
        found = ["uncorrected" if self.uncorrected else "corrected"]
        if self.status & _CONTEXT_CORRUPT:
            found.append("the processor's context is corrupt")
        if self.status & _OVERFLOW:
            found.append("an earlier error was overwritten")
        return tuple(found)


# print_mce(), and edac_mce_amd's decoder in its place.
_RECORD = re.compile(
    r"\[Hardware Error\]: (?:"
    r"CPU (?P<cpu>\d+): Machine Check(?: Exception)?: [0-9a-f]+ Bank (?P<bank>\d+): "
    r"(?P<status>[0-9a-f]{16})"
    r"|CPU:(?P<cpu2>\d+) \([0-9a-f:]+\) MC(?P<bank2>\d+)_STATUS\[[^]]*\]: "
    r"0x(?P<status2>[0-9a-f]{16}))"
)
_ADDRESS = re.compile(r"\[Hardware Error\]: .*(?:\bADDR |Error Addr: 0x)([0-9a-f]+)")


def names_bank(text: str) -> bool:
    """Whether a line of the log is the first of an error's own."""
    return _RECORD.search(text) is not None


def logged(records: Sequence[Record]) -> Iterator[tuple[HardwareError, Record]]:
    """The errors in the log, each with the record that names its bank."""
    for index, record in enumerate(records):
        match = _RECORD.search(record.text)
        if match is None:
            continue
        status = int(match["status"] or match["status2"], 16)
        address = None
        for following in records[index + 1 : index + 4] if status & _ADDRESS_VALID else ():
            if found := _ADDRESS.search(following.text):
                address = int(found[1], 16)
                break
        cpu, bank = match["cpu"] or match["cpu2"], match["bank"] or match["bank2"]
        yield HardwareError(int(cpu), int(bank), status, address), record


def fatal_error(program: Program, cpu: int, task: Object) -> HardwareError | None:
    """The error for which a CPU's machine check handler had been called and did not return.

    :param task: ``struct task_struct *``, the one that it interrupted.
    """
    # Since Linux kernel commit 750fd23926f1 ("x86/mce: Add wrapper for struct mce to export vendor
    # specific info") (in v6.13) as a member of struct mce_hw_err.
    seen = variable(program, "mces_seen", "hw_errs_seen")
    if seen is None:
        return None  # without CONFIG_X86_MCE
    kept = per_cpu(seen, cpu)
    if kept.type_.type_name() != "struct mce":
        kept = kept.m
    if kept.status.value_() & _VALID:
        return _error(kept)
    if not kept.mcgstatus.value_() & _IN_PROGRESS:
        return None
    return _on_stack(program, cpu, task, kept)


def _on_stack(program: Program, cpu: int, task: Object, kept: Object) -> HardwareError | None:
    """The handler's own record: it began as the same as the copy, so it has the same time."""
    mce = kept.type_
    times = struct.pack("<2Q", kept.tsc.value_(), kept.time.value_())
    offset = next(member.offset for member in mce.members or () if member.name == "tsc")
    exception_stack = per_cpu(program["cea_exception_stacks"], cpu).MCE_stack
    assert exception_stack.address_ is not None
    for start, size in (
        (exception_stack.address_, len(exception_stack)),
        # An error that hits user space is handled on the task's stack.
        (task.stack.value_(), int(program["THREAD_SIZE"])),
    ):
        try:
            data = program.read(start, size)
        except READ_ERRORS:
            continue
        at = data.find(times)
        while at >= 0:
            found = Object(program, mce, address=start + at - offset)
            if found.status.value_() & _VALID:
                return _error(found)
            at = data.find(times, at + 1)
    return None


def _error(mce: Object) -> HardwareError:
    status = int(mce.status.value_())
    return HardwareError(
        cpu=mce.extcpu.value_(),
        bank=mce.bank.value_(),
        status=status,
        address=int(mce.addr.value_()) if status & _ADDRESS_VALID else None,
        record=None if mce.address_ is None else Address(mce.address_),
    )


# Compound error codes: Intel's manual volume 3, "Interpreting machine check error codes"; AMD's
# volume 2, "Error codes".
_LEVELS = ("level 0 ", "level 1 ", "level 2 ", "")
_TYPES = ("instruction ", "data ", "", "")
_REQUESTS = ("", "read", "write", "data read", "data write", "instruction fetch", "prefetch",
             "eviction", "snoop")  # fmt: skip
_MEMORY = ("", "read", "write", "address or command", "scrubbing")
_SIMPLE = {1: "unclassified", 2: "microcode ROM parity", 3: "external", 4: "functional redundancy",
           5: "internal parity", 0x400: "internal timer"}  # fmt: skip


def _meaning(code: int) -> str:
    code &= ~(1 << 12)  # on Intel's: corrected errors like it are no longer all reported
    kind = f"{_LEVELS[code & 3]}{_TYPES[code >> 2 & 3]}"
    if code >> 4 == 1:
        return f"{kind}TLB error"
    if code >> 8 == 1:
        return _with(f"{kind}cache error", _REQUESTS, code >> 4 & 0xF)
    if code >> 11 == 1:
        return _with("bus error", _REQUESTS, code >> 4 & 0xF)
    if code >> 7 == 1:
        return _with("memory controller error", _MEMORY, code >> 4 & 7)
    return f"{_SIMPLE[code]} error" if code in _SIMPLE else f"error {code:#x}"


def _with(error: str, operations: Sequence[str], number: int) -> str:
    operation = operations[number] if number < len(operations) else ""
    return f"{error} ({operation})" if operation else error
