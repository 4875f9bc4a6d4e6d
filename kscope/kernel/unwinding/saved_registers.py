"""What an interruption saved besides the registers: ORIG_RAX.

It says how the kernel was entered: the number of the system call, of the interrupt, or the error
code of the exception; -1 where there is none. No unwinder restores it, since it is no register.
"""

import contextlib
import struct
from collections.abc import Mapping

from drgn import Program

from kscope.kernel.access.reading import READ_ERRORS

_MOST_WORDS = 96
"""Between the stack pointer of the entry code and the end of the ``struct pt_regs`` above it."""
# Indexes of words in x86-64's struct pt_regs.
_ORIG_RAX, _RIP, _CS, _RFLAGS, _RSP = 15, 16, 17, 18, 19
_WORDS = 21


def orig_rax(program: Program, sp: int, registers: Mapping[str, int]) -> int | None:
    """ORIG_RAX of the ``struct pt_regs`` that holds ``registers``; ``None`` if it is not found.

    :param sp: of the outermost frame of what interrupted: the structure is on that stack, above it.
    """
    if not {"rip", "cs", "rflags", "rsp"} <= registers.keys():
        return None
    try:
        words: tuple[int, ...] = struct.unpack(
            f"<{_MOST_WORDS}Q", _read(program, sp, _MOST_WORDS * 8)
        )
    except READ_ERRORS:
        return None
    for start in range(_MOST_WORDS - _WORDS + 1):
        if (
            words[start + _RIP] == registers["rip"]
            and words[start + _RSP] == registers["rsp"]
            and words[start + _RFLAGS] == registers["rflags"]
            and words[start + _CS] & 0xFFFF == registers["cs"]
        ):
            return words[start + _ORIG_RAX]
    return None


def _read(program: Program, address: int, size: int) -> bytes:
    """What can be read; zeros after the end of the stack, where no structure can lie."""
    page_end = (address + 0x1000) & ~0xFFF
    data: bytes = program.read(address, min(size, page_end - address))
    if len(data) < size:
        with contextlib.suppress(*READ_ERRORS):
            data += program.read(page_end, size - len(data))
    return data.ljust(size, b"\0")
