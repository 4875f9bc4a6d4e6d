"""What a CPU ran when the dump was taken: its stacks as segments, innermost first.

A CPU that crashed or was stopped has several layers of work on it: a task, an interrupt that
interrupted the task, the NMI that stopped both. drgn unwinds them from the registers that the CPU
saved; which of the layers says something about the CPU itself is decided here.
"""

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import msgspec
from drgn import Object, Program, StackFrame, StackTrace
from drgn.helpers.linux.percpu import per_cpu

from kscope.kernel.access.reading import READ_ERRORS
from kscope.kernel.unwinding.saved_registers import orig_rax
from kscope.kernel.unwinding.telling import function_name
from kscope.kernel.unwinding.unwind import physical_frames, stack_segments, unwinder
from kscope.model.base import Address
from kscope.model.cpus import INTERRUPT_FLAG, CpuFrame
from kscope.model.stacks import StackKind
from kscope.target.target import Target

_MOST_FRAMES = 256
"""A damaged stack may lead round in circles."""

_STOPPING = frozenset({
    # The CPU that panicked or crashed.
    "panic", "vpanic", "nmi_panic", "__crash_kexec", "crash_kexec", "machine_kexec",
    # The others, stopped by the kdump NMI, the panic IPI, or the panic NMI.
    "crash_nmi_callback", "kdump_nmi_callback", "stop_this_cpu", "smp_stop_nmi_callback",
    "nmi_panic_self_stop", "panic_smp_self_stop",
})  # fmt: skip

# __do_softirq() became handle_softirqs() with Linux kernel commit 1dd1eff161bd ("softirq: Fix
# suspicious RCU usage in __do_softirq()") (in v6.9).
_SOFTIRQ_LOOPS = ("handle_softirqs", "__do_softirq")
_INTERRUPT_ENTRY = re.compile(r"asm_(?:sysvec_\w+|common_interrupt|spurious_interrupt)")
_SYSCALL_ENTRY = re.compile(
    r"entry_SYSCALL_64|entry_SYSCALL_compat|entry_SYSENTER|entry_INT80|asm_int80|ret_from_fork"
)


@dataclass(frozen=True)
class Stretch:
    """The frames between two interruptions."""

    kind: StackKind
    frames: tuple[CpuFrame, ...]
    registers: dict[str, int]
    """Those of the innermost frame, all of them where it was interrupted."""
    drgn_frames: tuple[StackFrame, ...]

    @property
    def functions(self) -> tuple[str, ...]:
        """Names without the compiler's suffixes."""
        return tuple(function_name(frame.function) for frame in self.frames)

    @property
    def stopped(self) -> bool:
        """Whether this is how the crash stopped the CPU."""
        return not _STOPPING.isdisjoint(self.functions)

    @property
    def softirq(self) -> str:
        """The handler of a softirq that it is in; empty if it is in none."""
        for inner, outer in pairwise(self.functions):
            if outer in _SOFTIRQ_LOOPS and inner not in _SOFTIRQ_LOOPS:
                return inner
        return ""

    @property
    def rflags(self) -> int | None:
        """RFLAGS where it was interrupted."""
        return self.registers.get("rflags")


def stretches(
    target: Target, cpu: int, current: Object, *, saved: bool, panicked: bool
) -> list[Stretch]:
    """What ``cpu`` was doing, innermost first.

    :param current: ``struct task_struct *``, the task that it runs.
    :param saved: whether its registers are in a crash note.
    :param panicked: whether it is the CPU that crashed.
    """
    program = target.program
    found: list[Stretch] = []
    segments = stack_segments(current)
    if saved:
        registers = segments[0][1][0].registers() if segments else {}
        kind, handler = _stopping_frames(program, cpu, current, registers, panicked)
        if handler:
            found.append(_handler_stretch(target, kind, handler))
    for kind, every in segments:
        frames = every[:_MOST_FRAMES]
        registers = frames[0].registers()
        above = _stack_pointer(found[-1].drgn_frames[-1]) if found else None
        entry = None if above is None else orig_rax(program, above, registers)
        if entry is not None:
            registers["orig_rax"] = entry
        found.append(_stretch(target, kind, frames, len(found), registers))
    return found


def irqs_enabled(found: Sequence[Stretch]) -> bool | None:
    """Whether the CPU took interrupts, judged by what it was doing when it was stopped.

    The handler that stops a CPU, and that of any interrupt, runs with interrupts off by itself: it
    says nothing. (That of a softirq runs with interrupts on, also after an interrupt's handler.)
    Before that, they were as RFLAGS of the interrupted frame says. A CPU that called panic() from a
    system call was not interrupted by anything: nothing says how its interrupts were.
    """
    for index, stretch in enumerate(found):
        if stretch.stopped or _is_interrupt(stretch):
            continue
        if index and stretch.kind == "user":
            entry = found[index - 1].functions
            if not entry or _SYSCALL_ENTRY.match(entry[-1]):
                return None
        if stretch.rflags is None:
            return None
        return bool(stretch.rflags & INTERRUPT_FLAG)
    return None


