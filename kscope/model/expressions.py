"""What one types to get to a place in kernel memory, and how it goes on while one types."""

from typing import Literal

import msgspec

from kscope.model.base import Address, Query, Result

PlaceKind = Literal["object", "objects", "type", "code", "memory"]


class PerCpuPlace(msgspec.Struct, frozen=True):
    """One CPU's copy of a per-CPU variable."""

    cpu: int
    address: Address


class Place(Result, frozen=True, kw_only=True):
    """What an expression names."""

    kind: PlaceKind
    """"objects" are the copies of a per-CPU variable; "code" lies in a function; "memory" is an
    address of which no type is known."""
    expression: str
    """C for a pointer to it, or the type's name; may be typed again."""
    type: str = ""
    address: Address | None = None
    members: str = ""
    """Members that were named with the type, ``comm,pid``."""
    copies: tuple[PerCpuPlace, ...] = ()
    what: str = ""
    """What is there, in a few words."""


class PlaceQuery(Query[Place], frozen=True, kw_only=True):
    """Understand an expression."""

    text: str


CandidateKind = Literal["function", "variable", "struct", "union", "typedef", "enum", "member"]


class Candidate(msgspec.Struct, frozen=True):
    """A way in which what is being typed may go on."""

    kind: CandidateKind
    text: str
    """The whole input with this candidate in it."""
    name: str


class Completion(Result, frozen=True, kw_only=True):
    """What the input may become, the likeliest first."""

    candidates: tuple[Candidate, ...]
    total: int
    """How many names fit; ``candidates`` are the first of them."""


class CompletionQuery(Query[Completion], frozen=True, kw_only=True):
    """Complete the symbol, type or member at the end of an input."""

    text: str
    limit: int = 50
