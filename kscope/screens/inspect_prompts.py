"""What the Inspect screen asks the reader, each in a box of its own."""

from collections.abc import Callable

from kscope.model.base import QueryError
from kscope.model.expressions import Place
from kscope.model.list import Walk
from kscope.model.search import ignored_bits
from kscope.screens.address_bar import AddressBar
from kscope.screens.ask_line import AskLine
from kscope.session.client import Session

_TAGS = "7"
"""The bits of a pointer that the kernel keeps something else in: all its objects are aligned."""
_LONGEST_LENGTH = 9
"""Digits of an array's length."""


def ask_mask(mask: str, search: Callable[[str], None]) -> AskLine:
    """Which bits a search is to ignore.

    :param mask: those that it ignores so far.
    """
    hint = "none: only what is equal"
    return AskLine("Bits to ignore", search, value=mask or _TAGS, hint=hint, check=ignored_bits)


def ask_type(
    session: Session, what: str, address: int, opened: Callable[[str, Place], None]
) -> AddressBar:
    """As what type to look at an address.

    :param what: the member that it is of; empty for the place itself.
    """
    title = f"{what} at {address:x} as" if what else f"{address:x} as"
    return AddressBar(session, opened, title=title, prefix="struct ", suffix=f" {address:#x}")


def ask_columns(walk: Walk, choose: Callable[[str], None]) -> AskLine:
    """What to show of each element."""
    hint = f"members of {walk.entry_type}: pid,comm,se.vruntime"
    return AskLine("Columns", choose, value=",".join(walk.columns), hint=hint)


def ask_length(show: Callable[[int], None]) -> AskLine:
    """Of how many elements an array is."""

    def answered(text: str) -> None:
        show(_length(text))

    return AskLine("How many", answered, hint="the length of the array", check=_length)


def ask_note(place: str, add: Callable[[str], None]) -> AskLine:
    """Why a place is kept."""
    return AskLine(f"Bookmark {place}", add, hint="a note")


def _length(text: str) -> int:
    if not text.isdecimal() or len(text) > _LONGEST_LENGTH or not int(text):
        raise QueryError("A length is a decimal number from 1 on.")
    return int(text)
