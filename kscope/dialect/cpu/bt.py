"""What a CPU ran, as crash's ``bt -a`` and ``bt -c``."""

from collections.abc import Iterator

import msgspec

from kscope.dialect.stacks import register_lines
from kscope.model.base import Address
from kscope.model.cpus import Cpu, CpuFrame
from kscope.model.stacks import Frame

DRGN = """\
from drgn.helpers.common.stack import print_registers
from drgn.helpers.linux.sched import cpu_curr
from drgn.helpers.linux.stack import kernel_stack_trace

for cpu in CPUS:
    task = cpu_curr(prog, cpu)
    print("CPU", cpu, "PID", task.pid.value_(), task.comm.string_())
    try:
        trace = kernel_stack_trace(task)
    except LookupError as error:
        print(error)
        continue
    for segment in trace.segments:
        print("---", segment.kind.name)
        print_registers(prog, segment.frames[0].registers())
        for frame in segment.frames:
            print(frame)
"""
DRGN_RAW = """\
from drgn.helpers.common.memory import print_annotated_memory
from drgn.helpers.linux.sched import cpu_curr

for cpu in CPUS:
    print_annotated_memory(prog, cpu_curr(prog, cpu).stack.value_(), prog["THREAD_SIZE"].value_())
"""


def title(cpu: Cpu) -> str:
    """The line above a backtrace."""
    current = cpu.current
    if current is None:
        return f"PID: ?        TASK: ?                 CPU: {cpu.cpu}"
    return (
        f'PID: {current.pid:<7}  TASK: {current.task}  CPU: {cpu.cpu:<3}  COMMAND: "{current.comm}"'
    )


def backtrace(cpu: Cpu, *, full: bool = False, sources: bool = False, offsets: str = "") -> str:
    """``bt -c``, with ``full`` ``bt -f -c``. crash leaves inline frames out.

    :param sources: with source lines, as ``bt -l``.
    :param offsets: ``d`` or ``x``: with the offset into each function, as ``bt -s`` and ``-sx``.
    """
    lines = [title(cpu)]
    if not cpu.backtrace:
        why = next((u.why for u in cpu.unreadable if u.what == "backtrace"), "")
        lines.append(f"    ({why or cpu.registers_note or 'no registers were saved'})")
        return "\n".join(lines)
    number = 0
    for index, segment in enumerate(cpu.segments):
        frames = [f for f in cpu.backtrace if f.segment == index and not f.inline]
        before = cpu.segments[index - 1] if index else None
        if segment.kind == "user":
            lines += register_lines(segment.registers)
            break
        interrupted = before is not None and before.kind not in ("nmi", "exception")
        if interrupted and not segment.registers and frames[0].sp is not None:
            # The handler has not saved them yet: crash takes the interrupt for a call.
            frames[0] = msgspec.structs.replace(frames[0], sp=_interrupt_frame(frames[0].sp))
        elif interrupted:
            # What was interrupted is not counted as a frame: the exception RIP stands for it.
            lines.append(exception_rip(frames[0]))
            lines += register_lines(segment.registers)
            frames = frames[1:]
        elif before is not None:
            lines.append(exception_rip(frames[0]))
            lines += register_lines(segment.registers)
            lines.append(f"--- <{'NMI ' if before.kind == 'nmi' else ''}exception stack> ---")
        switched = False
        for frame, following in zip(frames, [*frames[1:], None], strict=True):
            lines.append(_frame(number, frame, offsets, switched=switched))
            number += 1
            if sources and frame.source:
                lines.append("    " + ": ".join(frame.source.rsplit(":", 1)))
            if full:
                lines += _words(frame)
            switched = following is not None and _on_other_stack(frame, following)
            if switched and segment.kind == "irq":
                lines.append("--- <IRQ stack> ---")
    return "\n".join(lines)


def _interrupt_frame(rsp: Address) -> Address:
    """Where x86-64 saves RIP, CS, RFLAGS, RSP and SS of what it interrupts on the same stack."""
    return Address((rsp & -16) - 5 * 8)


def _on_other_stack(frame: CpuFrame, following: CpuFrame) -> bool:
    if frame.sp is None or following.sp is None:
        return False
    return not 0 <= following.sp - frame.sp < 0x8000


def _frame(number: int, frame: CpuFrame, offsets: str, *, switched: bool) -> str:
    where = "?" * 16
    if frame.sp is not None:
        # crash shows where the return address lies, unless that is on another stack.
        where = f"{frame.sp if frame.interrupted or switched else frame.sp - 8:016x}"
    module = f" [{frame.module}]" if frame.module else ""
    name = frame.function or "(unknown)"
    if offsets and frame.offset is not None:
        name += f"+{frame.offset:#x}" if offsets == "x" else f"+{frame.offset}"
    return f"{f'#{number}':>3} [{where}] {name} at {frame.address:x}{module}"


def _words(frame: CpuFrame) -> Iterator[str]:
    for start in range(0, len(frame.words), 2):
        words = " ".join(str(word) for word in frame.words[start : start + 2])
        assert frame.sp is not None
        yield f"    {frame.sp + 8 * start:016x}: {words} "


def exception_rip(frame: Frame) -> str:
    """What stands for a frame that was interrupted."""
    name = f"{frame.function}+{frame.offset}" if frame.function else f"{frame.address:016x}"
    return f"    [exception RIP: {name}]"


def raw_stack(cpu: Cpu) -> str:
    """``bt -r``: the whole stack of the current task."""
    lines = [title(cpu)]
    for start in range(0, len(cpu.raw_stack), 2):
        pair = cpu.raw_stack[start : start + 2]
        words = " ".join(
            f"{f'{word.symbol}+{word.offset}' if word.symbol else str(word.value):<16}"
            for word in pair
        )
        lines.append(f"{pair[0].address}:  {words} ")
    return "\n".join(lines)
