"""drgn types made from BTF, each when it is first asked for.

A structure is built with its members' types still unopened (drgn calls back for each when it is
touched), which also breaks the cycles between structures that point at each other. Before that,
everything that the structure holds by value is walked once: a member must lie within its
structure, and no structure may contain itself, because drgn follows anonymous members without
looking back.

What BTF does not say, and DWARF would: in which file a type was declared, the alignment that was
asked for, and whether an array of no elements was written ``[]`` or ``[0]`` (taken for the former,
which is what nearly all of them are).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from drgn import (
    Object,
    Program,
    Qualifiers,
    Type,
    TypeEnumerator,
    TypeKind,
    TypeMember,
    TypeParameter,
)

from kscope.target.btf.dimensions import shape
from kscope.target.btf.errors import DamagedBtfError
from kscope.target.btf.format import Btf, Kind

_MAX_DEPTH = 64
"""Pointers to pointers to arrays …: the kernel itself refuses BTF that nests deeper than 32."""

_INT_SIGNED = 1
_INT_BOOL = 4

_QUALIFIERS = {
    Kind.CONST: Qualifiers.CONST,
    Kind.VOLATILE: Qualifiers.VOLATILE,
    Kind.RESTRICT: Qualifiers.RESTRICT,
}
_TRANSPARENT = (Kind.TYPEDEF, Kind.CONST, Kind.VOLATILE, Kind.RESTRICT, Kind.TYPE_TAG)
_UNNAMED_REFERENCES = (Kind.PTR, Kind.CONST, Kind.VOLATILE, Kind.RESTRICT, Kind.TYPE_TAG)
_UNSIGNED_NAMES = {1: "unsigned char", 2: "unsigned short", 4: "unsigned int", 8: "unsigned long"}
_SIGNED_NAMES = {1: "signed char", 2: "short", 4: "int", 8: "long"}


class TypeBuilder:
    """Builds the types of one BTF section; a module's builder leans on vmlinux's."""

    def __init__(
        self,
        prog: Program,
        btf: Btf,
        base: TypeBuilder | None = None,
        find_complete: Callable[[Kind, str], Type | None] = lambda _kind, _name: None,
    ) -> None:
        """
        :param find_complete: Finds the structure or union that a forward declaration stands for.
        """
        self.btf = btf
        self._prog = prog
        self._base = base
        self._find_complete = find_complete
        self._types: dict[int, Type] = {}
        self._by_name: dict[Kind, dict[str, int]] = {}
        self._depth = 0
        self._sizes: dict[int, int] = {}
        self._spellable: set[int] = set()
        self._enums_are_explicit: bool | None = None
        # Indexed by kind; what is not a type of its own (VOID, FUNC, VAR …) has no builder.
        self._builders: dict[int, Callable[[int], Type]] = {
            Kind.INT: self._int,
            Kind.PTR: self._pointer,
            Kind.ARRAY: self._array,
            Kind.STRUCT: self._compound,
            Kind.UNION: self._compound,
            Kind.ENUM: self._enum,
            Kind.FWD: self._forward,
            Kind.TYPEDEF: self._typedef,
            Kind.VOLATILE: self._qualified,
            Kind.CONST: self._qualified,
            Kind.RESTRICT: self._qualified,
            Kind.FUNC_PROTO: self._function,
            Kind.FLOAT: self._float,
            Kind.TYPE_TAG: self._tagged,
            Kind.ENUM64: self._enum64,
        }

    def split(self, btf: Btf) -> TypeBuilder:
        """A builder for the split BTF of a module that leans on this one."""
        return TypeBuilder(self._prog, btf, self, self._find_complete)

    def find(self, kind: Kind, name: str) -> int | None:
        """Id of this section's first complete type with a kind and name."""
        names = self._by_name.get(kind)
        if names is None:
            btf = self.btf
            names = {btf.name(type_id): type_id for type_id in reversed(btf.ids(kind))}
            if kind in (Kind.ENUM, Kind.ENUM64):
                # "enum foo;" is written as one without enumerators: a definition goes before it.
                names.update(
                    (btf.name(type_id), type_id)
                    for type_id in reversed(btf.ids(kind))
                    if btf.info(type_id) & 0xFFFF
                )
            names.pop("", None)
            self._by_name[kind] = names
        return names.get(name)

    def type(self, type_id: int) -> Type:
        """The drgn type with an id.

        :raises DamagedBtfError: if there is no sound type with this id.
        """
        found = self._types.get(type_id)
        if found is not None:
            return found
        if type_id == 0:
            return self._prog.void_type()
        if type_id < self.btf.first_id:
            assert self._base is not None
            return self._base.type(type_id)
        build = self._builders.get(self.btf.kind(type_id))
        if build is None:
            raise DamagedBtfError(f"type {type_id} is used as a type but is not one")
        if self._depth > _MAX_DEPTH:
            raise DamagedBtfError(f"type {type_id} is nested without end")
        self._depth += 1
        try:
            try:
                built = build(type_id)
            except (TypeError, ValueError, OverflowError) as error:
                raise DamagedBtfError(f"type {type_id}: {error}") from None
        finally:
            self._depth -= 1
        self._types[type_id] = built
        return built

    def _referred(self, type_id: int) -> Type:
        return self.type(self.btf.size_or_type(type_id))

    def _int(self, type_id: int) -> Type:
        size = self.btf.size_or_type(type_id)
        word = self.btf.payload(type_id, 1)[0]
        encoding, bits = word >> 24 & 0xF, word & 0xFF
        if size not in (1, 2, 4, 8, 16) or bits > size * 8:
            raise DamagedBtfError(f"type {type_id} is an integer of {size} bytes")
        name = self.btf.name(type_id)
        if encoding & _INT_BOOL:
            return self._prog.bool_type(name, size)
        return self._prog.int_type(name, size, bool(encoding & _INT_SIGNED))

    def _float(self, type_id: int) -> Type:
        return self._prog.float_type(self.btf.name(type_id), self.btf.size_or_type(type_id))

    def _pointer(self, type_id: int) -> Type:
        return self._prog.pointer_type(self._referred(type_id))

    def _typedef(self, type_id: int) -> Type:
        return self._prog.typedef_type(self.btf.name(type_id), self._referred(type_id))

    def _tagged(self, type_id: int) -> Type:
        # __user, __rcu and the like, which drgn's types have no place for.
        return self._referred(type_id)

    def _qualified(self, type_id: int) -> Type:
        referred = self._referred(type_id)
        qualifier = _QUALIFIERS[Kind(self.btf.kind(type_id))]
        return referred.qualified(referred.qualifiers | qualifier)

    def _array(self, type_id: int) -> Type:
        element, _index, length = self.btf.payload(type_id, 3)
        if self._bare_kind(element) in (Kind.VOID, Kind.FUNC_PROTO):
            raise DamagedBtfError(f"type {type_id} is an array of what has no size")
        return self._prog.array_type(self.type(element), length or None)

    def _forward(self, type_id: int) -> Type:
        name = self.btf.name(type_id)
        if self.btf.info(type_id) >> 31:
            return self._find_complete(Kind.UNION, name) or self._prog.union_type(name)
        return self._find_complete(Kind.STRUCT, name) or self._prog.struct_type(name)

    def _function(self, type_id: int) -> Type:
        self._check_spelling(type_id, _MAX_DEPTH)
        words = self.btf.payload(type_id, 2 * (self.btf.info(type_id) & 0xFFFF))
        parameters = list(zip(words[0::2], words[1::2], strict=True))
        variadic = bool(parameters) and parameters[-1] == (0, 0)
        if variadic:
            parameters.pop()
        for _name, parameter in parameters:
            if self._bare_kind(parameter) in (Kind.VOID, Kind.FUNC_PROTO):
                raise DamagedBtfError(f"type {type_id} has a parameter that has no size")
        if self._bare_kind(self.btf.size_or_type(type_id)) in (Kind.ARRAY, Kind.FUNC_PROTO):
            raise DamagedBtfError(f"type {type_id} returns what no function can return")
        return self._prog.function_type(
            self._referred(type_id),
            [
                TypeParameter(partial(self.type, parameter), self.btf.string(name) or None)
                for name, parameter in parameters
            ],
            variadic,
        )

    def _enum(self, type_id: int) -> Type:
        info = self.btf.info(type_id)
        words = self.btf.payload(type_id, 2 * (info & 0xFFFF))
        names, values = words[0::2], words[1::2]
        size = self.btf.size_or_type(type_id)
        signed = bool(info >> 31)
        if not signed and not self._enum_signs_are_known():
            signed = any(value >> 31 for value in values)
        return self._enum_type(
            type_id,
            size,
            signed,
            [
                (name, value - (1 << 32) if signed and value >> 31 else value)
                for name, value in zip(names, values, strict=True)
            ],
        )

    def _enum64(self, type_id: int) -> Type:
        info = self.btf.info(type_id)
        words = self.btf.payload(type_id, 3 * (info & 0xFFFF))
        signed = bool(info >> 31)
        return self._enum_type(
            type_id,
            self.btf.size_or_type(type_id),
            signed,
            [
                (name, high - (1 << 32) << 32 | low if signed and high >> 31 else high << 32 | low)
                for name, low, high in zip(words[0::3], words[1::3], words[2::3], strict=True)
            ],
        )

    def _enum_type(
        self, type_id: int, size: int, signed: bool, enumerators: list[tuple[int, int]]
    ) -> Type:
        btf = self.btf
        tag = btf.name(type_id) or None
        if not enumerators:
            if tag is None:
                raise DamagedBtfError(f"type {type_id} is an enumeration of nothing")
            return self._prog.enum_type(tag)
        names = _SIGNED_NAMES if signed else _UNSIGNED_NAMES
        if size not in names:
            raise DamagedBtfError(f"type {type_id} is an enumeration of {size} bytes")
        limit = 1 << (size * 8 - signed)
        if any(not -limit * signed <= value < limit for _name, value in enumerators):
            raise DamagedBtfError(f"a value of type {type_id} does not fit in {size} bytes")
        return self._prog.enum_type(
            tag,
            self._prog.int_type(names[size], size, signed),
            [TypeEnumerator(btf.string(name), value) for name, value in enumerators],
        )

    def _enum_signs_are_known(self) -> bool:
        """Whether the kind flag of enumerations tells their sign.

        pahole writes it since version 1.24 (libbpf commit dffbbdc2d988); before, negative values
        were written without it.
        """
        if self._base:
            return self._base._enum_signs_are_known()
        if self._enums_are_explicit is None:
            btf = self.btf
            self._enums_are_explicit = bool(btf.ids(Kind.ENUM64)) or any(
                btf.info(type_id) >> 31 for type_id in btf.ids(Kind.ENUM)
            )
        return self._enums_are_explicit

    def _compound(self, type_id: int) -> Type:
        self._check_contents(type_id, _MAX_DEPTH)
        self._check_spelling(type_id, _MAX_DEPTH)
        btf = self.btf
        create = (
            self._prog.struct_type if btf.kind(type_id) == Kind.STRUCT else self._prog.union_type
        )
        members = []
        for name_offset, member, offset, bits in self._members(type_id):
            name = btf.string(name_offset) or None
            open_member: Callable[[], Type | Object] = partial(self.type, member)
            if bits:
                open_member = partial(self._bit_field, member, bits)
            elif name and btf.kind(member) == Kind.ARRAY:
                open_member = partial(self._array_member, type_id, name, member)
            members.append(TypeMember(open_member, name, offset))
        return create(btf.name(type_id) or None, btf.size_or_type(type_id), members)

    def _array_member(self, type_id: int, name: str, member: int) -> Type:
        """A member that is an array, and perhaps an array of arrays."""
        array = self.type(member)
        dimensions = shape(self._notation(type_id), name, array.length or 0)
        if dimensions is None or array.type.kind == TypeKind.ARRAY:
            return array
        nested = array.type
        for length in reversed(dimensions):
            nested = self._prog.array_type(nested, length)
        return nested

    def _notation(self, type_id: int) -> str:
        """A structure or union as `kscope.target.btf.expressions` writes it."""
        btf = self.btf
        keyword = "struct" if btf.kind(type_id) == Kind.STRUCT else "union"
        name = btf.name(type_id)
        if name:
            return f"{keyword} {name}"
        members = " ".join(btf.string(member[0]) or "-" for member in self._members(type_id))
        return f"{keyword}{{{members}}}"

    def _members(self, type_id: int) -> list[tuple[int, int, int, int]]:
        """Name, type id, offset in bits, and size in bits if it is a bit-field, of each member."""
        info = self.btf.info(type_id)
        words = self.btf.payload(type_id, 3 * (info & 0xFFFF))
        names, types, offsets = words[0::3], words[1::3], words[2::3]
        if info >> 31:
            return [
                (name, member, offset & 0xFFFFFF, offset >> 24)
                for name, member, offset in zip(names, types, offsets, strict=True)
            ]
        # Without the flag, a bit-field was one whose integer type says so itself: pahole before
        # version 1.13 wrote an integer of 4 bytes and 3 bits, which no later one does.
        members = []
        for name, member, offset in zip(names, types, offsets, strict=True):
            bits = start = 0
            if self.btf.kind(member) == Kind.INT:
                start, bits = self._owner(member)._partial_int(member)
            members.append((name, member, offset + start, bits))
        return members

    def _partial_int(self, type_id: int) -> tuple[int, int]:
        """Offset and number of bits of an integer that does not fill its bytes; else zeros."""
        word = self.btf.payload(type_id, 1)[0]
        offset, bits = word >> 16 & 0xFF, word & 0xFF
        return (0, 0) if bits == self.btf.size_or_type(type_id) * 8 else (offset, bits)

    def _bit_field(self, type_id: int, bits: int) -> Object:
        return Object(self._prog, self.type(type_id), bit_field_size=bits)

    def _owner(self, type_id: int) -> TypeBuilder:
        if type_id >= self.btf.first_id:
            return self
        assert self._base is not None
        return self._base

    def _check_contents(self, type_id: int, depth: int) -> None:
        """Check that each member lies in its structure, here and in all that it holds by value."""
        if type_id in self._sizes:
            return
        if not depth:
            raise DamagedBtfError(f"type {type_id} contains itself")
        size = self.btf.size_or_type(type_id)
        for _name, member, offset, bits in self._members(type_id):
            member_size = self._size(member, depth - 1)
            if (offset + (bits or member_size * 8) > size * 8) or bits > member_size * 8:
                raise DamagedBtfError(f"a member of type {type_id} lies outside it")
            if bits and self._bare_kind(member) not in (Kind.INT, Kind.ENUM, Kind.ENUM64):
                raise DamagedBtfError(f"a bit-field of type {type_id} is not an integer")
            if offset % 8 and not bits:
                raise DamagedBtfError(f"a member of type {type_id} is not aligned")
        self._sizes[type_id] = size

    def _check_spelling(self, type_id: int, depth: int) -> None:
        """Check that a type without a name does not refer to itself: it could not be written out.

        A name of its own, or a typedef's, ends what has to be written.
        """
        if type_id < self.btf.first_id:
            if type_id:
                self._owner(type_id)._check_spelling(type_id, depth)
            return
        if type_id in self._spellable:
            return
        if not depth:
            raise DamagedBtfError(f"type {type_id} has no name and refers to itself")
        kind = self.btf.kind(type_id)
        referred: list[int] = []
        if kind in _UNNAMED_REFERENCES:
            referred = [self.btf.size_or_type(type_id)]
        elif kind == Kind.ARRAY:
            referred = [self.btf.payload(type_id, 1)[0]]
        elif kind == Kind.FUNC_PROTO:
            words = self.btf.payload(type_id, 2 * (self.btf.info(type_id) & 0xFFFF))
            referred = [self.btf.size_or_type(type_id), *words[1::2]]
        elif kind in (Kind.STRUCT, Kind.UNION) and not self.btf.name(type_id):
            referred = [member for _name, member, _offset, _bits in self._members(type_id)]
        for other in referred:
            self._check_spelling(other, depth - 1)
        self._spellable.add(type_id)

    def _bare_kind(self, type_id: int) -> int:
        """Kind of a type behind typedefs and qualifiers."""
        for _ in range(_MAX_DEPTH):
            if self.btf.kind(type_id) not in _TRANSPARENT:
                return self.btf.kind(type_id)
            type_id = self._owner(type_id).btf.size_or_type(type_id)
        raise DamagedBtfError(f"type {type_id} is nested without end")

    def _size(self, type_id: int, depth: int) -> int:
        """Size in bytes of a type that a structure holds by value."""
        if type_id < self.btf.first_id and type_id:
            return self._owner(type_id)._size(type_id, depth)
        size = self._sizes.get(type_id)
        if size is not None:
            return size
        kind = self.btf.kind(type_id)
        if kind in (Kind.STRUCT, Kind.UNION):
            self._check_contents(type_id, depth)
            return self._sizes[type_id]
        if not depth:
            raise DamagedBtfError(f"type {type_id} is nested without end")
        if kind in _TRANSPARENT:
            size = self._size(self.btf.size_or_type(type_id), depth - 1)
        elif kind == Kind.ARRAY:
            element, _index, length = self.btf.payload(type_id, 3)
            size = length * self._size(element, depth - 1)
        elif kind == Kind.PTR:
            size = self._prog.address_size()
        elif kind in (Kind.INT, Kind.FLOAT, Kind.ENUM, Kind.ENUM64):
            size = self.btf.size_or_type(type_id)
        else:
            raise DamagedBtfError(f"type {type_id} is held by value but has no size")
        self._sizes[type_id] = size
        return size
