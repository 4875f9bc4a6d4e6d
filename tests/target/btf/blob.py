"""Small BTF sections, written record by record as pahole would."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from kscope.target.btf.format import Kind

Member = tuple[str, int, int]
"""Name, type id, and offset in bits."""


class Blob:
    """BTF being written; each method that adds a type returns its id."""

    def __init__(self, *, order: str = "<", first_id: int = 1, first_string: int = 0) -> None:
        self._order = order
        self._next_id = first_id
        self._first_string = first_string
        self.strings = b"" if first_string else b"\0"
        self.types = b""

    def string(self, text: str) -> int:
        if not text:
            return 0
        encoded = text.encode() + b"\0"
        at = (b"\0" + self.strings).find(b"\0" + encoded)
        if at < 0:
            at = len(self.strings)
            self.strings += encoded
        return at + self._first_string

    def words(self, *words: int) -> None:
        self.types += struct.pack(f"{self._order}{len(words)}I", *words)

    def record(
        self,
        kind: int,
        name: str = "",
        third: int = 0,
        *payload: int,
        count: int = 0,
        flag: int = 0,
    ) -> int:
        self.words(self.string(name), kind << 24 | count | flag << 31, third, *payload)
        self._next_id += 1
        return self._next_id - 1

    def integer(self, name: str, size: int, encoding: int = 0, bits: int = 0, at: int = 0) -> int:
        return self.record(Kind.INT, name, size, encoding << 24 | at << 16 | (bits or size * 8))

    def pointer(self, to: int) -> int:
        return self.record(Kind.PTR, "", to)

    def array(self, of: int, length: int, index: int = 1) -> int:
        return self.record(Kind.ARRAY, "", 0, of, index, length)

    def compound(
        self,
        name: str,
        size: int,
        members: Sequence[Member],
        *,
        kind: Kind = Kind.STRUCT,
        bit_fields: Sequence[int] = (),
    ) -> int:
        """:param bit_fields: Size in bits of each member, 0 if it is none; sets the kind flag."""
        payload = []
        for index, (member, type_id, offset) in enumerate(members):
            bits = bit_fields[index] if bit_fields else 0
            payload += [self.string(member), type_id, offset | bits << 24]
        return self.record(
            kind, name, size, *payload, count=len(members), flag=int(bool(bit_fields))
        )

    def enumeration(
        self, name: str, size: int, values: Sequence[tuple[str, int]], *, signed: bool = False
    ) -> int:
        payload = []
        for enumerator, value in values:
            payload += [self.string(enumerator), value & 0xFFFFFFFF]
        return self.record(Kind.ENUM, name, size, *payload, count=len(values), flag=int(signed))

    def enumeration64(
        self, name: str, size: int, values: Sequence[tuple[str, int]], *, signed: bool = False
    ) -> int:
        payload = []
        for enumerator, value in values:
            low, high = value & 0xFFFFFFFF, value >> 32 & 0xFFFFFFFF
            payload += [self.string(enumerator), low, high]
        return self.record(Kind.ENUM64, name, size, *payload, count=len(values), flag=int(signed))

    def prototype(self, returns: int, parameters: Sequence[tuple[str, int]]) -> int:
        payload = []
        for parameter, type_id in parameters:
            payload += [self.string(parameter), type_id]
        return self.record(Kind.FUNC_PROTO, "", returns, *payload, count=len(parameters))

    def section(self, name: str, variables: Sequence[tuple[int, int, int]]) -> int:
        """:param variables: Type id, offset and size of each."""
        payload = [word for variable in variables for word in variable]
        return self.record(Kind.DATASEC, name, 0, *payload, count=len(variables))

    def bytes(self) -> bytes:
        return header(len(self.types), len(self.strings), order=self._order) + (
            self.types + self.strings
        )


def header(
    types: int,
    strings: int,
    *,
    order: str = "<",
    magic: int = 0xEB9F,
    version: int = 1,
    length: int = 24,
) -> bytes:
    return struct.pack(order + "HBBIIIII", magic, version, 0, length, 0, types, types, strings)


def small_kernel() -> Blob:
    """One of every kind, much as in a kernel."""
    blob = Blob()
    integer = blob.integer("int", 4, 1)
    long = blob.integer("long unsigned int", 8)
    blob.integer("_Bool", 1, 4)
    character = blob.integer("char", 1, 1)
    blob.record(Kind.FLOAT, "double", 8)
    atomic = blob.compound("", 4, [("counter", integer, 0)])
    blob.record(Kind.TYPEDEF, "atomic_t", atomic)
    page = blob.record(Kind.FWD, "page")
    page_pointer = blob.pointer(page)
    name = blob.array(character, 16)
    head = blob.compound("list_head", 16, [("next", 12, 0), ("prev", 12, 64)])
    assert blob.pointer(head) == head + 1
    state = blob.enumeration("state", 4, [("RUNNING", 0), ("DEAD", -1)], signed=True)
    blob.enumeration64("flags", 8, [("LOW", 1), ("HIGH", 1 << 40)])
    constant = blob.record(Kind.CONST, "", character)
    volatile = blob.record(Kind.VOLATILE, "", long)
    blob.record(Kind.RESTRICT, "", page_pointer)
    tagged = blob.record(Kind.TYPE_TAG, "user", constant)
    blob.compound(
        "task",
        64,
        [
            ("flags", volatile, 0),
            ("comm", name, 64),
            ("state", state, 192),
            ("prio", integer, 224),
            ("on_cpu", integer, 227),
            ("list", head, 256),
            ("", atomic, 384),
            ("text", blob.pointer(tagged), 448),
        ],
        bit_fields=[0, 0, 0, 3, 1, 0, 0, 0],
    )
    union = blob.compound(
        "value", 8, [("number", long, 0), ("page", page_pointer, 0)], kind=Kind.UNION
    )
    prototype = blob.prototype(integer, [("format", page_pointer), ("", 0)])
    blob.record(Kind.FUNC, "printk", prototype, count=1)
    variable = blob.record(Kind.VAR, "current_value", union, 1)
    blob.section(".data..percpu", [(variable, 0x40, 8)])
    blob.record(Kind.DECL_TAG, "bpf_kfunc", prototype, 0xFFFFFFFF)
    return blob