def interrupt_handled(found: Sequence[Stretch]) -> str:
    """The interrupt that the CPU was handling when it was stopped; empty if none."""
    for stretch in found:
        if not stretch.stopped:
            return stretch.functions[-1].removeprefix("asm_") if _is_interrupt(stretch) else ""
    return ""


def softirq_handled(found: Sequence[Stretch]) -> str:
    """The handler of the softirq that the CPU was in, be it interrupted; empty if in none."""
    return next((stretch.softirq for stretch in found if stretch.softirq), "")


def _is_interrupt(stretch: Stretch) -> bool:
    if not stretch.functions or stretch.softirq:
        return False
    return _INTERRUPT_ENTRY.fullmatch(stretch.functions[-1]) is not None


def _stretch(
    target: Target,
    kind: StackKind,
    drgn_frames: Sequence[StackFrame],
    segment: int,
    registers: dict[str, int],
) -> Stretch:
    frames = []
    for physical in physical_frames(drgn_frames):
        outer = physical[-1]
        for frame in unwinder(target).describe(physical):
            frames.append(
                CpuFrame(
                    function=frame.function, offset=frame.offset, module=frame.module,
                    source=frame.source, inline=frame.inline, address=frame.address,
                    sp=_stack_pointer(outer), interrupted=outer.interrupted, stack=kind,
                    segment=segment,
                )
            )  # fmt: skip
    return Stretch(kind, tuple(frames), registers, tuple(drgn_frames))


def _stack_pointer(frame: StackFrame) -> Address | None:
    try:
        return Address(frame.sp)
    except LookupError:
        return None


def _handler_stretch(target: Target, kind: StackKind, drgn_frames: Sequence[StackFrame]) -> Stretch:
    stretch = _stretch(target, kind, drgn_frames, 0, {})
    # The innermost address is that of a return, not of an interruption.
    frames = tuple(msgspec.structs.replace(frame, interrupted=False) for frame in stretch.frames)
    return Stretch(kind, frames, {}, stretch.drgn_frames)


def _stopping_frames(
    program: Program, cpu: int, current: Object, registers: dict[str, int], panicked: bool
) -> tuple[StackKind, Sequence[StackFrame]]:
    """The frames of the handler that stopped a CPU, which its crash note leaves out.

    ``crash_notes`` has the registers from before the handler: before the NMI that stopped this CPU,
    or before the exception that crashed it. ``crash_nmi_callback()`` has called the function that
    saves them and halts for ever; ``crash_kexec()`` has called ``__crash_kexec()``, which does not
    return. The return address of that call is still on the stack. Unwinding from there must lead
    back to the saved registers, or it was left over from something else.
    """
    try:
        if panicked:
            kind: StackKind = "task"
            handler = program.symbol("crash_kexec")
            start, size = _stack_below(program, current, registers)
        else:
            kind = "nmi"
            handler = program.symbol("crash_nmi_callback")
            start, size = _nmi_stack(program, cpu, current, registers)
        data = program.read(start, size)
        for index, word in enumerate(struct.unpack(f"<{len(data) // 8}Q", data)):
            if not handler.address < word < handler.address + handler.size:
                continue
            frames = _unwind(program, word, start + 8 * (index + 1))
            for position, frame in enumerate(frames):
                # The first counts as interrupted too, since it was given registers.
                if frame.interrupted and frame.sp != frames[0].sp:
                    if (frame.pc, frame.sp) == (registers["rip"], registers["rsp"]):
                        return kind, list(frames)[:position]
                    break
    except READ_ERRORS:
        pass
    return "unknown", ()


def _stack_below(program: Program, current: Object, registers: dict[str, int]) -> tuple[int, int]:
    """Where the handler of an exception puts its frames: below what it interrupted, or at the top
    of the task's stack if that was user space."""
    start, size = current.stack.value_(), int(program["THREAD_SIZE"])
    if registers["cs"] & 3:
        return start, size
    sp = registers["rsp"]
    if not start <= sp < start + size:
        start = sp & -size
    return start, sp - start & -8


def _nmi_stack(
    program: Program, cpu: int, current: Object, registers: dict[str, int]
) -> tuple[int, int]:
    """The stack that an NMI uses: its own, or the task's if it interrupted user space."""
    if registers["cs"] & 3:
        return current.stack.value_(), int(program["THREAD_SIZE"])
    # Since Linux kernel commit 019b17b3ffe4 ("x86/exceptions: Add structs for exception stacks")
    # (in v5.1).
    stack = per_cpu(program["cea_exception_stacks"], cpu).NMI_stack
    assert stack.address_ is not None
    return stack.address_, len(stack)


def _unwind(program: Program, pc: int, sp: int) -> StackTrace:
    registers = Object(program, "struct pt_regs", {"ip": pc, "sp": sp, "cs": 0x10})
    return program.stack_trace(registers)
