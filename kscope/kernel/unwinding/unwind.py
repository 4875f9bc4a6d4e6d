"""One task's kernel stack as frames.

drgn unwinds; this names what it finds. A return address has the same name in every stack, so each
is looked up once: with DWARF, finding inlined frames and source lines is what takes the time.
"""

import contextlib
import re
from collections.abc import Sequence
from itertools import takewhile

from drgn import Object, Program, StackFrame
from drgn.helpers.linux.stack import kernel_stack_trace

from kscope.kernel.access.reading import READ_ERRORS, reason
from kscope.kernel.unwinding.saved_registers import orig_rax
from kscope.model.base import Address
from kscope.model.stacks import Frame, Register, Segment, Stack, StackKind
from kscope.model.text import printable
from kscope.target.target import Target

_BOTTOM = re.compile(
    r"ret_from_fork(_asm)?|(secondary|common)_startup_64\w*|entry_\w+|asm_\w+|el0t?_\w+"
    r"|x86_64_start_\w+|__primary_switched|call_cpuidle|system_call\w*|rewind_stack_\w+"
)
"""Functions that nothing in the kernel called: a stack that ends in one is whole."""

_FIRST_STEPS = ("ret_from_fork", "ret_from_fork_asm")
"""Where a new task begins; its stack is made as if that had called __switch_to_asm()."""

_BUILD_DIRECTORY = re.compile(r"^/.*?/linux[^/]*/")
"""What is the same in front of all source files of assembly code."""

_RFLAGS_IF = 0x200
"""The interrupt flag in x86's RFLAGS."""

_KERNEL_SPACE = 1 << 63

_LABELS = (
    "entry_SYSCALL_64_after_hwframe",
    "entry_SYSCALL_compat_after_hwframe",
    "entry_SYSENTER_compat_after_hwframe",
)
"""Labels inside functions, with no size of their own: kallsyms and crash name them, the lookup in
an ELF file names the function around them."""

_MOST_FRAMES = 400
"""More than fit on a 16 KB stack are a loop."""


