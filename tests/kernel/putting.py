"""Dumps in whose memory something else stands than they had there."""

from drgn import Object, Program, sizeof


def put(program: Program, variable: Object, value: int) -> None:
    """Give a number another value."""
    size = sizeof(variable)
    data = (value % (1 << 8 * size)).to_bytes(size, "little")
    put_bytes(program, variable.address_ or 0, data)


def put_bytes(program: Program, address: int, data: bytes) -> None:
    """Put other bytes at a virtual address."""

    def read(_address: int, count: int, offset: int, _physical: bool) -> bytes:
        return data[offset : offset + count]

    program.add_memory_segment(address, len(data), read, False)
