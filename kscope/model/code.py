"""Machine code: crash's ``dis``."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from kscope.model.base import Address, Query, Result

FlowKind = Literal["", "call", "jump", "branch", "return"]


class Source(msgspec.Struct, frozen=True):
    """A line of source."""

    file: str
    line: int


class Instruction(msgspec.Struct, gc=False, frozen=True, omit_defaults=True, kw_only=True):
    """One instruction."""

    address: Address
    offset: int
    """From the beginning of its function."""
    size: int
    mnemonic: str
    operands: str
    """In AT&T syntax on x86, as crash writes it."""
    flow: FlowKind = ""
    target: Address | None = None
    """Where it jumps, or the memory it names by an address."""
    target_name: str = ""
    """``schedule+0x5``; empty where there is no symbol."""
    source: Source | None = None
    """The innermost line of source that it comes from."""


class Code(Result, frozen=True, kw_only=True):
    """Instructions of a function, or of a stretch of memory."""

    function: str
    """Empty where there is no symbol."""
    module: str
    start: Address
    """Of the function."""
    address: Address
    """What was asked for."""
    instructions: tuple[Instruction, ...]
    complete: bool
    """Whether the function's end was reached."""
    note: str = ""
    """Why source lines are missing, or where it could not be decoded."""


class CodeQuery(Query[Code], frozen=True, kw_only=True):
    """Instructions."""

    start: Annotated[str, Meta(description="a function, function+OFFSET or an address")]
    count: Annotated[
        int,
        Meta(
            ge=0,
            description="how many instructions; 0: the whole function",
            extra={"positional": True},
        ),
    ] = 0
    reverse: Annotated[
        bool, Meta(description="from the beginning of the function to START, as dis -r")
    ] = False
    forward: Annotated[
        bool, Meta(description="from START to the end of the function, as dis -f")
    ] = False
    lines: Annotated[bool, Meta(description="lines of source, as dis -l")] = False
