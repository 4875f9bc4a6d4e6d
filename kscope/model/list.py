"""The elements of lists and arrays as rows: crash's ``list``."""

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from kscope.model.base import Address, Query, Result, Unreadable

WalkKind = Literal[
    "list",
    "hlist",
    "hlist_nulls",
    "llist",
    "plist",
    "member",
    "array",
    "per-cpu",
    "rbtree",
    "maple",
    "xarray",
    "radix",
]
"""What is walked. "member" follows a pointer in each element to the next, as ``list -o``."""


class WalkRow(msgspec.Struct, gc=False, frozen=True, omit_defaults=True):
    """One element."""

    node: Address
    """Of the ``list_head``, ``rb_node`` or the like in it; of the element itself in an array."""
    entry: Address
    """Of the element."""
    values: tuple[int | float | bool | str | None, ...] = ()
    """Of the chosen columns. Pointers are ``"0x…"``, with the text that a ``char *`` points at
    behind it in quotes; enumerations their names."""
    key: int | None = None
    """Index in an array or XArray, CPU, first index of a maple tree's range."""
    last: int | None = None
    """Last index of a maple tree's range."""
    depth: int | None = None
    """In a red-black tree, the root being 0."""
    what: str = ""
    """What the element is, where its type is not known."""
    position: str = ""
    """In a tree, where that was asked for: ``root/l/r``, or the slots on the way, ``root/0/14``."""


class Break(msgspec.Struct, frozen=True, kw_only=True):
    """Where a structure turned out to be corrupted, and the walk ended."""

    sentence: str
    position: int
    """Number of the element, from 0, whose pointer is bad."""
    node: Address
    """That element's node."""
    pointer: Address
    """The bad pointer itself."""


class Walk(Result, frozen=True, kw_only=True):
    """What a walk found."""

    kind: WalkKind
    head: Address
    entry_type: str
    """Empty when only nodes are known."""
    member: str
    """The member of ``entry_type`` through which it is linked."""
    columns: tuple[str, ...]
    rows: tuple[WalkRow, ...]
    first: int = 0
    """Number of the first of ``rows``: a part of a long walk holds only those that are new."""
    broken: Break | None = None
    truncated: bool = False
    """Whether there are more than were asked for."""
    guessed: str = ""
    """How ``entry_type`` was found when it was not given."""
    unreadable: tuple[Unreadable, ...] = ()


class ListQuery(Query[Walk], frozen=True, kw_only=True, tag="list", tag_field="walks"):
    """The elements of a list, or of an array."""

    deadline_seconds: ClassVar[float] = 120.0

    start: Annotated[
        str,
        Meta(description="the head: address, symbol or member path; an element with --embedded"),
    ]
    entry: Annotated[
        str,
        Meta(description="task_struct.tasks: type of the elements and the member that links them"),
    ] = ""
    columns: Annotated[str, Meta(description="members to show of each: pid,comm")] = ""
    kind: Annotated[
        str,
        Meta(
            description="list, hlist, hlist_nulls, llist, plist, member, array or per-cpu;"
            " by default what START is"
        ),
    ] = ""
    embedded: Annotated[
        bool,
        Meta(description="START is one of the elements' own nodes, not a head outside, as list -h"),
    ] = False
    reverse: Annotated[bool, Meta(description="walk a list backwards, as list -r")] = False
    length: Annotated[int, Meta(ge=0, description="of an array; 0: as its type says")] = 0
    limit: Annotated[int, Meta(ge=0, description="at most so many elements")] = 1_000_000
