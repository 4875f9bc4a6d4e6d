"""Dumps that lack what they had."""

from collections.abc import Iterable

from drgn import FaultError, Program


def exclude(program: Program, addresses: Iterable[int], size: int) -> None:
    """Make so many bytes at each address unreadable, as makedumpfile does with pages."""

    def excluded(address: int, count: int, offset: int, physical: bool) -> bytes:
        raise FaultError("Excluded page", address)

    for address in addresses:
        program.add_memory_segment(address, size, excluded, False)
