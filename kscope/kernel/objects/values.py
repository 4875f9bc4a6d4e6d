"""From the bytes of an object to members with values, meanings and what pointers point at."""

import struct

import msgspec
from drgn import FaultError, PlatformFlags

from kscope.kernel.access.fields import Field
from kscope.kernel.access.memory_image import MemoryImage
from kscope.kernel.access.reading import READ_ERRORS, reason
from kscope.kernel.objects.identify_address import Addresses, Identity
from kscope.kernel.objects.list_lengths import COLLECTIONS
from kscope.kernel.objects.meanings import Meanings
from kscope.model.struct import Member
from kscope.model.text import printable
from kscope.target.target import Target

_LONGEST_STRING = 100
"""Characters of a string that are shown of what a ``char *`` points at."""

_PLACES = ("symbol", "function", "task", "stack", "slab", "free-slab", "page", "vmap", "per-cpu")

Value = int | float | bool | str | None


def described(field: Field, offset: int) -> Member:
    """What is known of a member by its type alone."""
    return Member(
        name=field.name,
        type=field.type_name,
        offset=offset,
        bit_offset=field.bit_offset,
        bit_size=field.bit_size,
        value=None,
        target=None,
        kind=field.kind,
        size=field.size,
        points_to=field.points_to,
        length=field.length,
    )