class Unwinder:
    """Unwinds the tasks of one target and remembers the names of return addresses."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._program: Program = target.program
        self._pointer = self._program.type("struct task_struct *")
        self._known_labels: list[tuple[str, int]] | None = None
        self._first_steps: dict[int, str] = {}
        """By their addresses, where nothing returns to: a return address is looked up one byte
        lower, in the function that called, and what lies below these is another function."""
        for name in _FIRST_STEPS:
            with contextlib.suppress(LookupError):
                self._first_steps[self._program.symbol(name).address] = name
        self._described: dict[tuple[int, bool], tuple[Frame, ...]] = {}

    def task(self, address: int) -> Object:
        """``struct task_struct *`` for an address."""
        return Object(self._program, self._pointer, value=address)

    def trace(self, address: int) -> list[StackFrame]:
        """drgn's stack trace, without what it takes for the callers of a task that never ran.

        :raises: one of ``READ_ERRORS``.
        """
        frames = list(self._program.stack_trace(self.task(address)))
        return frames[:1] if frames and self._never_ran(frames[0]) else frames

    def _never_ran(self, innermost: StackFrame) -> bool:
        """Whether a task with this frame has still to make its first step."""
        try:
            return innermost.pc in self._first_steps
        except LookupError:
            return False

    def stack(self, address: int) -> Stack:
        """The stack of the task at ``address``, segment by segment. Never raises for what the dump
        lacks: ``stopped`` says so."""
        try:
            segments = self._segments(address)
        except READ_ERRORS as error:
            return Stack(segments=(), stopped=_why_none(error))
        stack = Stack(segments=tuple(segments))
        frames = stack.frames
        if len(frames) > _MOST_FRAMES:
            return Stack(segments=stack.segments, stopped="these frames repeat without end")
        if any(segment.kind == "user" for segment in segments):
            return stack
        return Stack(segments=stack.segments, stopped=self.why_stopped(frames))

    def _segments(self, address: int) -> list[Segment]:
        task = self.task(address)
        try:
            found = stack_segments(task)
            if found and self._never_ran(found[0][1][0]):
                found = [("task", found[0][1][:1])]
        except READ_ERRORS:
            # Where the other stacks lie is not always known; the frames still are.
            kernel, user = in_the_kernel(self.trace(address))
            found = [("unknown", kernel), ("user", user)]
        segments: list[Segment] = []
        within: StackFrame | None = None
        for kind, frames in found:
            if frames:
                segments.append(self._segment(kind, frames, within))
                within = frames[-1]
        return segments

    def _segment(
        self, kind: StackKind, frames: Sequence[StackFrame], within: StackFrame | None
    ) -> Segment:
        """:param within: the outermost frame of what interrupted these."""
        described: list[Frame] = []
        for physical in physical_frames(frames[:_MOST_FRAMES]):
            sp = _stack_pointer(physical[-1])
            described.extend(with_sp(frame, sp) for frame in self.describe(physical))
        registers: tuple[Register, ...] = ()
        irqs_enabled = None
        if frames and frames[0].interrupted:
            values = frames[0].registers()
            registers = tuple(
                Register(name, Address(value)) for name, value in values.items() if value >= 0
            )
            above = _stack_pointer(within) if within is not None else None
            if above is not None:
                entry = orig_rax(self._program, above, values)
                if entry is not None:
                    registers = (*registers, Register("orig_rax", Address(entry)))
            if "rflags" in values:
                irqs_enabled = bool(values["rflags"] & _RFLAGS_IF)
        return Segment(
            kind=kind, frames=tuple(described), registers=registers, irqs_enabled=irqs_enabled
        )

    def describe(self, physical: Sequence[StackFrame]) -> tuple[Frame, ...]:
        """The names of one frame and of those inlined into it, innermost first.

        :param physical: as from ``physical_frames``.
        """
        frame = physical[-1]
        try:
            pc = frame.pc
        except LookupError:
            return ()
        key = (pc, frame.interrupted)
        described = self._described.get(key)
        if described is None:
            inlined = [
                Frame(
                    function=printable(inner.name or ""), offset=None, module="",
                    source=_source(inner), inline=True, address=Address(pc),
                )
                for inner in physical[:-1]
            ]  # fmt: skip
            described = self._described[key] = (*inlined, self._outer(frame, pc))
        return described

    def _outer(self, frame: StackFrame, pc: int) -> Frame:
        function, offset = "", None
        if pc in self._first_steps:
            return Frame(
                function=self._first_steps[pc], offset=0, module="", source="",
                address=Address(pc),
            )  # fmt: skip
        try:
            symbol = frame.symbol()
        except LookupError:
            pass
        else:
            name, start = symbol.name, symbol.address
            for label, address in self._labels():
                if start < address < pc and name == label.partition("_after")[0]:
                    name, start = label, address
            function, offset = printable(name), pc - start
        return Frame(
            function=function, offset=offset, module=self._module(pc), source=_source(frame),
            address=Address(pc),
        )  # fmt: skip

    def _labels(self) -> list[tuple[str, int]]:
        if self._known_labels is None:
            self._known_labels = []
            for label in _LABELS:
                with contextlib.suppress(LookupError):
                    self._known_labels.append((label, self._program.symbol(label).address))
        return self._known_labels

    def _module(self, pc: int) -> str:
        try:
            module = self._program.module(pc)
        except LookupError:
            return ""
        if module == self._program.main_module():
            return ""
        return printable(module.name)

    def why_stopped(self, frames: Sequence[Frame]) -> str:
        """Why the last of ``frames`` has no caller; empty if it has none by its nature."""
        if not frames:
            return "there is no kernel frame"
        last = frames[-1]
        if _BOTTOM.fullmatch(last.function):
            return ""
        if not last.function:
            return f"{last.address:#x} is not in the kernel's code or a module's"
        if last.sp is not None:
            try:
                self._program.read(last.sp, 8)
            except READ_ERRORS as error:
                return f"the stack at {last.sp:#x} cannot be read: {reason(error)}"
        where = f"{last.function} of the module {last.module}" if last.module else last.function
        return f"no unwind information leads on from {where}, or the stack is damaged there"


def in_user_space(frame: StackFrame) -> bool:
    """Whether a frame is a program's. Its stack tells: the kernel may have jumped to address 0."""
    sp = _stack_pointer(frame)
    return sp is not None and sp < _KERNEL_SPACE


