"""Objects as trees of members, and types alone: crash's ``struct``, ``union``, ``p``."""

import re
from collections.abc import Iterator

import msgspec
from drgn import Type, TypeKind

from kscope.kernel.access import fields
from kscope.kernel.access.fields import Field
from kscope.kernel.access.memory_image import MemoryImage, wrapped
from kscope.kernel.access.reading import READ_ERRORS, reason
from kscope.kernel.expression.language import Expressions, Located
from kscope.kernel.objects.identify_address import addresses_of
from kscope.kernel.objects.namesakes import ambiguity
from kscope.kernel.objects.values import Values, described
from kscope.model.base import QueryError, Unreadable
from kscope.model.struct import Instance, Member, StructQuery, Structure
from kscope.target.target import Target

_LARGEST = 1 << 20
"""Bytes: beyond it only the elements of an array that are asked for are read."""
_MOST_OBJECTS = 10_000
"""At once: what is asked for is read and shown in one piece."""
_MANY_UNREADABLE = 50
_OFFSET = re.compile(r"0|[1-9][0-9]{0,19}|0[xX][0-9a-fA-F]{1,16}")
_SLICE = re.compile(r"(.*)\[(\d*):(\d*)\]$")
_COMPOUND = (TypeKind.STRUCT, TypeKind.UNION, TypeKind.CLASS)


def structure(target: Target, query: StructQuery) -> Structure:
    """Answer a StructQuery."""
    expressions = Expressions(target)
    place, type_ = _locate(expressions, query)
    if type_ is None:
        if place.kind == "code":
            raise QueryError(f"{query.type} is code, no object.")
        raise QueryError(
            f"{query.type} is an address of which no type is known.",
            "Name the type before it: TYPE ADDRESS.",
        )
    if query.count > _MOST_OBJECTS:
        raise QueryError(
            f"{query.count:,} objects are too many at once.", f"At most {_MOST_OBJECTS:,}."
        )
    root = fields.of_type(target.program, type_)
    members = query.members or place.members
    if place.address is None:
        laid_out = _layout(type_, root, members)
        return msgspec.structs.replace(laid_out, ambiguity=ambiguity(target.program, type_))
    reader = _Reader(target, query, root, members)
    address = wrapped(place.address - _embedded(root, query.embedded))
    labelled = [(f"[{copy.cpu}]", copy.address) for copy in place.copies]
    if not labelled:
        labelled = [
            (f"[{index}]" if query.count > 1 else "", wrapped(address + index * root.size))
            for index in range(max(1, query.count))
        ]
    shown = [(label, where, reader.members(where)) for label, where in labelled]
    return Structure(
        type=place.type,
        address=shown[0][1],
        size=root.size,
        members=shown[0][2],
        expression=place.expression,
        label=shown[0][0],
        further=tuple(
            Instance(label=label, address=where, members=found) for label, where, found in shown[1:]
        ),
        # Beside DWARF the BTF would have to be read first, which takes longer than the object.
        ambiguity=ambiguity(target.program, type_) if target.debug_info.types == "btf" else "",
        unreadable=tuple(_unreadable(found for _, _, found in shown)),
    )


def _locate(expressions: Expressions, query: StructQuery) -> Located:
    if not query.address:
        return expressions.locate(query.type)
    name, _, members = query.type.strip().partition(".")
    type_ = expressions.type_named(name)
    assert type_ is not None
    located = expressions.at_address(type_, expressions.evaluate(query.address))
    return Located(msgspec.structs.replace(located.place, members=members), type_)


def _embedded(root: Field, member: str) -> int:
    """How far before the address that was given the object begins."""
    if not member:
        return 0
    if _OFFSET.fullmatch(member):
        return int(member, 0)
    tag = root.type_name.split()[-1]
    return fields.resolve(root, member.removeprefix(f"{tag}."))[1]


class _Reader:
    """Reads objects of one type."""

    def __init__(self, target: Target, query: StructQuery, root: Field, members: str) -> None:
        self._program = target.program
        self._root = root
        self._elements = max(1, query.elements)
        self._depth = max(1, min(query.depth, 64))
        self._addresses = addresses_of(target)
        self._values = Values(target, self._addresses, elements=query.elements)
        self._paths = [path.strip() for path in members.split(",") if path.strip()]

    def members(self, address: int) -> tuple[Member, ...]:
        root = self._root
        if root.tag == "task_struct":
            self._addresses.know_task(address)
        image = MemoryImage(self._program, address, min(root.size, _LARGEST))
        if self._paths:
            return tuple(self._path(path, image) for path in self._paths)
        whole = self._values.member(root, image, 0, self._depth)
        if root.kind in ("struct", "union") and not whole.why:
            return whole.members
        return (whole,)

    def _path(self, path: str, image: MemoryImage) -> Member:
        slice_ = _SLICE.match(path)
        field, offset = fields.resolve(self._root, slice_[1] if slice_ else path)
        name = slice_[1] if slice_ else path
        if slice_:
            if field.element is None:
                raise QueryError(f"{name} is no array.")
            first = int(slice_[2] or 0)
            last = int(slice_[3]) if slice_[3] else first + self._elements
            if field.length is not None:
                last = min(last, field.length)
            last = min(last, first + _MOST_OBJECTS)
            if first >= last:
                raise QueryError(f"There are no elements from {first} on, in {path}.")
            member = self._values.member(field, image, offset - field.offset, 1)
            members = self._values.slice(field, image, offset, self._depth, range(first, last))
            return msgspec.structs.replace(member, name=name, members=members)
        member = self._values.member(field, image, offset - field.offset, self._depth)
        return msgspec.structs.replace(member, name=name)


