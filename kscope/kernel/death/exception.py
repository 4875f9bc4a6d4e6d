"""What stopped the CPU that panicked: the way into panic(), the exception, and where it hit.

A kernel that dies of an exception of its own saves the registers of that very moment as the CPU's
crash note, so that its backtrace starts at the faulting instruction. Below that frame, on the part
of the stack that the note calls free, still lies what the exception's handlers had pushed: the
return address into the exception's entry says which exception it was.
"""

from dataclasses import dataclass

from drgn import MainModule, Object, Program, StackFrame, sizeof

from kscope.kernel.access.reading import READ_ERRORS
from kscope.kernel.unwinding.telling import function_name
from kscope.model.text import printable

_MACHINERY = frozenset({
    "panic", "vpanic", "nmi_panic", "__crash_kexec", "crash_kexec", "machine_kexec",
    "crash_setup_regs",
})  # fmt: skip

_EXCEPTIONS = ("asm_exc_", "asm_sysvec_", "asm_common_interrupt", "end_repeat_nmi", "asm_call_on")

# The entries had other names before Linux kernel commit 7d8d8cfdee9a ("x86/idtentry: Provide
# macros to define/declare IDT entry points") (in v5.8).
_OLD_ENTRIES = {
    "page_fault": "asm_exc_page_fault",
    "async_page_fault": "asm_exc_page_fault",
    "general_protection": "asm_exc_general_protection",
    "invalid_op": "asm_exc_invalid_op",
    "double_fault": "asm_exc_double_fault",
    "divide_error": "asm_exc_divide_error",
    "machine_check": "asm_exc_machine_check",
}


@dataclass(frozen=True)
class Stopped:
    """The two halves of the panicking CPU's backtrace, and what lies between them."""

    way: tuple[str, ...]
    """The functions that led into panic() or the crash kernel, innermost first; empty if the
    exception itself did."""
    entry: str
    """The exception's or interrupt's entry, such as ``asm_exc_page_fault``; empty if the kernel
    called panic() by itself or the entry is not known."""
    entry_at: int | None
    """Where on the stack the return address into that entry lies."""
    functions: tuple[str, ...]
    """What was interrupted, innermost first; all of ``way`` if nothing was."""
    module: str
    """The module of the function that was interrupted."""
    pc: int | None
    offset: int
    """Of ``pc`` in its function."""
    registers: dict[str, int]
    """At the moment of the exception; empty if there was none."""
    user_mode: bool
    """Whether user space was interrupted."""
    frame: StackFrame | None
    """drgn's frame of what was interrupted."""

    @property
    def exception(self) -> bool:
        """Whether an exception of the CPU (no interrupt) stopped kernel code."""
        return (
            self.entry.startswith("asm_exc_") and self.entry != "asm_exc_nmi" and not self.user_mode
        )

    @property
    def function(self) -> str:
        """The function that was interrupted, or that called panic()."""
        return self.functions[0] if self.functions else ""


def what_stopped(program: Program, task: Object) -> Stopped:
    """What the CPU that panicked was doing.

    :param task: ``struct task_struct *``, the one that it ran.
    """
    frames = list(program.stack_trace(task))
    names = [function_name(frame.name or "") for frame in frames]
    # Its innermost frame is where the registers were saved: in the machinery of panic() itself, or
    # at the instruction that an exception had interrupted.
    by_panic = not _MACHINERY.isdisjoint(names[:4]) and frames[0].interrupted
    start = 0
    if by_panic:
        # Functions inlined into the innermost one count as interrupted with it.
        start = next(
            (i for i, f in enumerate(frames) if f.interrupted and f.sp != frames[0].sp), len(frames)
        )
    way = tuple(names[:start])
    if start == len(frames) or names[start - 1].startswith(("entry_", "ret_from_fork")):
        return Stopped(
            way=way, entry="", entry_at=None, functions=way, module="", pc=None, offset=0,
            registers={}, user_mode=False, frame=None,
        )  # fmt: skip
    frame = frames[start]
    registers = frame.registers()
    user_mode = bool(registers.get("cs", 0) & 3)
    entry, entry_at = _entry_below(program, frame, registers)
    if by_panic and not entry:
        entry = next((name for name in reversed(way) if name.startswith(_EXCEPTIONS)), "")
    function, offset, module = ("", 0, "") if user_mode else _where(program, frame.pc)
    functions = tuple(name for name, f in zip(names[start:], frames[start:], strict=True)
                      if f.sp >> 63)  # fmt: skip
    if not user_mode and functions:
        functions = (function_name(function) or functions[0], *functions[1:])
    return Stopped(
        way=way,
        entry=entry,
        entry_at=entry_at,
        functions=functions,
        module=module,
        pc=frame.pc,
        offset=offset,
        registers=registers,
        user_mode=user_mode,
        frame=frame,
    )


def _entry_below(
    program: Program, frame: StackFrame, registers: dict[str, int]
) -> tuple[str, int | None]:
    """The entry whose handler was called with the interrupted frame's registers, if it is there.

    The CPU aligns the stack to 16 bytes and pushes the end of ``struct pt_regs``, the entry the
    rest; then it calls the handler.
    """
    if "rsp" not in registers or registers.get("cs", 0) & 3:
        return "", None
    try:
        size = sizeof(program.type("struct pt_regs"))
        pt_regs = (registers["rsp"] & ~0xF) - size
        saved = Object(program, "struct pt_regs", address=pt_regs)
        if saved.ip.value_() != frame.pc:
            return "", None
        symbol = program.symbol(program.read_u64(pt_regs - 8))
    except READ_ERRORS:
        return "", None
    name = _OLD_ENTRIES.get(symbol.name, symbol.name)
    if not name.startswith(_EXCEPTIONS):
        return "", None
    return name, pt_regs - 8


def _where(program: Program, pc: int) -> tuple[str, int, str]:
    """Function, offset into it, and module."""
    try:
        symbol = program.symbol(pc)
    except LookupError:
        return "", 0, ""
    try:
        module = program.module(pc)
        name = "" if isinstance(module, MainModule) else printable(module.name)
    except LookupError:
        name = ""
    return symbol.name, pc - symbol.address, name
