"""Memory as it lies, its pointers named: crash's ``rd``."""

import sys

from drgn import FaultError, PlatformFlags

from kscope.kernel.access.memory_image import wrapped
from kscope.kernel.access.reading import reason
from kscope.kernel.expression.language import Expressions
from kscope.kernel.objects.identify_address import Addresses, addresses_of
from kscope.model.base import Address, QueryError, Unreadable
from kscope.model.memory import Memory, MemoryLine, MemoryQuery, Note
from kscope.model.text import printable
from kscope.target.target import Target

_LINE = 16
_MOST = 1 << 20
"""Bytes at once: more than anyone reads."""
_NAMED = {"symbol", "function", "task", "stack", "slab", "free-slab", "page", "vmap", "per-cpu"}


def memory(target: Target, query: MemoryQuery) -> Memory:
    """Answer a MemoryQuery."""
    if query.bits not in (8, 16, 32, 64):
        raise QueryError(f"There are no words of {query.bits} bits.", "8, 16, 32 or 64.")
    size = query.bits // 8
    wanted = max(1, query.count) * size
    if wanted > _MOST:
        raise QueryError(f"{wanted:,} bytes are too many at once.", f"At most {_MOST:,}.")
    address = start_address(target, query.address)
    addresses = addresses_of(target)
    reader = _Reader(target, query, size)
    lines = tuple(
        reader.line(wrapped(address + offset), min(_LINE, wanted - offset))
        for offset in range(0, wanted, _LINE)
    )
    if all(word is None for line in lines for word in line.words):
        raise QueryError(
            f"Nothing of it can be read: {reader.unreadable[0].why}.", kind="unreadable"
        )
    return Memory(
        address=Address(address),
        physical=query.physical,
        word_bytes=size,  # type: ignore[arg-type]
        lines=lines,
        what="" if query.physical else addresses.identify(address).text,
        unreadable=tuple(reader.unreadable),
    )


def start_address(target: Target, text: str) -> int:
    """The address that an expression names: an object's, or where a pointer points.

    Works without types for addresses and symbols.
    """
    if target.debug_info.types == "none":
        return _plain_address(target, text)
    place = Expressions(target).locate(text).place
    if place.address is None:
        raise QueryError(f"{printable(text)} is a type: name an address.")
    if place.copies:
        name = place.expression.partition(":")[0]
        raise QueryError(
            f"{place.expression} is several objects: name one CPU.", f"{name}:0 is CPU 0's."
        )
    return int(place.address)


def _plain_address(target: Target, text: str) -> int:
    name, _, offset = text.replace(" ", "").partition("+")
    try:
        start = int(name, 16)
    except ValueError:
        try:
            start = target.program.symbol(name).address
        except LookupError:
            raise QueryError(f"There is no symbol {printable(name)}.") from None
    try:
        return wrapped(start + (int(offset, 0) if offset else 0))
    except ValueError:
        raise QueryError(f"{printable(offset)} is no number.") from None


class _Reader:
    """Reads lines of words."""

    def __init__(self, target: Target, query: MemoryQuery, size: int) -> None:
        self._program = target.program
        self._addresses: Addresses = addresses_of(target)
        self._physical = query.physical
        self._size = size
        self._symbols = query.symbols and query.bits == 64
        platform = target.program.platform
        little = (
            bool(platform.flags & PlatformFlags.IS_LITTLE_ENDIAN)
            if platform is not None
            else sys.byteorder == "little"
        )
        self._order: str = "big" if query.big_endian or not little else "little"
        self.unreadable: list[Unreadable] = []
        self._bad_page = -1

    def line(self, address: int, length: int) -> MemoryLine:
        raw = self._read(address, length)
        if raw is None:
            pieces = [
                self._read(wrapped(address + at), self._size) for at in range(0, length, self._size)
            ]
        else:
            pieces = [raw[at : at + self._size] for at in range(0, length, self._size)]
        words = tuple(
            None if piece is None else int.from_bytes(piece, self._order)  # type: ignore[arg-type]
            for piece in pieces
        )
        text = "".join(
            "?" * self._size
            if piece is None
            else "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in piece)
            for piece in pieces
        )
        return MemoryLine(Address(address), words, text, self._notes(words))

    def _read(self, address: int, length: int) -> bytes | None:
        try:
            raw: bytes = self._program.read(address, length, self._physical)
        except FaultError as error:
            if address & ~0xFFF != self._bad_page:
                self._bad_page = address & ~0xFFF
                self.unreadable.append(Unreadable(f"{address:x}", reason(error)))
            return None
        return raw

    def _notes(self, words: tuple[int | None, ...]) -> tuple[Note, ...]:
        if not self._symbols:
            return ()
        notes = []
        for index, word in enumerate(words):
            if not word:
                continue
            identity = self._addresses.identify(word)
            if identity.kind in _NAMED or identity.kind == "poison":
                notes.append(Note(index, identity.text, identity.kind))
        return tuple(notes)


ANSWERS = {MemoryQuery: memory}
