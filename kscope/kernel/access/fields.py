"""Types taken apart once, so that objects of them are decoded from plain bytes.

drgn's objects read memory and open types at every step, 5 to 20 µs each; a ``task_struct`` has
750 members. A ``Field`` remembers what a member's type says, and opens what lies below it when it
is first asked for.
"""

from collections.abc import Iterator

from drgn import Program, Type, TypeKind, TypeMember, sizeof

from kscope.model.base import QueryError
from kscope.model.struct import MemberKind

_CHARACTERS = ("char", "signed char", "unsigned char")


class Field:
    """A member of a structure, an element of an array, or a whole object."""

    __slots__ = (
        "_fields",
        "bit_offset",
        "bit_size",
        "element",
        "enumerators",
        "kind",
        "length",
        "name",
        "offset",
        "owner",
        "points_to",
        "signed",
        "size",
        "tag",
        "type",
        "type_name",
    )

    def __init__(
        self,
        type_: Type,
        name: str = "",
        offset: int = 0,
        *,
        owner: str = "",
        bit_offset: int | None = None,
        bit_size: int | None = None,
    ) -> None:
        """
        :param offset: in bytes, from the beginning of what the field is a member of.
        :param owner: tag of the structure that names the member, anonymous ones aside.
        """
        self.name = name
        self.offset = offset
        self.owner = owner
        self.bit_offset = bit_offset
        self.bit_size = bit_size
        self.type = type_
        self.type_name = type_.type_name()
        self.kind: MemberKind = "opaque"
        self.size = 0
        self.signed = False
        self.tag = ""
        self.points_to = ""
        self.length: int | None = None
        self.element: Field | None = None
        self.enumerators: dict[int, str] = {}
        self._fields: tuple[Field, ...] | None = None
        self._classify(type_)

    def _classify(self, type_: Type) -> None:
        bare = type_.unaliased()
        kind = bare.kind
        if kind is TypeKind.INT:
            self.size = sizeof(bare)
            self.signed = bare.is_signed
            # A plain char is a character; u8 and s8 are numbers.
            self.kind = "character" if bare.name == "char" else "integer"
        elif kind is TypeKind.POINTER:
            self.kind, self.size = "pointer", sizeof(bare)
            pointed = bare.type
            if pointed.unaliased_kind() is not TypeKind.VOID:
                self.points_to = pointed.unqualified().type_name()
        elif kind in (TypeKind.STRUCT, TypeKind.UNION, TypeKind.CLASS):
            if bare.is_complete():
                self.kind = "union" if kind is TypeKind.UNION else "struct"
                self.size = sizeof(bare)
            self.tag = bare.tag or ""
        elif kind is TypeKind.ARRAY:
            self._classify_array(bare)
        elif kind is TypeKind.BOOL:
            self.kind, self.size = "boolean", sizeof(bare)
        elif kind is TypeKind.ENUM:
            if bare.is_complete():
                self.kind, self.size = "enumeration", sizeof(bare)
                assert bare.type is not None
                self.signed = bare.type.is_signed
                for enumerator in bare.enumerators or ():
                    self.enumerators.setdefault(enumerator.value, enumerator.name)
        elif kind is TypeKind.FLOAT:
            self.kind, self.size = "float", sizeof(bare)

    def _classify_array(self, bare: Type) -> None:
        self.length = bare.length
        element = Field(bare.type, owner=self.owner)
        self.element = element
        self.kind = "text" if element.kind == "character" else "array"
        self.size = element.size * (self.length or 0)

    @property
    def fields(self) -> tuple["Field", ...]:
        """The members of a structure or union, in the order of declaration."""
        if self._fields is None:
            if self.kind in ("struct", "union"):
                # What an anonymous member holds is named by the structure around it.
                owner = self.tag or self.owner
                self._fields = tuple(
                    _member(member, owner) for member in self.type.unaliased().members or ()
                )
            else:
                self._fields = ()
        return self._fields

    def at(self, index: int) -> "Field":
        """Element ``index`` of an array, with its place in it."""
        assert self.element is not None
        return Field(
            self.element.type, f"[{index}]", index * self.element.size, owner=self.element.owner
        )

    def find(self, name: str) -> tuple["Field", int] | None:
        """The member called ``name``, anonymous ones seen through, and its offset from here."""
        for field in self.fields:
            if field.name == name:
                return field, field.offset
            if not field.name and (found := field.find(name)) is not None:
                return found[0], field.offset + found[1]
        return None

    def names(self) -> Iterator[str]:
        """Names of the members, anonymous ones seen through."""
        for field in self.fields:
            if field.name:
                yield field.name
            else:
                yield from field.names()


def _member(member: TypeMember, owner: str) -> Field:
    bits = member.bit_field_size
    return Field(
        member.type,
        member.name or "",
        member.bit_offset // 8,
        owner=owner,
        bit_offset=None if bits is None else member.bit_offset % 8,
        bit_size=bits,
    )


def resolve(root: Field, path: str) -> tuple[Field, int]:
    """The member that ``path`` names, ``rt.active.queue[3].next``, and its offset from ``root``.

    :raises QueryError: if there is none.
    """
    field, offset, name = root, 0, ""
    for part in _parts(path):
        if part.startswith("["):
            if field.element is None:
                raise QueryError(f"{name or root.type_name} is no array: it has no {part}.")
            index = int(part[1:-1], 0)
            # One of no length, or of none that is known, goes on behind the structure.
            if field.length and not 0 <= index < field.length:
                raise QueryError(
                    f"{name or root.type_name} has {field.length} elements: there is no {part}."
                )
            field = field.at(index)
            offset += field.offset
            name += part
            continue
        found = field.find(part)
        if found is None:
            raise QueryError(
                f"{field.type_name} has no member {part}.", near(part, list(field.names()))
            )
        field, offset = found[0], offset + found[1]
        name = f"{name}.{part}" if name else part
    return field, offset


def _parts(path: str) -> Iterator[str]:
    for dotted in path.split("."):
        name, bracket, rest = dotted.partition("[")
        if name:
            yield name.strip()
        if bracket:
            for index in rest.split("["):
                number = index.strip().removesuffix("]").strip()
                try:
                    yield f"[{int(number, 0)}]"
                except ValueError:
                    raise QueryError(f"{number} is no index, in {path}.") from None


def near(word: str, names: list[str]) -> str:
    """A hint that names what is spelt like ``word``; empty if nothing is."""
    from difflib import get_close_matches

    similar = get_close_matches(word, names, 4, 0.6)
    return f"Near it: {', '.join(similar)}." if similar else ""


def of_type(program: Program, type_: Type) -> Field:
    """The field of a whole object of ``type_``, remembered by the type's name."""
    layouts: dict[tuple[str, int | None], Field] = program.cache.setdefault("kscope layouts", {})
    key = (type_.type_name(), type_.size if type_.kind is TypeKind.STRUCT else None)
    # Several types may bear one name: those of other files differ in size as a rule.
    field = layouts.get(key) if type_.kind is TypeKind.STRUCT and type_.tag else None
    if field is None:
        field = layouts[key] = Field(type_)
    return field
