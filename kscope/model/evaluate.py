"""The value of a C expression: crash's ``p`` and ``eval``."""

from typing import Annotated

from msgspec import Meta

from kscope.model.base import Address, Query, Result
from kscope.model.expressions import PerCpuPlace
from kscope.model.struct import Member


class Value(Result, frozen=True, kw_only=True):
    """What an expression comes to."""

    expression: str
    type: str
    """As C writes it."""
    integer: int | None
    """As C has it, so negative for a negative ``int``; ``None`` of what is no number."""
    address: Address | None
    """Where it is; ``None`` of what is only a result."""
    symbol: str
    """What a pointer points at, with an offset; empty where no symbol is."""
    member: Member | None
    """Value or members; ``None`` of a per-CPU variable as a whole."""
    copies: tuple[PerCpuPlace, ...] = ()
    """Where a per-CPU variable is on each CPU, if none was named."""


class EvaluateQuery(Query[Value], frozen=True, kw_only=True):
    """Evaluate a C expression: arithmetic, casts, members, symbols, per-CPU variables."""

    expression: Annotated[str, Meta(description="such as 'jiffies - 5*HZ' or runqueues:1.clock")]
    addresses: Annotated[
        bool, Meta(description="a symbol stands for its address, as in crash's eval")
    ] = False
