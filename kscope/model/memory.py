"""Memory as it lies: crash's ``rd``."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from kscope.model.base import Address, Query, Result, Unreadable
from kscope.model.struct import TargetKind


class Note(msgspec.Struct, gc=False, frozen=True):
    """What one of the words in a line is, when it is an address."""

    index: int
    text: str
    kind: TargetKind


class MemoryLine(msgspec.Struct, gc=False, frozen=True):
    """Sixteen bytes, fewer at the end."""

    address: Address
    words: tuple[int | None, ...]
    """``None`` for what cannot be read."""
    text: str
    """The bytes as ASCII, a dot for what is none."""
    notes: tuple[Note, ...] = ()


class Memory(Result, frozen=True, kw_only=True):
    """A stretch of memory."""

    address: Address
    physical: bool
    word_bytes: Literal[1, 2, 4, 8]
    lines: tuple[MemoryLine, ...]
    what: str = ""
    """What the first address is."""
    unreadable: tuple[Unreadable, ...] = ()


class MemoryQuery(Query[Memory], frozen=True, kw_only=True):
    """Memory from an address on."""

    address: Annotated[str, Meta(description="address, symbol or member path")]
    count: Annotated[int, Meta(ge=0, description="how many words", extra={"positional": True})] = 1
    bits: Annotated[int, Meta(description="of a word: 8, 16, 32 or 64")] = 64
    big_endian: Annotated[bool, Meta(description="words with their highest byte first")] = False
    symbols: Annotated[
        bool, Meta(description="name what words that are addresses point at, as rd -S")
    ] = False
    physical: Annotated[bool, Meta(description="the address is a physical one")] = False
