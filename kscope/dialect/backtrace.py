"""Backtraces of chosen tasks, as crash's ``bt``."""

from collections.abc import Iterator, Sequence

from kscope.dialect.cpu.bt import exception_rip
from kscope.dialect.stacks import register_lines
from kscope.dialect.tasks import title
from kscope.dialect.views import Equivalent
from kscope.model.backtrace import Backtrace, BacktraceQuery, Backtraces, StackWord
from kscope.model.base import Address
from kscope.model.stacks import Frame

QUERY = BacktraceQuery

_DRGN = """\
from drgn import Object
from drgn.helpers.linux.pid import find_task
from drgn.helpers.linux.stack import kernel_stack_trace

for task in TASKS:
    print("PID", task.pid.value_(), hex(task.value_()), task.comm.string_())
    for segment in kernel_stack_trace(task).segments:
        for frame in segment.frames:
            print(frame)
"""
_DRGN_RAW = """\
from drgn import Object
from drgn.helpers.common.memory import print_annotated_memory
from drgn.helpers.linux.pid import find_task

for task in TASKS:
    print("PID", task.pid.value_(), hex(task.value_()), task.comm.string_())
    print_annotated_memory(prog, task.stack.value_(), prog["THREAD_SIZE"].value_())
"""


def equivalent(query: BacktraceQuery) -> Equivalent:
    """``bt`` with the same tasks; ``bt -f`` for the words by frame, of which ``-r`` is all."""
    words = query.tasks.split()
    tasks = [
        f"find_task(prog, {word})"
        if word.isdecimal()
        else f'Object(prog, "struct task_struct *", 0x{word.removeprefix("0x")})'
        for word in words
    ]
    option = " -r" if query.raw else ""
    return Equivalent(
        f"bt{option} {' '.join(word.removeprefix('0x') for word in words)}",
        (_DRGN_RAW if query.raw else _DRGN).replace("TASKS", f"[{', '.join(tasks)}]"),
    )


def text(query: BacktraceQuery, result: Backtraces) -> str:
    """One after the other."""
    return "\n\n".join(
        backtrace(found, words=query.raw and bool(found.words)) for found in result.backtraces
    )


def backtrace(
    found: Backtrace, *, words: bool = False, lines: bool = False, offsets: str = ""
) -> str:
    """``bt``. crash leaves inline frames out.

    :param words: with what each frame holds, as ``bt -f``.
    :param lines: with source lines, as ``bt -l``.
    :param offsets: ``d`` or ``x``: with the offset into each function, as ``bt -s`` and ``-sx``.
    """
    return "\n".join([title(found.task), *_stack(found, words, lines, offsets)])


def _stack(found: Backtrace, words: bool, lines: bool, offsets: str) -> Iterator[str]:
    number = 0
    values = {word.address: word.value for word in found.words} if words else {}
    segments = found.stack.segments
    for index, segment in enumerate(segments):
        if segment.kind == "user":
            yield from register_lines(segment.registers)
            break
        frames = [frame for frame in segment.frames if not frame.inline]
        if index and frames:
            yield exception_rip(frames[0])
            yield from register_lines(segment.registers)
            nmi = "NMI " if segments[index - 1].kind == "nmi" else ""
            yield f"--- <{nmi}exception stack> ---"
        for frame, following in zip(frames, [*frames[1:], None], strict=True):
            yield _frame(number, frame, offsets)
            number += 1
            if lines and frame.source:
                yield "    " + ": ".join(frame.source.rsplit(":", 1))
            yield from _words(frame, following, values)
    if found.stack.stopped:
        yield f"    ({found.stack.stopped})"


def _frame(number: int, frame: Frame, offsets: str) -> str:
    # crash shows where the return address lies.
    where = "?" * 16 if frame.sp is None else f"{frame.sp - 8:016x}"
    module = f" [{frame.module}]" if frame.module else ""
    name = frame.function or "(unknown)"
    if offsets and frame.offset is not None:
        name += f"+{frame.offset:#x}" if offsets == "x" else f"+{frame.offset}"
    return f"{f'#{number}':>3} [{where}] {name} at {frame.address:x}{module}"


def _words(frame: Frame, following: Frame | None, values: dict[Address, Address]) -> Iterator[str]:
    """What lies between a frame and the next, as far as it is on the task's own stack."""
    # Below the last frame there are only the registers that it saved.
    if not values or frame.sp is None or following is None or following.sp is None:
        return
    end = following.sp
    for start in range(frame.sp, end, 16):
        pair = [values[Address(at)] for at in range(start, min(start + 16, end), 8) if at in values]
        if pair:
            yield f"    {start:016x}: {' '.join(map(str, pair))} "


def raw_stack(found: Backtrace) -> str:
    """``bt -r``: the whole stack, symbols in place of values."""
    lines = [title(found.task)]
    for start in range(0, len(found.words), 2):
        pair = found.words[start : start + 2]
        shown = " ".join(f"{word.symbol or str(word.value):<16}" for word in pair)
        lines.append(f"{pair[0].address}:  {shown} ")
    if found.words_why:
        lines.append(f"    ({found.words_why})")
    return "\n".join(lines)


def text_symbols(found: Backtrace, *, whole: bool) -> str:
    """``bt -t``: every word that lies in a function, from where the task last was; with ``whole``
    ``bt -T``: from the end of the stack."""
    lines = [title(found.task)]
    frames = found.stack.frames
    first = next((frame for frame in frames if frame.sp is not None), None)
    words: Sequence[StackWord] = found.words
    if not whole and first is not None and first.sp is not None:
        lines.append(f"{'START':>19}: {first.function} at {first.address:x}")
        words = [word for word in words if word.address >= first.sp - 8]
    for word in words:
        if word.code:
            name = word.symbol.partition("+")[0]
            module = f" [{word.module}]" if word.module else ""
            lines.append(f"  [{word.address}] {name} at {word.value}{module}")
    for segment in found.stack.segments:
        if segment.kind == "user":
            lines += register_lines(segment.registers)
    if found.words_why:
        lines.append(f"    ({found.words_why})")
    return "\n".join(lines)
