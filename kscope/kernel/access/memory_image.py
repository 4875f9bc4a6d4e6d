"""A range of memory of which parts may be missing."""

from collections.abc import Iterator
from typing import Any

from drgn import FaultError, Program

from kscope.model.base import Address

_PAGE = 4096


def wrapped(address: int) -> Address:
    """What comes of an address that was added to or taken from: beyond the last one is the first,
    as in C."""
    return Address(address & (1 << 64) - 1)


class MemoryImage:
    """The bytes of a range, read at once; where that fails, page by page."""

    def __init__(self, program: Program, address: int, size: int) -> None:
        self._program = program
        self.address = address
        self.size = size
        self._whole: bytes | None = None
        self._pages: dict[int, bytes | FaultError] = {}
        try:
            self._whole = program.read(wrapped(address), size) if size else b""
        except FaultError:
            self._whole = None

    def bytes(self, offset: int, size: int) -> bytes:
        """``size`` bytes at ``offset``.

        :raises FaultError: if any of them cannot be read.
        """
        if self._whole is not None and offset + size <= self.size:
            return self._whole[offset : offset + size]
        return b"".join(self._pieces(self.address + offset, size))

    def _pieces(self, start: int, size: int) -> "Iterator[Any]":
        end = start + size
        while start < end:
            page = wrapped(start & ~(_PAGE - 1))
            if page not in self._pages:
                try:
                    self._pages[page] = self._program.read(page, _PAGE)
                except FaultError as error:
                    self._pages[page] = error
            found = self._pages[page]
            if isinstance(found, FaultError):
                raise FaultError(found.message, wrapped(start))
            at = start % _PAGE
            stop = min(end, start - at + _PAGE)
            yield found[at : at + stop - start]
            start = stop