_KINDS: dict[str, StackKind] = {
    "USER": "user", "TASK": "task", "IRQ": "irq", "SOFTIRQ": "softirq", "NMI": "nmi",
    "EXCEPTION": "exception",
}  # fmt: skip


def stack_segments(task: Object) -> list[tuple[StackKind, Sequence[StackFrame]]]:
    """drgn's stack segments of a task, innermost first, as far as ``in_the_kernel``; and if they
    lead to the program, its first frame.

    :param task: ``struct task_struct *``
    :raises: one of ``READ_ERRORS``.
    """
    found: list[tuple[StackKind, Sequence[StackFrame]]] = []
    for segment in kernel_stack_trace(task).segments:
        kernel, user = in_the_kernel(segment.frames)
        found.append((_KINDS.get(segment.kind.name, "unknown"), kernel))
        if len(kernel) < len(segment.frames):
            found.append(("user", user))
            break
    return [(kind, frames) for kind, frames in found if frames]


def in_the_kernel(
    frames: Sequence[StackFrame],
) -> tuple[Sequence[StackFrame], Sequence[StackFrame]]:
    """The kernel's frames, and the program's first one if it was left by an entry to the kernel.

    What drgn makes of a program's memory without its unwind tables is noise; so is a frame outside
    of the kernel to which no saved registers lead.
    """
    kernel = list(takewhile(lambda frame: not in_user_space(frame), frames))
    user = frames[len(kernel) :][:1]
    return kernel, user if user and user[0].interrupted else []


def physical_frames(frames: Sequence[StackFrame]) -> list[list[StackFrame]]:
    """Each frame that has registers of its own, after those inlined into it."""
    found: list[list[StackFrame]] = [[]]
    for frame in frames:
        found[-1].append(frame)
        if not frame.is_inline:
            found.append([])
    return [physical for physical in found if physical]


def _stack_pointer(frame: StackFrame) -> int | None:
    try:
        sp: int = frame.sp
    except LookupError:
        return None
    return sp


def with_sp(frame: Frame, sp: int | None) -> Frame:
    """The same frame of a task whose stack pointer is there."""
    if sp is None:
        return frame
    return Frame(
        function=frame.function, offset=frame.offset, module=frame.module, source=frame.source,
        inline=frame.inline, address=frame.address, sp=Address(sp),
    )  # fmt: skip


def _source(frame: StackFrame) -> str:
    try:
        source = frame.source()
    except LookupError:
        return ""
    return f"{_BUILD_DIRECTORY.sub('', printable(source.filename))}:{source.line}"


def _why_none(error: BaseException) -> str:
    text = str(error.args[0]) if error.args else ""
    if "registers for CPU" in text or "not saved" in text:
        return "it was running on a CPU whose registers are not in the dump"
    return f"it cannot be unwound: {reason(error)}"


_CACHE_KEY = "kscope unwinder"


def unwinder(target: Target) -> Unwinder:
    """The unwinder of this target, with the names it already knows."""
    cache = target.program.cache
    found: Unwinder | None = cache.get(_CACHE_KEY)
    if found is None:
        found = cache[_CACHE_KEY] = Unwinder(target)
    return found


def unwind(target: Target, task: int) -> Stack:
    """The kernel stack of the task at address ``task``."""
    return unwinder(target).stack(task)