class Values:
    """Decodes objects of one target."""

    def __init__(self, target: Target, addresses: Addresses, *, elements: int = 200) -> None:
        """:param elements: how many elements of an array become members."""
        self._program = target.program
        self._addresses = addresses
        self._meanings = Meanings(target.program, addresses)
        self._elements = elements
        platform = target.program.platform
        self._little = platform is None or bool(platform.flags & PlatformFlags.IS_LITTLE_ENDIAN)

    def member(
        self,
        field: Field,
        image: MemoryImage,
        base: int,
        depth: int,
        hint: tuple[str, str] = ("", ""),
    ) -> Member:
        """``field`` of what begins at ``base`` bytes into ``image``, and what is in it.

        :param depth: how many levels of members to decode below it.
        :param hint: structure and member that a value wrapped in a structure of its own is, such
            as the ``counter`` of an ``atomic_t``.
        """
        offset = base + field.offset
        owner, name = hint if hint[1] else (field.owner, field.name)
        value: Value = None
        meaning = why = ""
        identity: Identity | None = None
        members: tuple[Member, ...] = ()
        try:
            if field.kind in ("struct", "union"):
                members = self._members(field, image, offset, depth, (owner, name))
                meaning = self._collection(field, image, offset)
            elif field.kind == "array":
                members = self._array(field, image, offset, depth)
            elif field.kind != "opaque":
                value = self.value(field, image, offset)
                if field.kind == "pointer":
                    assert isinstance(value, int)
                    identity = self._identify(value, image)
                    if field.points_to == "char" and value >> 63:
                        meaning = self.string_at(value)
                    value = f"{value:#x}"
                elif field.kind == "enumeration":
                    assert isinstance(value, int)
                    meaning = field.enumerators.get(value, "")
                elif field.kind == "integer" and isinstance(value, int):
                    meaning = self._meanings.of(owner, name, field.type_name, value)
                    identity = self._address_in(field, value, image)
        except READ_ERRORS as error:
            why = reason(error)
        return msgspec.structs.replace(
            described(field, offset),
            value=value,
            target=identity.text if identity is not None and identity.text else None,
            target_kind=identity.kind if identity is not None else "",
            meaning=meaning,
            members=members,
            why=why,
        )

    def value(self, field: Field, image: MemoryImage, offset: int) -> Value:
        """The value of ``field``, which is neither structure nor array, at ``offset``.

        :raises FaultError: if it cannot be read.
        """
        if field.bit_size is not None:
            return self._bits(field, image, offset)
        raw = image.bytes(offset, field.size)
        if field.kind == "text":
            return printable(raw.partition(b"\0")[0])
        if field.kind == "float":
            return self._float(raw)
        number = int.from_bytes(raw, "little" if self._little else "big", signed=field.signed)
        return bool(number) if field.kind == "boolean" else number

    def summary(self, field: Field, image: MemoryImage, offset: int) -> str:
        """A structure or array in a few words, for a cell of a table."""
        collected = self._collection(field, image, offset)
        if collected:
            return collected
        if field.kind == "array" and field.element is not None and field.length:
            shown = self.slice(field, image, offset, 1, range(min(field.length, 8)))
            dots = ", …" if field.length > 8 else ""
            if field.element.kind not in ("struct", "union", "array"):
                return "{" + ", ".join(str(member.value) for member in shown) + dots + "}"
        return "{…}"

    def _bits(self, field: Field, image: MemoryImage, offset: int) -> int:
        assert field.bit_size is not None
        assert field.bit_offset is not None
        size = (field.bit_offset + field.bit_size + 7) // 8
        number = int.from_bytes(image.bytes(offset, size), "little" if self._little else "big")
        # On big-endian machines bits are counted from the most significant one.
        number >>= (
            field.bit_offset if self._little else size * 8 - field.bit_offset - field.bit_size
        )
        number &= (1 << field.bit_size) - 1
        if field.signed and number >> (field.bit_size - 1):
            number -= 1 << field.bit_size
        return bool(number) if field.kind == "boolean" else number

    def _float(self, raw: bytes) -> float:
        form = {4: "f", 8: "d"}.get(len(raw))
        if form is None:
            raise ValueError(f"a floating-point number of {len(raw)} bytes")
        number: float = struct.unpack(("<" if self._little else ">") + form, raw)[0]
        return number

    def _members(
        self, field: Field, image: MemoryImage, offset: int, depth: int, hint: tuple[str, str]
    ) -> tuple[Member, ...]:
        if depth <= 0:
            return ()
        fields = field.fields
        # A value wrapped in a structure says what the member that holds it says.
        inner = hint if len(fields) == 1 and hint[1] else ("", "")
        return tuple(self.member(f, image, offset, depth - 1, inner) for f in fields)

    def _array(
        self, field: Field, image: MemoryImage, offset: int, depth: int
    ) -> tuple[Member, ...]:
        if depth <= 0 or not field.length:
            return ()
        return self.slice(field, image, offset, depth, range(min(self._elements, field.length)))

    def slice(
        self, field: Field, image: MemoryImage, offset: int, depth: int, indexes: range
    ) -> tuple[Member, ...]:
        """Some elements of an array at ``offset``."""
        return tuple(self.member(field.at(i), image, offset, depth - 1) for i in indexes)

    def _collection(self, field: Field, image: MemoryImage, offset: int) -> str:
        describe = COLLECTIONS.get(field.tag)
        if describe is None:
            return ""
        try:
            return describe(self._program, image.address + offset, image.bytes(offset, field.size))
        except FaultError:
            return ""

    def string_at(self, address: int) -> str:
        """What a ``char *`` points at, in quotes; empty where that is no text."""
        try:
            raw = self._program.read_c_string(address, max_size=_LONGEST_STRING)
        except READ_ERRORS:
            return ""
        return f'"{printable(raw)}"' if raw.isascii() and printable(raw) == raw.decode() else ""

    def _address_in(self, field: Field, value: int, image: MemoryImage) -> Identity | None:
        """What an ``unsigned long`` or the like points at that looks as if it held an address."""
        word = value & (1 << 64) - 1
        if field.size != 8 or field.bit_size is not None or not word >> 63:
            return None
        identity = self._identify(word, image)
        return identity if identity.kind in _PLACES else None

    def _identify(self, value: int, image: MemoryImage) -> Identity:
        if image.address <= value < image.address + image.size:
            # Costs nothing, and says more than which slab the object itself is in.
            return Identity("symbol", f"this object +{value - image.address:#x}", image.address)
        return self._addresses.identify(value)
