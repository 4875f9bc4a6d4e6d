"""A sleeping task's stack: its frames and its words.

Whoever sleeps in the kernel has put a small structure on its own stack that says what for. To find
it one needs the words of the stack, and to know whose frame each lies in.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from drgn import Object, Program

from kscope.kernel.access.reading import READ_ERRORS
from kscope.kernel.unwinding.telling import function_name


@dataclass(frozen=True)
class Frame:
    """One frame: its own data lies from ``sp`` up to the next outer frame's ``sp``."""

    function: str
    sp: int
    pc: int


@dataclass(frozen=True)
class Stack:
    """The part of a stack that is in use, innermost first."""

    start: int
    """Address of the first word."""
    words: tuple[int, ...]
    frames: tuple[Frame, ...]

    @property
    def functions(self) -> tuple[str, ...]:
        """The names of the frames' functions, compiler's suffixes removed."""
        return tuple(frame.function for frame in self.frames)

    def frame_of(self, address: int) -> Frame | None:
        """The frame that the data at ``address`` belongs to."""
        found = None
        for frame in self.frames:
            if frame.sp > address:
                break
            found = frame
        return found

    def find(self, word: int) -> Iterator[int]:
        """Addresses at which the stack holds ``word``."""
        for index, value in enumerate(self.words):
            if value == word:
                yield self.start + 8 * index


def sleeping_stack(program: Program, task: Object) -> Stack:
    """The stack of a task that is not running.

    :param task: ``struct task_struct *``
    """
    base = task.stack.value_()
    end = base + int(program["THREAD_SIZE"])
    try:
        frames = tuple(
            Frame(function_name(frame.name or ""), frame.sp, frame.pc)
            for frame in program.stack_trace(task)
            if base <= frame.sp < end
        )
    except READ_ERRORS:
        frames = ()
    start = frames[0].sp if frames else task.thread.sp.value_()
    if not base <= start < end:
        return Stack(start, (), frames)
    data = program.read(start, end - start)
    words = struct.unpack(f"<{len(data) // 8}Q", data)
    return Stack(start, words, frames or _frames_by_return_addresses(program, start, words))


def _frames_by_return_addresses(
    program: Program, start: int, words: tuple[int, ...]
) -> tuple[Frame, ...]:
    """Frames guessed without unwind tables, as ``bt -t`` does: every word that is in the text.

    Some of them are left over from earlier calls.
    """
    first, last = program.symbol("_stext").address, program.symbol("_etext").address
    return tuple(
        Frame(function_name(program.symbol(word).name), start + 8 * (index + 1), word)
        for index, word in enumerate(words)
        if first <= word < last
    )
