"""Which tasks the words of a command mean."""

import re
from collections.abc import Iterable, Sequence

from kscope.dialect.crash.errors import CommandError
from kscope.dialect.crash.line import Word
from kscope.model.tasks import Task


def tasks_named(tasks: Sequence[Task], word: Word) -> list[Task]:
    """The tasks that one word means: a PID, an address, a command or a ``'pattern'`` of one."""
    if word.is_pattern:
        try:
            pattern = re.compile(word.text)
        except (re.error, OverflowError, RecursionError) as error:
            raise CommandError(f"invalid regular expression: {word.text}: {error}") from error
        return [task for task in tasks if task.comm is not None and pattern.search(task.comm)]
    found = tasks_numbered(tasks, word.text)
    # A backslash in front says that it is a command, though it looks like a number.
    name = word.text.removeprefix("\\")
    return found or [task for task in tasks if task.comm == name]


def tasks_numbered(tasks: Iterable[Task], text: str) -> list[Task]:
    """The tasks whose PID or address that is: none, one, or every idle task."""
    number = number_in(text)
    return [task for task in tasks if number is not None and number in (task.pid, task.task)]


def address_in(text: str) -> int | None:
    """An address of the kernel's, in hexadecimal with or without ``0x``."""
    try:
        number = int(text, 16)
    except ValueError:
        return None
    # A name such as "dead" is no address.
    return number if number >> 63 else None


def number_in(text: str) -> int | None:
    """A PID or address, decimal before hexadecimal."""
    for base in (10, 16):
        try:
            return int(text, base)
        except ValueError:
            continue
    return None
