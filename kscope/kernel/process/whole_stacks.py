"""The whole stacks of many tasks, unwinding only those that are unlike all before.

The frames of a task that sleeps where another did are the other's, but for where they lie; and
what it had in its registers in user space lies at the top of its stack.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from kscope.kernel.process.stack_reader import SleepingStacks
from kscope.kernel.process.task_table import FoundTask
from kscope.kernel.unwinding.recogniser import Path, Recogniser
from kscope.kernel.unwinding.unwind import unwinder, with_sp
from kscope.model.base import Address
from kscope.model.stacks import Frame, Register, Segment, Stack
from kscope.target.target import Target

_WORD = 8
_PT_REGS = (
    "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi",
    "rdi", "orig_rax", "rip", "cs", "rflags", "rsp", "ss",
)  # fmt: skip
"""x86-64's struct pt_regs, word by word."""
_SELECTORS = ("cs", "ss")
_RFLAGS_IF = 1 << 9
_USER_MODE = 3


class _Words(NamedTuple):
    """A task's stack as it lies in memory."""

    sp: int
    words: Sequence[int]
    """From the stack pointer to the top."""

    def registers(self) -> dict[str, int]:
        """What is saved at the top, as long as it was saved when user space was left."""
        found = dict(zip(_PT_REGS, self.words[-len(_PT_REGS) :], strict=False))
        for name in _SELECTORS:
            found[name] &= 0xFFFF
        return found


class WholeStacks:
    """Finds out stacks segment by segment, as ``Unwinder.stack`` does."""

    def __init__(self, target: Target) -> None:
        self._unwinder = unwinder(target)
        self._sleeping = SleepingStacks(target)
        self._recogniser = Recogniser()
        self._known: dict[Path, tuple[Stack, int]] = {}
        """Stacks, and how far from the top the outermost return address lies in words."""
        self.unwound = 0

    def find(self, found: FoundTask, active: bool) -> Stack:
        """The stack of one task."""
        own = _Words._make(self._sleeping.read(found, active))
        if len(own.words) >= len(_PT_REGS):
            known = self._recogniser.recognise(own.words)
            if known is not None:
                stack, from_top = self._known[known.path]
                if known.places[-1] == len(own.words) - from_top and _left_user_space_alike(
                    stack, own
                ):
                    return _moved(stack, own, known.places)
        self.unwound += 1
        stack = self._unwinder.stack(found.address)
        if len(own.words) >= len(_PT_REGS) and not stack.stopped:
            self._learn(stack, own)
        return stack

    def _learn(self, stack: Stack, own: _Words) -> None:
        """Remember a stack, if what would be made of it for this very task is the same."""
        frames = [frame for frame in stack.frames if not frame.inline]
        path = tuple(int(frame.address) for frame in frames)
        # Below where the stack pointer is once the call has returned.
        places = [((frame.sp or 0) - own.sp) // _WORD - 1 for frame in frames]
        count = len(own.words)
        if (
            path
            and all(0 <= place < count for place in places)
            and all(own.words[place] == pc for place, pc in zip(places, path, strict=True))
            and _left_user_space_alike(stack, own)
            and _moved(stack, own, places) == stack
        ):
            self._known[path] = (stack, count - places[-1])
            self._recogniser.learn(own.words, places, path)


def _left_user_space_alike(stack: Stack, own: _Words) -> bool:
    """Whether either both lead back to user space or none."""
    left_user_space = own.registers()["cs"] & _USER_MODE == _USER_MODE
    return left_user_space is any(segment.kind == "user" for segment in stack.segments)


def _moved(stack: Stack, own: _Words, places: Sequence[int]) -> Stack:
    """A known stack as it is on the task that these words are of.

    :param places: where its return addresses lie among the words.
    """
    at = iter(places)
    return Stack(
        segments=tuple(
            _user(segment, own)
            if segment.kind == "user"
            else msgspec.structs.replace(segment, frames=tuple(_frames(segment, own, at)))
            for segment in stack.segments
        )
    )


def _frames(segment: Segment, own: _Words, places: Iterator[int]) -> Iterator[Frame]:
    sp: int | None = None
    for frame in segment.frames:
        if sp is None:
            sp = own.sp + _WORD * (next(places) + 1)
        yield with_sp(frame, sp)
        if not frame.inline:
            # Those inlined into a frame come before it, and share it.
            sp = None


def _user(segment: Segment, own: _Words) -> Segment:
    """What the task was doing in user space when it entered the kernel."""
    saved = own.registers()
    return Segment(
        kind="user",
        frames=tuple(
            Frame(
                function="", offset=None, module="", source="", address=Address(saved["rip"]),
                sp=Address(saved["rsp"]),
            )
            for _ in segment.frames
        ),
        registers=tuple(
            Register(register.name, Address(saved[register.name])) for register in segment.registers
        ),
        irqs_enabled=bool(saved["rflags"] & _RFLAGS_IF),
    )  # fmt: skip


_CACHE_KEY = "kscope whole stacks"


def whole_stacks(target: Target) -> WholeStacks:
    """The stacks of this target's tasks, with what is already known of them. A live target has
    new ones for each question."""
    if target.identity.live:
        return WholeStacks(target)
    cache = target.program.cache
    found: WholeStacks | None = cache.get(_CACHE_KEY)
    if found is None:
        found = cache[_CACHE_KEY] = WholeStacks(target)
    return found