def _unreadable(instances: "Iterator[tuple[Member, ...]]") -> Iterator[Unreadable]:
    count = 0
    for members in instances:
        for path, member in _walk(members, ""):
            if member.why:
                count += 1
                if count > _MANY_UNREADABLE:
                    return
                yield Unreadable(path, member.why)


def _walk(members: tuple[Member, ...], prefix: str) -> Iterator[tuple[str, Member]]:
    for member in members:
        dot = "." if prefix and member.name and not member.name.startswith("[") else ""
        path = f"{prefix}{dot}{member.name}"
        yield path, member
        yield from _walk(member.members, path)


# Types alone.


def _layout(type_: Type, root: Field, members: str) -> Structure:
    if type_.kind is TypeKind.VOID:
        raise QueryError("void is no type of an object.")
    if root.kind == "opaque":
        raise QueryError(
            f"{root.type_name} is only declared in this kernel's types: its members are not known."
        )
    declared: tuple[Member, ...] = ()
    try:
        if members:
            declared = tuple(
                _declared_at(*fields.resolve(root, path), path) for path in members.split(",")
            )
        else:
            declared = tuple(_declared(field, 0) for field in root.fields)
    except READ_ERRORS as error:
        raise QueryError(f"{root.type_name} cannot be read: {reason(error)}.") from error
    return Structure(
        type=root.type_name,
        address=None,
        size=root.size,
        members=declared,
        expression=root.type_name,
        declaration="" if root.fields else whole_declaration(type_),
    )


def _declared_at(field: Field, offset: int, path: str) -> Member:
    return msgspec.structs.replace(_declared(field, offset - field.offset), name=path)


def _declared(field: Field, base: int) -> Member:
    offset = base + field.offset
    anonymous = _anonymous_compound(field.type)
    inner: tuple[Member, ...] = ()
    if anonymous is not None:
        inner = tuple(
            _declared(each, offset) for each in Field(anonymous, owner=field.owner).fields
        )
    elif field.kind in ("struct", "union"):
        inner = tuple(_declared(each, offset) for each in field.fields)
    declaration = declare(field.type, field.name)
    if field.bit_size is not None:
        declaration += f" : {field.bit_size}"
    return msgspec.structs.replace(described(field, offset), members=inner, declaration=declaration)


def _anonymous_compound(type_: Type) -> Type | None:
    """The structure without a tag that a member is made of, be it an array or a pointer."""
    while type_.kind in (TypeKind.ARRAY, TypeKind.POINTER):
        type_ = type_.type
    if type_.kind in _COMPOUND and type_.tag is None:
        return type_
    return None


def declare(type_: Type, name: str) -> str:
    """The C declaration of a member: ``int (*init)(void)``, ``enum {A, B} kind``.

    A structure without a tag is ``struct {...}``.
    """
    inline: dict[str, str] = {}
    text: str = _tagged(type_, inline).variable_declaration(name or "_")
    for tagged, written in inline.items():
        text = text.replace(tagged, written)
    return text if name else text.removesuffix(" _")


def _tagged(type_: Type, inline: dict[str, str]) -> Type:
    """The type with tags for what has none; drgn writes such types out over many lines.

    :param inline: what to write for each such tag.
    """
    kind = type_.kind
    program = type_.prog
    tag = f"_kscope_anonymous_{len(inline)}"
    if kind in _COMPOUND and type_.tag is None:
        keyword = "union" if kind is TypeKind.UNION else "struct"
        inline[f"{keyword} {tag}"] = f"{keyword} {{...}}"
        make = program.union_type if kind is TypeKind.UNION else program.struct_type
        return make(tag).qualified(type_.qualifiers)
    if kind is TypeKind.ENUM and type_.tag is None:
        inline[f"enum {tag}"] = f"enum {{{enumerators(type_)}}}"
        return program.enum_type(tag).qualified(type_.qualifiers)
    if kind is TypeKind.POINTER:
        return program.pointer_type(_tagged(type_.type, inline), qualifiers=type_.qualifiers)
    if kind is TypeKind.ARRAY:
        return program.array_type(_tagged(type_.type, inline), type_.length)
    return type_


def enumerators(type_: Type) -> str:
    """``A, B, C = 7``: a value is written where it is not one more than the one before."""
    words, following = [], 0
    for enumerator in type_.enumerators or ():
        value = enumerator.value
        words.append(enumerator.name + (f" = {value}" if value != following else ""))
        following = value + 1
    return ", ".join(words)


def whole_declaration(type_: Type) -> str:
    """What a type that has no members is: an enumeration, or a typedef of what."""
    if type_.kind is TypeKind.ENUM:
        return f"{type_.type_name()} {{{enumerators(type_)}}};"
    if type_.kind is TypeKind.TYPEDEF:
        return f"typedef {declare(type_.type, type_.name)};"
    return f"{type_.type_name()};"


ANSWERS = {StructQuery: structure}
