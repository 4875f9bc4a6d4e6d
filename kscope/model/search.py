"""Who holds a value: crash's ``search``."""

import re
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from kscope.model.base import Address, Query, QueryError, Result
from kscope.model.struct import TargetKind
from kscope.model.text import printable


class Hit(msgspec.Struct, gc=False, frozen=True, omit_defaults=True):
    """One place that holds the value."""

    address: Address
    """In the kernel's own mapping where it is the kernel's image, else in the direct mapping of
    memory; of a stack, where the stack is mapped."""
    value: str
    """As found: with a mask it may differ from what was looked for. Of text, what is around it."""
    what: str
    """What the address lies in."""
    kind: TargetKind = ""
    member: str = ""
    """``struct task_struct.parent``, where the type of what it lies in can be told."""
    pid: int | None = None
    comm: str = ""
    task: Address | None = None
    """Whose kernel stack it is on."""
    frame: str = ""
    """The function whose frame it is in, ``schedule+0x5``; empty where there is none."""


class Search(Result, frozen=True, kw_only=True):
    """What a search found."""

    value: str
    hits: tuple[Hit, ...]
    first: int = 0
    """Number of the first of ``hits``: a part of a long search holds only those that are new."""
    bytes_searched: int = 0
    truncated: bool = False
    """Whether there may be more than were asked for."""


class SearchQuery(Query[Search], frozen=True, kw_only=True):
    """All places that hold a value."""

    deadline_seconds: ClassVar[float] = 60.0

    value: Annotated[str, Meta(description='an address, symbol, number, or "text" in quotes')]
    stacks: Annotated[
        bool, Meta(description="kernel stacks only, with the task and the frame, as search -t")
    ] = False
    mask: Annotated[
        str,
        Meta(
            description="hexadecimal: bits that need not match, as search -m;"
            " 7 finds tagged pointers"
        ),
    ] = ""
    bits: Annotated[int, Meta(description="of a value: 16, 32 or 64")] = 64
    limit: Annotated[int, Meta(ge=0, description="at most so many places")] = 10_000


_MASK = re.compile(r"(?:0[xX])?([0-9a-fA-F]+)")


def ignored_bits(mask: str, bits: int = 64) -> int:
    """The bits that ``mask`` leaves out of account, 0 for an empty one.

    Hexadecimal without ``0x`` too, as crash takes it.

    :param bits: how many the value has.
    :raises QueryError: if it is no mask, or one that everything or nothing fits.
    """
    text = mask.strip()
    if not text:
        return 0
    match = _MASK.fullmatch(text)
    if match is None:
        raise QueryError(f"{printable(text)} is no mask: hexadecimal, as 7 or fff.")
    ignored = int(match[1], 16)
    if ignored >> bits:
        raise QueryError(f"A mask of a value of {bits} bits has {bits // 4} digits at most.")
    if ignored == (1 << bits) - 1:
        raise QueryError(f"The mask {ignored:x} ignores every bit: anything fits.")
    return ignored
