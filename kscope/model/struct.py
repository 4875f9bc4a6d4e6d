"""A kernel object as a tree of members: crash's ``struct``, ``union``, ``p`` and ``whatis``."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from kscope.model.base import Address, Query, Result, Unreadable

MemberKind = Literal[
    "integer",
    "character",
    "boolean",
    "float",
    "enumeration",
    "pointer",
    "text",
    "array",
    "struct",
    "union",
    "opaque",
]
""""text" is an array of ``char``; "opaque" is what has no value: functions, incomplete types."""

TargetKind = Literal[
    "",
    "null",
    "small",
    "error",
    "poison",
    "user",
    "non-canonical",
    "symbol",
    "function",
    "task",
    "stack",
    "slab",
    "free-slab",
    "page",
    "vmap",
    "per-cpu",
    "direct",
    "physical",
    "unmapped",
]
"""What an address is; "" when that was not looked up. "direct" is the kernel's direct mapping of
memory that belongs to no slab, "unmapped" a kernel address that nothing is known to be at."""


class Member(msgspec.Struct, gc=False, frozen=True, kw_only=True, omit_defaults=True):
    """A member of a structure, or an element of an array."""

    name: str
    """Empty for an anonymous member, ``[3]`` for an element of an array."""
    type: str
    """As C writes it without a name: ``struct list_head``, ``char [16]``."""
    offset: int
    """Bytes from the beginning of the object."""
    bit_offset: int | None
    """Of a bit-field: its first bit in the byte at ``offset``."""
    bit_size: int | None
    """Of a bit-field."""
    value: int | float | bool | str | None
    """``None`` for what has members instead, and for what could not be read.
    Pointers are ``"0x…"``."""
    target: str | None
    """What a pointer points at."""
    target_kind: TargetKind = ""
    kind: MemberKind = "integer"
    size: int = 0
    """In bytes."""
    meaning: str = ""
    """What the value says: an enumerator, names of flags, a time; of a list its length."""
    points_to: str = ""
    """The type that a pointer points to; empty for ``void *``."""
    length: int | None = None
    """Of an array: how many elements it has, of which ``members`` may be fewer."""
    members: tuple["Member", ...] = ()
    why: str = ""
    """Why it could not be read."""
    declaration: str = ""
    """As C declares it, ``int (*init)(void)``; only where the layout of a type was asked for."""


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """One more object of the same type."""

    label: str
    """``[2]`` for CPU 2, or for the third of an array."""
    address: Address
    members: tuple[Member, ...]


class Structure(Result, frozen=True, kw_only=True):
    """An object, or only its type."""

    type: str
    """``struct task_struct``; also a basic type, when a variable is of one."""
    address: Address | None
    """``None`` when the type alone was asked for."""
    size: int | None
    """In bytes; ``None`` of an incomplete type."""
    members: tuple[Member, ...]
    """A variable that is no structure is one member without a name."""
    expression: str = ""
    """C for a pointer to the object, as it may be typed again."""
    label: str = ""
    """``[2]``: the CPU or index of this object when there are ``further`` ones."""
    further: tuple[Instance, ...] = ()
    """The objects of the other CPUs, or the next ones of an array."""
    declaration: str = ""
    """Of a type that has no members, as C declares it."""
    ambiguity: str = ""
    """That the kernel has other types of this name, and how large each is."""
    unreadable: tuple[Unreadable, ...] = ()


class StructQuery(Query[Structure], frozen=True, kw_only=True):
    """A structure at an address, or its layout."""

    type: Annotated[
        str,
        Meta(description="task_struct, 'struct task_struct', task_struct.mm, or a variable's name"),
    ]
    address: Annotated[
        str,
        Meta(
            description="address, symbol[+OFFSET], symbol:CPUS, 'pid N' or a member path;"
            " without it the type is shown",
            extra={"positional": True},
        ),
    ] = ""
    members: Annotated[str, Meta(description="only these: a,b.c,d[2],e[0:8]")] = ""
    offsets: Annotated[bool, Meta(description="types and offsets, as struct -o")] = False
    count: Annotated[int, Meta(ge=0, description="so many consecutive objects")] = 1
    embedded: Annotated[
        str, Meta(description="the address is that of this member of the structure, as struct -l")
    ] = ""
    elements: Annotated[int, Meta(ge=0, description="how many elements of an array to show")] = 200
    depth: Annotated[int, Meta(ge=0, description="how many levels of members to show")] = 32
