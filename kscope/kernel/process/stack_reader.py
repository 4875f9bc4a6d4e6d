"""The stacks of many tasks, without unwinding them all.

A task that is not running is read in one piece, from its saved stack pointer to the top of its
stack. Only if the recogniser does not know what it reads there, is the stack unwound.

Only x86-64 keeps return addresses right below the caller's stack pointer, which is what tells where
they lie. On other machines nothing is recognised and every stack is unwound.
"""

import contextlib
from collections.abc import Sequence
from typing import NamedTuple

from drgn import Architecture, FaultError, Platform, PlatformFlags, StackFrame

from kscope.kernel.access.layout import Layout
from kscope.kernel.access.reading import READ_ERRORS
from kscope.kernel.process.task_table import FoundTask
from kscope.kernel.unwinding.recogniser import Path, Recogniser
from kscope.kernel.unwinding.unwind import Unwinder, in_the_kernel, physical_frames, unwinder
from kscope.model.stacks import Frame
from kscope.target.target import Target

_WORD = 8


class FoundStack(NamedTuple):
    """What was found out about one task's stack."""

    path: Path
    stopped: str
    recognised: bool


class SleepingStacks:
    """Reads the stacks of tasks that are not running."""

    def __init__(self, target: Target) -> None:
        program = target.program
        self._program = program
        self._tell = return_addresses_tell(program.platform)
        if self._tell:
            self._saved_sp = Layout(program, "struct task_struct", {"sp": ("thread.sp",)})
            self._thread_size: int = program["THREAD_SIZE"].value_()

    def read(self, found: FoundTask, active: bool) -> tuple[int, Sequence[int]]:
        """A task's saved stack pointer, and the words from there to the top of its stack; no words
        where they are missing, or tell nothing."""
        base = found.raw.stack
        if self._tell and not active and base is not None:
            with contextlib.suppress(FaultError):
                (sp,) = self._saved_sp.read(found.address)
                top = base + self._thread_size
                if base <= sp < top and sp % _WORD == 0:
                    return sp, memoryview(self._program.read(sp, top - sp)).cast("Q")
        return 0, ()


class StackReader:
    """Finds out the stacks of tasks, unwinding as few as it can."""

    def __init__(self, target: Target) -> None:
        self._unwinder: Unwinder = unwinder(target)
        self._recogniser = Recogniser()
        self._frames: dict[Path, tuple[Frame, ...]] = {(): ()}
        self.unwound = 0
        self._sleeping = SleepingStacks(target)

    def frames(self, path: Path) -> tuple[Frame, ...]:
        """The frames of a stack that was found."""
        return self._frames[path]

    def find(self, found: FoundTask, active: bool, *, check: bool = False) -> FoundStack:
        """Find out the stack of one task.

        :param check: unwind it even if it is recognised.
        """
        if found.raw.stack == 0:
            # Since Linux kernel commit 68f24b08ee89 ("sched/core: Free the stack early if
            # CONFIG_THREAD_INFO_IN_TASK") (in v4.9), a zombie has none.
            return FoundStack((), "it is dead: its kernel stack is freed", False)
        sp, words = self._sleeping.read(found, active)
        if words and not check:
            known = self._recogniser.recognise(words)
            if known is not None:
                return FoundStack(known.path, "", True)
        return self._unwind(found.address, words, sp)

    def _unwind(self, address: int, words: Sequence[int], sp: int) -> FoundStack:
        self.unwound += 1
        unwinder = self._unwinder
        try:
            trace = unwinder.trace(address)
        except READ_ERRORS:
            return FoundStack((), unwinder.stack(address).stopped, False)
        path, places, in_user = _return_addresses(trace, words, sp)
        if path not in self._frames:
            self._frames[path] = tuple(
                frame
                for physical in physical_frames(trace)[: len(path)]
                for frame in unwinder.describe(physical)
            )
        if in_user:
            stopped = "" if path else "it was running in user mode"
        else:
            stopped = unwinder.why_stopped(self._frames[path])
        if places and not stopped:
            self._recogniser.learn(words, places, path)
        return FoundStack(path, stopped, False)


def return_addresses_tell(platform: Platform | None) -> bool:
    """Whether a stack can be recognised by where its return addresses lie."""
    return (
        platform is not None
        and platform.arch is Architecture.X86_64
        and PlatformFlags.IS_LITTLE_ENDIAN in platform.flags
    )


def _return_addresses(
    trace: Sequence[StackFrame], words: Sequence[int], sp: int
) -> tuple[Path, list[int], bool]:
    """The kernel's return addresses of a trace; where in ``words`` they lie, empty if one of them
    is elsewhere; whether the trace reaches user space."""
    path: list[int] = []
    places: list[int] = []
    in_place = bool(words)
    kernel, user = in_the_kernel(trace)
    for frame in kernel:
        if frame.is_inline:
            continue
        try:
            pc = frame.pc
        except LookupError:
            break
        path.append(pc)
        if in_place:
            # Below where the stack pointer is once the call has returned. An interrupted frame
            # was not called: its address is somewhere in the saved registers.
            place = -1
            with contextlib.suppress(LookupError):
                place = (frame.sp - sp) // _WORD - 1
            in_place = 0 <= place < len(words) and words[place] == pc
            places.append(place)
    return tuple(path), places if in_place else [], bool(user)
