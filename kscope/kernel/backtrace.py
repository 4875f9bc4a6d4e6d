"""Backtraces of chosen tasks."""

from collections.abc import Generator, Iterable, Iterator

from drgn import Object

from kscope.kernel.access.reading import READ_ERRORS, reason
from kscope.kernel.access.symbols import Symbols, symbols_of
from kscope.kernel.process.task_table import TaskTable, task_table_in_slices
from kscope.kernel.process.whole_stacks import whole_stacks
from kscope.kernel.unwinding.stack_words import stack_words
from kscope.model.backtrace import Backtrace, BacktraceQuery, Backtraces, StackWord
from kscope.model.base import Address, Progress, QueryError, may_be_kernel_address
from kscope.model.stacks import Stack
from kscope.model.tasks import Task
from kscope.model.text import printable
from kscope.target.target import Target

_SLICE = 50
"""Tasks that are unwound before other questions get their turn; a millisecond or two each."""


def backtraces(target: Target, query: BacktraceQuery) -> Generator[Progress, None, Backtraces]:
    """Answer a BacktraceQuery."""
    table = yield from task_table_in_slices(target)
    wanted = [place for word in query.tasks.split() for place in _named(word, table)]
    stacks = whole_stacks(target)
    found = []
    for index, place in enumerate(wanted):
        if index and index % _SLICE == 0:
            yield Progress(index, len(wanted), "unwinding")
        task = table.rows[place]
        stack = stacks.find(table.found[place], task.active)
        found.append(_backtrace(target, task, stack, raw=query.raw))
    return Backtraces(backtraces=tuple(found))


def _named(word: str, table: TaskTable) -> list[int]:
    """Where in the table those tasks are that a word means: as in crash a PID, decimal before
    hexadecimal, or an address."""
    for base in (10, 16):
        try:
            number = int(word, base)
        except ValueError:
            continue
        if found := table.places.get(number):
            return found
    raise QueryError(f"invalid task or pid value: {printable(word)}")


def _backtrace(target: Target, task: Task, stack: Stack, *, raw: bool) -> Backtrace:
    if not raw:
        return Backtrace(task=task, stack=stack)
    program = target.program
    try:
        start = Object(program, "struct task_struct *", task.task).stack.value_()
        words, why = stack_words(program, start, start + int(program["THREAD_SIZE"]))
    except READ_ERRORS as error:
        return Backtrace(task=task, stack=stack, words_why=reason(error))
    shown = tuple(_with_symbols(symbols_of(target), words))
    return Backtrace(task=task, stack=stack, words=shown, words_why=why)


def _with_symbols(symbols: Symbols, words: Iterable[tuple[int, int]]) -> Iterator[StackWord]:
    for address, word in words:
        name, code, module = "", False, ""
        if may_be_kernel_address(word) and (symbol := symbols.at(word)) is not None:
            offset = word - symbol.address
            name = printable(symbol.name) + (f"+{offset}" if offset else "")
            code, module = symbols.is_code(symbol), symbols.module_of(word)
        yield StackWord(Address(address), Address(word), name, code, module)


ANSWERS = {BacktraceQuery: backtraces}
