"""Who holds a value: crash's ``search``."""

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from kscope.model.base import Address, Query, Result
from kscope.model.struct import TargetKind


class Hit(msgspec.Struct, frozen=True, omit_defaults=True):
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
    bytes_missing: int = 0
    """Of memory that is not in the dump."""
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
        str, Meta(description="bits that need not match: 7 finds tagged pointers, as search -m")
    ] = ""
    bits: Annotated[int, Meta(description="of a value: 16, 32 or 64")] = 64
    limit: Annotated[int, Meta(description="at most so many places")] = 10_000
