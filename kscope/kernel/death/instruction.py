"""The instruction that faulted: what it is, which memory it went for, through which registers."""

from dataclasses import dataclass
from typing import Literal

import capstone
from capstone import x86
from drgn import Architecture, Program

from kscope.kernel.access.reading import READ_ERRORS

Access = Literal["read", "write", "execute"]

_LONGEST = 15
"""Bytes of an x86 instruction at most."""

_WORD = (1 << 64) - 1

_SCALES_TO_64_BITS = {
    "eax": "rax", "ebx": "rbx", "ecx": "rcx", "edx": "rdx", "esi": "rsi", "edi": "rdi",
    "ebp": "rbp", "esp": "rsp",
}  # fmt: skip


@dataclass(frozen=True)
class Instruction:
    """One decoded instruction."""

    address: int
    text: str
    """As objdump -M intel writes it."""
    data: bytes
    access: Access | None
    """What it did to memory; ``None`` if it touches none."""
    base: str
    """Register with the pointer that it went through; empty if there is none."""
    index: str
    displacement: int
    memory: int | None
    """The address it went for, by the registers at that moment."""


def decode(program: Program, pc: int, registers: dict[str, int]) -> Instruction | None:
    """The instruction at ``pc``; ``None`` where it cannot be read or is of another architecture."""
    if program.platform is None or program.platform.arch is not Architecture.X86_64:
        return None
    data = _read(program, pc)
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    decoder.detail = True
    for decoded in decoder.disasm(data, pc, 1):
        return _described(decoded, registers)
    return None


def _read(program: Program, pc: int) -> bytes:
    # The instruction may be the last of its page and the next page not be there.
    for size in range(_LONGEST, 0, -1):
        try:
            data: bytes = program.read(pc, size)
        except READ_ERRORS:
            continue
        return data
    return b""


def _described(decoded: capstone.CsInsn, registers: dict[str, int]) -> Instruction:
    base = index = ""
    displacement, memory = 0, None
    access: Access | None = None
    for operand in decoded.operands:
        if operand.type != x86.X86_OP_MEM or decoded.mnemonic in ("lea", "nop"):
            continue
        place = operand.mem
        base = _name(decoded, place.base)
        index = _name(decoded, place.index)
        displacement = place.disp
        access = "write" if operand.access & capstone.CS_AC_WRITE else "read"
        if place.segment in (x86.X86_REG_GS, x86.X86_REG_FS):
            break
        memory = displacement
        if base == "rip":
            memory += decoded.address + decoded.size
        elif base:
            memory += registers.get(base, 0)
        if index:
            memory += registers.get(index, 0) * place.scale
        memory &= _WORD
        break
    return Instruction(
        address=decoded.address,
        text=f"{decoded.mnemonic} {decoded.op_str}".strip(),
        data=bytes(decoded.bytes),
        access=access,
        base=base,
        index=index,
        displacement=displacement,
        memory=memory,
    )


def _name(decoded: capstone.CsInsn, register: int) -> str:
    if not register:
        return ""
    name: str = decoded.reg_name(register)
    return _SCALES_TO_64_BITS.get(name, name)
