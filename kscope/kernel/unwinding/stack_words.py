"""The words of a stack of which pages may be missing."""

import struct
from typing import NamedTuple

from drgn import FaultError, Program

from kscope.kernel.access.reading import reason

_WORD = 8


class StackWords(NamedTuple):
    """What there is of a part of a stack."""

    words: list[tuple[int, int]]
    """Where each lies, and its value."""
    why: str
    """Why those of some pages are not among them; empty if none is missing."""


def stack_words(program: Program, start: int, end: int) -> StackWords:
    """The words from ``start`` up to ``end``, page by page: a missing page is a likely reason for
    looking at the words at all."""
    page = int(program["PAGE_SIZE"])
    words: list[tuple[int, int]] = []
    missing: list[str] = []
    while start < end:
        following = min((start // page + 1) * page, end)
        try:
            data = program.read(start, following - start)
        except FaultError as error:
            missing.append(reason(error))
        else:
            values = struct.unpack(f"<{len(data) // _WORD}Q", data)
            words += zip(range(start, following, _WORD), values, strict=True)
        start = following
    why = missing[0] if missing else ""
    if len(missing) > 1:
        why += f"; {len(missing)} of its pages are missing"
    return StackWords(words, why)
