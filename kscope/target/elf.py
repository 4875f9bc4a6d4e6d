"""As much of ELF as opening needs: a core's segments and notes, and a vmlinux's build-ID.

Files are hostile: every offset is checked against the file, and sizes are bounded before reading.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

ET_CORE = 4
PT_NOTE = 4
SHT_NOTE = 7
NT_GNU_BUILD_ID = 3
NT_PRSTATUS = 1
PN_XNUM = 0xFFFF
"""``e_phnum`` when there are more program headers than 16 bits count; ``sh_info`` has them."""

_LARGEST_NOTES = 64 << 20
_MACHINES = {3: "i386", 21: "ppc64", 22: "s390x", 40: "arm", 62: "x86_64", 183: "aarch64",
             243: "riscv", 258: "loongarch"}  # fmt: skip


class ElfError(Exception):
    """The file is not the ELF file it claims to be; says what is wrong with it."""


@dataclass(frozen=True)
class Segment:
    """A program header."""

    type: int
    offset: int
    address: int
    file_size: int


@dataclass(frozen=True)
class Note:
    """An ELF note."""

    name: bytes
    type: int
    descriptor: bytes


@dataclass(frozen=True)
class Elf:
    """An ELF file's headers."""

    type: int
    machine: str
    bits: int
    byte_order: str
    segments: tuple[Segment, ...]
    note_sections: tuple[tuple[int, int], ...]
    """Offset and size of each section of type SHT_NOTE."""

    def end(self) -> int:
        """Where the last segment's contents end: the size a whole file has at least."""
        return max((s.offset + s.file_size for s in self.segments), default=0)


def read_headers(file: BinaryIO) -> Elf:
    """Read the ELF header, program headers and section headers.

    :raises ElfError: if they cannot be what they claim.
    """
    file.seek(0)
    ident = file.read(16)
    if len(ident) < 16 or ident[:4] != b"\x7fELF":
        raise ElfError("it has no ELF header")
    bits = {1: 32, 2: 64}.get(ident[4])
    order = {1: "<", 2: ">"}.get(ident[5])
    if bits is None or order is None:
        raise ElfError("its ELF header names neither 32 nor 64 bits, or no byte order")
    header = struct.Struct(order + ("HHIQQQIHHHHHH" if bits == 64 else "HHIIIIIHHHHHH"))
    raw = file.read(header.size)
    if len(raw) < header.size:
        raise ElfError("its ELF header is cut off")
    (elf_type, machine, _, _, phoff, shoff, _, _, phentsize, phnum, shentsize, shnum, _) = (
        header.unpack(raw)
    )
    section = struct.Struct(order + ("IIQQQQIIQQ" if bits == 64 else "IIIIIIIIII"))
    program = struct.Struct(order + ("IIQQQQQQ" if bits == 64 else "IIIIIIII"))
    if phnum == PN_XNUM:
        file.seek(shoff)
        first = file.read(section.size)
        if len(first) < section.size:
            raise ElfError("its section headers are cut off")
        phnum = section.unpack(first)[7]
    if phnum > 1 << 20 or (phnum and phentsize != program.size):
        raise ElfError(f"its ELF header claims {phnum} program headers of {phentsize} bytes")
    file.seek(phoff)
    raw = file.read(phnum * program.size)
    if len(raw) < phnum * program.size:
        raise ElfError("its program headers are cut off")
    segments = []
    for fields in program.iter_unpack(raw):
        if bits == 64:
            p_type, _, offset, address, _, file_size, _, _ = fields
        else:
            p_type, offset, address, _, file_size, _, _, _ = fields
        segments.append(Segment(p_type, offset, address, file_size))
    note_sections = []
    if shoff and shentsize == section.size:
        file.seek(shoff)
        raw = file.read(shnum * section.size)
        for fields in section.iter_unpack(raw[: len(raw) // section.size * section.size]):
            if fields[1] == SHT_NOTE:
                note_sections.append((fields[4], fields[5]))
    return Elf(
        type=elf_type,
        machine=_MACHINES.get(machine, f"machine {machine}"),
        bits=bits,
        byte_order="little" if order == "<" else "big",
        segments=tuple(segments),
        note_sections=tuple(note_sections),
    )


def parse_notes(data: bytes, byte_order: str = "little") -> Iterator[Note]:
    """The notes in a PT_NOTE segment or SHT_NOTE section, up to the first that does not fit."""
    header = struct.Struct("<III" if byte_order == "little" else ">III")
    position = 0
    while position + header.size <= len(data):
        name_size, descriptor_size, note_type = header.unpack_from(data, position)
        name_start = position + header.size
        descriptor_start = name_start + (name_size + 3 & ~3)
        end = descriptor_start + descriptor_size
        if end > len(data):
            return
        name = data[name_start : name_start + name_size].rstrip(b"\0")
        yield Note(name, note_type, data[descriptor_start:end])
        position = descriptor_start + (descriptor_size + 3 & ~3)


def core_notes(file: BinaryIO, elf: Elf) -> list[Note]:
    """The notes of a core dump."""
    notes: list[Note] = []
    for segment in elf.segments:
        if segment.type == PT_NOTE and segment.file_size <= _LARGEST_NOTES:
            file.seek(segment.offset)
            notes += parse_notes(file.read(segment.file_size), elf.byte_order)
    return notes


def build_id(file: BinaryIO) -> str:
    """The GNU build-ID of an ELF file in hexadecimal; empty when it has none.

    A vmlinux-dbg file's program headers may point at contents that only the stripped file has,
    so its note sections are read.

    :raises ElfError: if the file is not ELF.
    """
    elf = read_headers(file)
    for offset, size in elf.note_sections:
        if size <= _LARGEST_NOTES:
            file.seek(offset)
            for note in parse_notes(file.read(size), elf.byte_order):
                if note.type == NT_GNU_BUILD_ID and note.name == b"GNU":
                    return note.descriptor.hex()
    return ""
