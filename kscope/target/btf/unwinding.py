"""Stacks without debugging information: the kernel's own ORC tables, and the one hole in them.

drgn unwinds by the ORC tables in the kernel's memory as soon as it knows where the kernel and its
modules lie. A few functions are exempt from ORC (STACK_FRAME_NON_STANDARD), and one of them is in
every kdump of a panic: ``__crash_kexec()``, where the panicking CPU's registers were taken. drgn
then falls back to the frame pointer, which is still that of ``panic()``, and so loses ``panic()``
itself. DWARF has the frame's size; here the stack is asked for it: the caller's return address is
the first one above the stack pointer that follows a call of ``__crash_kexec()``.
"""

from __future__ import annotations

import struct

from drgn import FaultError, Object, Program, offsetof
from drgn.helpers.linux.percpu import per_cpu_ptr

from kscope.target.btf.symbols import KernelSymbols

_NOTE_HEADER = 12 + 8
"""struct elf_note and the name "CORE", padded."""
_MOST_FRAME_BYTES = 1024
"""``__crash_kexec()`` keeps one ``struct pt_regs`` (168 bytes) on the stack and little else."""
_CALL = 0xE8
_CALL_SIZE = 5

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
        _describe_crash_kexec(prog, symbols)
    try:
        prog.create_loaded_modules()
    except (LookupError, FaultError, ValueError) as error:
        missing.append(
            f"The list of modules cannot be read ({error}), so stacks end at functions in modules."
        )
    return missing


def _describe_crash_kexec(prog: Program, symbols: KernelSymbols) -> None:
    """Give drgn the ORC entry that ``__crash_kexec()`` lacks, if a CPU's registers are inside.

    drgn reads the tables once, at the first stack trace. The entry stands in the program's memory
    during that reading only: whoever reads memory afterwards sees what is in the dump.
    """
    function = symbols.unique("__crash_kexec")
    try:
        registers = _crash_registers(prog)
        if function is None or not 0 <= registers.ip.value_() - function.address < function.size:
            return
        frame_size = _frame_size(prog, registers.sp.value_(), function.address)
        entry = _covering_entry(prog, symbols, function.address)
        if frame_size is None or entry is None:
            return
        original = prog.read(entry, _ORC.size)
        # A function's first entry (the next one's here) always says the same: a call, the frame
        # begins 8 bytes above the stack pointer, the frame pointer is the caller's. The bit-fields
        # for that are taken from there, whatever this kernel's version of ORC.
        sp_offset, bp_offset, how = _ORC.unpack(prog.read(entry + _ORC.size, _ORC.size))
        if (sp_offset, bp_offset) != (8, 0):
            return
    except (LookupError, FaultError, ValueError):
        return
    contents = [_ORC.pack(frame_size, 0, how)]
    prog.add_memory_segment(
        entry,
        _ORC.size,
        lambda _address, count, offset, _physical: contents[0][offset : offset + count],
    )
    prog.stack_trace(registers)
    contents[0] = original


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
