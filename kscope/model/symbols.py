"""Symbols by name: crash's ``sym``."""

from typing import Annotated

import msgspec
from msgspec import Meta

from kscope.model.base import Address, Query, Result


class NamedSymbol(msgspec.Struct, gc=False, frozen=True):
    """A symbol of the kernel's or of a module's."""

    address: Address
    name: str
    type_letter: str
    """As in ``nm``: T for code, D for data, small for a local one."""
    module: str
    """Empty for vmlinux."""
    source: str = ""
    """File and line of code; only with DWARF, and only of what was asked for by its whole name."""


class Symbols(Result, frozen=True, kw_only=True):
    """The symbols that fit, by address."""

    symbols: tuple[NamedSymbol, ...]
    next: int | None = None
    """Which of all symbols comes after those among which these were looked for; ``None`` at the
    end."""


class SymbolsQuery(Query[Symbols], frozen=True, kw_only=True):
    """Symbols, all of them or those that fit."""

    name: Annotated[str, Meta(description="of exactly this name", extra={"positional": True})] = ""
    containing: Annotated[str, Meta(description="whose names contain this, as sym -q")] = ""
    module: Annotated[str, Meta(description="of this module, as sym -m")] = ""
    before: Annotated[bool, Meta(description="with the one before it, as sym -p")] = False
    after: Annotated[bool, Meta(description="with the one after it, as sym -n")] = False
    first: Annotated[int, Meta(ge=0, description="begin with this one of all, counted from 0")] = 0
    among: Annotated[int, Meta(ge=0, description="look at so many at most; 0: at all")] = 0
