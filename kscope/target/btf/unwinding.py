"""Stacks without debugging information: the kernel's own ORC tables, and the one hole in them.

drgn unwinds by the ORC tables in the kernel's memory as soon as it knows where the kernel and its
modules lie. A few functions are exempt from ORC (STACK_FRAME_NON_STANDARD), and one of them is in
every kdump of a panic: ``__crash_kexec()``, where the panicking CPU's registers were taken. drgn
then falls back to the frame pointer, which is still that of ``panic()``, and so loses ``panic()``
itself. DWARF has the frame's size; here the stack is asked for it: the caller's return address is
the first one above the stack pointer that follows a call of ``__crash_kexec()``.

drgn reads the tables, some megabytes, at the first stack trace, and only then is that looked for:
what a list of tasks needs is there without.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Sequence

from drgn import FaultError, Object, Program, Symbol, offsetof
from drgn.helpers.linux.percpu import per_cpu_ptr

from kscope.target.btf.errors import BtfError
from kscope.target.btf.symbols import KernelSymbols

_NOTE_HEADER = 12 + 8
"""struct elf_note and the name "CORE", padded."""
_MOST_FRAME_BYTES = 1024
"""``__crash_kexec()`` keeps one ``struct pt_regs`` (168 bytes) on the stack and little else."""
_CALL = 0xE8
_CALL_SIZE = 5

_FINDER = "kscope-crash-kexec"
_ASKED_BEFORE_READING = "__stop_orc_unwind"
"""What drgn looks up when it is about to read the tables, and hardly anyone else."""

_READ_ERRORS = (LookupError, FaultError, ValueError, BtfError)

_ORC = struct.Struct("<hhH")
"""struct orc_entry: sp_offset, bp_offset, and bit-fields whose meaning depends on the version."""


def enable_unwinding(prog: Program, symbols: KernelSymbols) -> list[str]:
    """Make `Program.stack_trace()` work; return what stands in its way, a sentence each."""
    missing = []
    if symbols.range:
        prog.main_module("kernel", create=True).address_range = (
            symbols.range.start,
            symbols.range.stop,
        )
    if symbols.unique_address("__start_orc_unwind") is None:
        missing.append(
            "This kernel has no ORC tables (CONFIG_UNWINDER_ORC), so stacks are followed by frame"
            " pointers and may be cut short."
        )
    else:
        prog.register_symbol_finder(_FINDER, _CrashKexec(symbols), enable_index=0)
    try:
        prog.create_loaded_modules()
    except _READ_ERRORS as error:
        missing.append(
            f"The list of modules cannot be read ({error}), so stacks end at functions in modules."
        )
    return missing


class _CrashKexec:
    """Gives drgn the ORC entry that ``__crash_kexec()`` lacks, if a CPU's registers are inside.

    Registered as a symbol finder that finds nothing: drgn asks for the tables' symbols when it is
    about to read them. The entry stands in the program's memory for that one reading: whoever reads
    memory afterwards sees what is in the dump.
    """

    def __init__(self, symbols: KernelSymbols) -> None:
        self._symbols = symbols
        self._asked = False

    def __call__(
        self,
        prog: Program,
        name: str | None,
        address: int | None,  # noqa: ARG002
        one: bool,  # noqa: ARG002
    ) -> Sequence[Symbol]:
        if name == _ASKED_BEFORE_READING and not self._asked:
            self._asked = True
            # If this cannot be done, the frame of panic() is lost, as it is without it.
            with contextlib.suppress(*_READ_ERRORS):
                self._describe(prog)
        return ()

    def _describe(self, prog: Program) -> None:
        """
        :raises: one of ``_READ_ERRORS`` if the dump lacks what this needs.
        """
        function = self._symbols.unique("__crash_kexec")
        registers = _crash_registers(prog)
        if function is None or not 0 <= registers.ip.value_() - function.address < function.size:
            return
        frame_size = _frame_size(prog, registers.sp.value_(), function.address)
        entry = _covering_entry(prog, self._symbols, function.address)
        if frame_size is None or entry is None:
            return
        original = prog.read(entry, _ORC.size)
        # A function's first entry (the next one's here) always says the same: a call, the frame
        # begins 8 bytes above the stack pointer, the frame pointer is the caller's. The bit-fields
        # for that are taken from there, whatever this kernel's version of ORC.
        sp_offset, bp_offset, how = _ORC.unpack(prog.read(entry + _ORC.size, _ORC.size))
        if (sp_offset, bp_offset) != (8, 0):
            return
        contents = [original, _ORC.pack(frame_size, 0, how)]

        def read(_address: int, count: int, offset: int, _physical: bool) -> bytes:
            read_now: bytes = contents.pop() if len(contents) > 1 else original
            return read_now[offset : offset + count]

        prog.add_memory_segment(entry, _ORC.size, read)


def _crash_registers(prog: Program) -> Object:
    """``struct pt_regs`` of the CPU that panicked, as ``crash_save_cpu()`` noted them.

    :raises LookupError: if none panicked.
    """
    cpu = prog["panic_cpu"].counter.value_()
    if cpu < 0:
        raise LookupError("no CPU panicked")
    note = per_cpu_ptr(prog["crash_notes"], cpu).value_()
    where = note + _NOTE_HEADER + offsetof(prog.type("struct elf_prstatus"), "pr_reg")
    return Object(prog, "struct pt_regs", address=where).read_()


def _frame_size(prog: Program, stack_pointer: int, function: int) -> int | None:
    """Bytes from the stack pointer to the end of the frame, which is its return address.

    :raises FaultError: if the stack ends before that.
    """
    for size in range(8, _MOST_FRAME_BYTES, 8):
        value = prog.read_u64(stack_pointer + size - 8)
        try:
            call = prog.read(value - _CALL_SIZE, _CALL_SIZE)
        except (FaultError, OverflowError):
            continue
        if call[0] == _CALL and value + int.from_bytes(call[1:], "little", signed=True) == function:
            return size
    return None


def _covering_entry(prog: Program, symbols: KernelSymbols, function: int) -> int | None:
    """Address of the ORC entry that covers a function, if it says that nothing is known there."""
    addresses = symbols.unique_address("__start_orc_unwind_ip")
    end = symbols.unique_address("__stop_orc_unwind_ip")
    entries = symbols.unique_address("__start_orc_unwind")
    if addresses is None or end is None or entries is None:
        return None
    low, high = 0, (end - addresses) // 4
    while high - low > 1:
        middle = (low + high) // 2
        where = addresses + 4 * middle
        # Each is the distance from itself.
        if where + int.from_bytes(prog.read(where, 4), "little", signed=True) <= function:
            low = middle
        else:
            high = middle
    entry = entries + _ORC.size * low
    sp_offset, _bp_offset, how = _ORC.unpack(prog.read(entry, _ORC.size))
    return entry if sp_offset == 0 and how & 0xF == 0 else None
