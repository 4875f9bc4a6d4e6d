"""What an address is, and where it lies: crash's ``kmem ADDRESS`` and ``vtop``."""

from typing import Annotated

import msgspec
from msgspec import Meta

from kscope.model.base import Address, Query, Result, Unreadable
from kscope.model.struct import TargetKind


class SymbolAt(msgspec.Struct, frozen=True):
    """The symbol that an address lies in."""

    name: str
    offset: int
    module: str
    type_letter: str
    """As in ``nm``: T for code, D for data."""


class SlabObject(msgspec.Struct, frozen=True, kw_only=True):
    """The slab object that an address lies in."""

    cache: str
    cache_address: Address
    object_size: int
    """In bytes, as asked for when the cache was made."""
    slab: Address
    """Of the slab's first ``struct page``."""
    first_object: Address | None
    object: Address
    offset: int
    """Of the address in the object."""
    index: int | None
    """Number of the object in its slab, from 0."""
    objects: int | None
    """How many objects the slab has."""
    allocated: bool | None
    """``None`` when the slab's list of free objects is corrupted, or in part not in the dump."""


class PageState(msgspec.Struct, frozen=True, kw_only=True):
    """The page frame behind an address."""

    page: Address
    """Of its ``struct page``."""
    pfn: int
    physical: Address
    flags: int | None
    flag_names: str
    references: int | None
    mappings: int | None
    """How often it is mapped by processes."""
    mapping: Address | None
    index: int | None
    head: Address | None
    """Of a compound page, when this is not its first page."""


class TableEntry(msgspec.Struct, frozen=True):
    """One step of a page-table walk."""

    level: str
    """PGD, P4D, PUD, PMD or PTE."""
    address: Address
    """Physical address of the entry."""
    value: Address
    flags: str


class VmapArea(msgspec.Struct, frozen=True):
    """The vmalloc or ioremap area that an address lies in."""

    start: Address
    end: Address
    caller: str
    vm_struct: Address


class OwningTask(msgspec.Struct, frozen=True):
    """The task whose ``task_struct`` or stack an address lies in."""

    task: Address
    pid: int
    comm: str
    offset: int
    """Of the address in the structure or stack."""


class FittingType(msgspec.Struct, frozen=True):
    """A type that what is there may be of."""

    type: str
    start: Address
    """Where the object of that type begins."""
    member: str
    """Which of its members the address is; empty for its beginning."""
    size: int
    why: str
    certain: bool
    """Whether it is known and not only possible by its size."""


class AddressState(Result, frozen=True, kw_only=True):
    """Everything that is known of an address."""

    address: Address
    kind: TargetKind
    text: str
    """The same in a few words."""
    symbol: SymbolAt | None = None
    source: str = ""
    """File and line of code; only with DWARF."""
    task: OwningTask | None = None
    stack_of: OwningTask | None = None
    slab: SlabObject | None = None
    vmap: VmapArea | None = None
    physical: Address | None = None
    page: PageState | None = None
    table: tuple[TableEntry, ...] = ()
    user_task: OwningTask | None = None
    """The task in whose address space a user address was looked up."""
    types: tuple[FittingType, ...] = ()
    """Types that fit the object, the surest first."""
    unreadable: tuple[Unreadable, ...] = ()


class AddressQuery(Query[AddressState], frozen=True, kw_only=True):
    """What an address is."""

    address: Annotated[str, Meta(description="address, symbol or member path")]
    task: Annotated[
        str, Meta(description="'pid N' or a task_struct: whose address space a user address is in")
    ] = ""
    physical: Annotated[bool, Meta(description="the address is a physical one")] = False
    node: Annotated[
        str,
        Meta(description="what is at the address, list_head or rb_node: also say what may hold it"),
    ] = ""
