"""The Queries that show a place on the Inspect screen, in each of its faces."""

from typing import Any, Final

import msgspec

from kscope.model.address import AddressQuery
from kscope.model.base import Query
from kscope.model.code import CodeQuery
from kscope.model.memory import MemoryQuery
from kscope.model.search import SearchQuery
from kscope.model.struct import StructQuery
from kscope.screens.inspect_visits import Visit
from kscope.screens.member_rows import MemberRow

ELEMENTS: Final = 32
"""Elements of an array that come with their object; the next ones on demand."""
MEMORY_BYTES: Final = 2048
_NODES = ("list_head", "hlist_node", "rb_node", "callback_head", "work_struct", "llist_node")
"""What is only ever part of something else: a pointer to it leads into that."""


class WordForm(msgspec.Struct):
    """How words of memory are to be shown."""

    bits: int = 64

    def next_width(self) -> None:
        """Words of 64 bits, then bytes, then wider ones again."""
        self.bits = {64: 8, 8: 16, 16: 32, 32: 64}[self.bits]


def query_of(visit: Visit, words: WordForm) -> Query[Any] | None:
    """What shows the place in its present face, with the address as a number."""
    if visit.face == "walk":
        return visit.walk
    if visit.face == "layout" or visit.address is None:
        return StructQuery(type=visit.query_type or visit.type, offsets=True)
    where = f"{visit.address:#x}"
    if visit.face == "members":
        named = bool(visit.query_type)
        return StructQuery(
            type=visit.query_type if named else visit.type,
            address="" if named else where,
            count=visit.count,
            elements=ELEMENTS,
        )
    if visit.face == "memory":
        start = visit.memory_start if visit.memory_start is not None else visit.address
        return MemoryQuery(
            address=f"{start:#x}", count=MEMORY_BYTES * 8 // words.bits, bits=words.bits,
            big_endian=visit.big_endian, symbols=words.bits == 64,
        )  # fmt: skip
    if visit.face == "code":
        return CodeQuery(
            start=where, lines=True, reverse=visit.code_part == "to here",
            forward=visit.code_part == "from here",
        )  # fmt: skip
    if visit.face == "search":
        return SearchQuery(value=where, stacks=visit.stacks_only, mask=visit.mask)
    return AddressQuery(address=where, node=node_in(visit.type))


def node_in(type_: str) -> str:
    """The tag of a list or tree node, which is part of something else; else empty."""
    tag = type_.removeprefix("struct ")
    return tag if tag in _NODES else ""


def more_elements(visit: Visit, row: MemberRow) -> StructQuery:
    """The elements of an array that follow those that are there."""
    first = (row.member.length or 0) - row.more
    return StructQuery(
        type=visit.type, address=f"{visit.address:#x}",
        members=f"{row.path}[{first}:{first + 8 * ELEMENTS}]",
    )  # fmt: skip
