"""One task's stack with what crash's ``bt -f``, ``bt -t`` and drgn's ``bt -V`` add to it."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from drgn import Object, StackFrame, TypeKind

from kscope.kernel.access.reading import READ_ERRORS
from kscope.kernel.access.symbols import symbols_of
from kscope.kernel.process.task_table import FoundTask
from kscope.kernel.unwinding.stack_words import stack_words
from kscope.kernel.unwinding.telling import telling_frames
from kscope.kernel.unwinding.unwind import unwinder
from kscope.model.base import Address
from kscope.model.stacks import Frame, Stack
from kscope.model.task import (
    FrameVariables,
    FrameWords,
    TaskQuery,
    TaskStack,
    TextSymbol,
    Variable,
)
from kscope.model.text import printable
from kscope.target.target import Target

_WORD = 8
_KERNEL_SPACE = 1 << 63
_LONGEST_VALUE = 200
_COMPOUND = (TypeKind.STRUCT, TypeKind.UNION, TypeKind.CLASS, TypeKind.ARRAY)


def task_stack(target: Target, found: FoundTask, query: TaskQuery) -> TaskStack:
    """The stack of a task, and those of its words and variables that were asked for."""
    if found.raw.stack == 0:
        # Since Linux kernel commit 68f24b08ee89 ("sched/core: Free the stack early if
        # CONFIG_THREAD_INFO_IN_TASK") (in v4.9).
        return TaskStack(stack=Stack(segments=(), stopped="it is dead: its kernel stack is freed"))
    stack = unwinder(target).stack(found.address)
    frames = stack.frames
    return TaskStack(
        stack=stack,
        telling=telling_frames(frames),
        words=tuple(_words(target, frames)) if query.raw else (),
        variables=tuple(_variables(target, found.address)) if query.variables else (),
        text_symbols=tuple(_text_symbols(target, found, frames)) if query.symbols else (),
    )


def _words(target: Target, frames: Sequence[Frame]) -> Iterator[FrameWords]:
    """The words of each frame that has a caller on the same stack."""
    size = target.program["THREAD_SIZE"].value_()
    physical = [(index, frame) for index, frame in enumerate(frames) if not frame.inline]
    for (index, frame), (_, caller) in pairwise(physical):
        if frame.sp is None or caller.sp is None or not 0 < caller.sp - frame.sp < size:
            continue
        try:
            data = target.program.read(frame.sp, (caller.sp - frame.sp) // _WORD * _WORD)
        except READ_ERRORS:
            continue
        yield FrameWords(index, frame.sp, _addresses(data))


def _addresses(data: bytes) -> tuple[Address, ...]:
    return tuple(Address(word) for word in memoryview(data).cast("Q"))


def _text_symbols(
    target: Target, found: FoundTask, frames: Sequence[Frame]
) -> Iterator[TextSymbol]:
    """Every word from the stack pointer to the top of the stack that lies in a function."""
    stack = found.raw.stack
    if stack is None:
        return
    top = stack + target.program["THREAD_SIZE"].value_()
    on_it = [frame.sp for frame in frames if frame.sp is not None and stack <= frame.sp < top]
    # As crash does, one word lower: where the innermost return address lies.
    start = max(stack, min(on_it) - _WORD) & -_WORD if on_it else stack
    symbols = symbols_of(target)
    for address, word in stack_words(target.program, start, top).words:
        if word < _KERNEL_SPACE:
            continue
        symbol = symbols.at(word)
        if symbol is not None and symbols.is_code(symbol):
            yield TextSymbol(Address(address), Address(word), symbols.text_of(symbol, word))


def _variables(target: Target, address: int) -> Iterator[FrameVariables]:
    try:
        trace = unwinder(target).trace(address)
    except READ_ERRORS:
        return
    for index, frame in enumerate(trace):
        try:
            names = frame.locals()
        except READ_ERRORS:
            continue
        if names:
            parameters = _parameters(target, frame)
            yield FrameVariables(
                index, tuple(_variable(frame, name, name in parameters) for name in names)
            )


def _parameters(target: Target, frame: StackFrame) -> set[str]:
    try:
        function = target.program.function(frame.name)
        return {p.name for p in function.type_.parameters or () if p.name}
    except READ_ERRORS:
        return set()


def _variable(frame: StackFrame, name: str, parameter: bool) -> Variable:
    variable = frame[name]
    value, pointed_at = "", None
    if not variable.absent_:
        try:
            value = _value(variable)
            pointed_at = _pointed_at(variable)
        except READ_ERRORS as error:
            value = f"unreadable: {printable(str(error))}"
    return Variable(
        printable(name), printable(variable.type_.type_name()), value, pointed_at, parameter
    )


def _value(variable: Object) -> str:
    if variable.type_.unaliased_kind() in _COMPOUND:
        where = f" at {variable.address_:x}" if variable.address_ is not None else ""
        return "{…}" + where
    text = variable.format_(type_name=False, dereference=False, string=False)
    return printable(text)[:_LONGEST_VALUE]


def _pointed_at(variable: Object) -> Address | None:
    kind = variable.type_.unaliased_kind()
    if kind is TypeKind.POINTER:
        value = variable.value_()
    elif kind in _COMPOUND and variable.address_ is not None:
        value = variable.address_
    else:
        return None
    return Address(value) if value >= _KERNEL_SPACE else None
