"""Makes ``globals.txt``, ``statics.txt`` and ``dimensions.txt``: what BTF lacks, from DWARF.

    OMP_NUM_THREADS=1 python -m kscope.target.btf.generate VMLINUX…

with the newest kernel first. (drgn indexes DWARF in parallel, so that of several types of one name
now one and now another comes first; in one thread it is always the same.)

A kernel's own BTF names the types of its functions and (not yet in 5.10) of its per-CPU variables,
but not of its other variables. Their names and types change little from one kernel to the next, so
the table of a few reference kernels serves others too: `kscope.target.btf.globals` looks the named
types up in the dump. The first line of the table names the kernels that it was made of; each one's
vmlinux is in Debian's package linux-image-RELEASE-dbg. Every variable with a symbol of its own goes
in, but for those that the kernel's macros make for tracing, system calls and boot parameters, which
are half of them and which nobody reads by name.

And up to Linux 6.12, BTF has an array of arrays as one long array, so that
``folios[gen][type][zone]`` could not be read as in the source: `kscope.target.btf.dimensions` gives
such members their shape again.
"""

from __future__ import annotations

import re
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from drgn import Architecture, Platform, Program, SymbolKind, Type, TypeKind, sizeof

from kscope.target.btf import expressions
from kscope.target.btf.dimensions import DIMENSIONS
from kscope.target.btf.format import Btf, Kind
from kscope.target.btf.globals import TABLE
from kscope.target.btf.statics import MADE_BY_MACROS, STATICS, in_order, neighbours

_ELF_SYMBOL = struct.Struct("<IBBHQQ")
"""Elf64_Sym: st_name, st_info, st_other, st_shndx, st_value, st_size."""
_STT_OBJECT = 1
_STT_FILE = 4

_TYPES_MADE_BY_MACROS = re.compile(
    r"[*]?struct (trace_event_call|trace_event_functions|trace_event_class|trace_eval_map"
    r"|syscall_metadata|static_call_key|tracepoint|obs_kernel_param|bpf_raw_event_map"
    r"|device_attribute|kernel_param)$"
    r"|const \[\d+\]char$"
)


def _program(vmlinux: Path) -> Program:
    """A program that has the kernel's DWARF and nothing else."""
    prog = Program(Platform(Architecture.X86_64))
    prog.extra_module(str(vmlinux), create=True).try_file(vmlinux, force=True)
    return prog


def global_types(vmlinux: Path) -> dict[str, str]:
    """Name and type, in the notation of `kscope.target.btf.expressions`, of each global variable.

    Those of a name that several static variables share are in `static_variables()`.
    """
    prog = _program(vmlinux)
    symbols = [symbol for symbol in prog.symbols() if symbol.kind == SymbolKind.OBJECT]
    counts = Counter(symbol.name for symbol in symbols)
    types = {}
    for symbol in symbols:
        name = symbol.name
        if counts[name] > 1 or "." in name or MADE_BY_MACROS.match(name):
            continue
        try:
            variable = prog.variable(name)
            if variable.address_ != symbol.address:
                continue
            expression = expressions.write(_complete(variable.type_, symbol.size))
        except (LookupError, ValueError):
            continue
        if not _TYPES_MADE_BY_MACROS.match(expression):
            types[name] = expression
    return types


def static_variables(vmlinux: Path) -> dict[tuple[str, str, str, str, str], int]:
    """Name, file, neighbours and type of the static variables that share their names, and the
    address of each."""
    prog = _program(vmlinux)
    symbols = [symbol for symbol in prog.symbols() if symbol.kind == SymbolKind.OBJECT]
    counts = Counter(symbol.name for symbol in symbols)
    order = in_order(symbols)
    found = {}
    for name, file, address, size in _local_variables(vmlinux.read_bytes()):
        if counts[name] < 2 or "." in name or MADE_BY_MACROS.match(name):
            continue
        try:
            variable = prog.variable(name, file)
            if variable.address_ != address:
                continue
            expression = expressions.write(_complete(variable.type_, size))
        except (LookupError, ValueError):
            continue
        found[name, file, *neighbours(order, address), expression] = address
    return found


def _local_variables(elf: bytes) -> Iterator[tuple[str, str, int, int]]:
    """Name, file, address and size of the local variables in an ELF symbol table, which names each
    file before the symbols of it."""
    symbols, strings = _section(elf, b".symtab"), _section(elf, b".strtab")
    file = ""
    for name, info, _other, _section_index, value, size in _ELF_SYMBOL.iter_unpack(symbols):
        text = strings[name : strings.index(0, name)].decode("ascii", "replace")
        if info & 0xF == _STT_FILE:
            file = text
        elif info == _STT_OBJECT and file:  # and STB_LOCAL, which is 0
            yield text, file, value, size


def _complete(drgn_type: Type, size: int) -> Type:
    """An array that was declared without its length, with the length that its symbol gives."""
    if drgn_type.kind != TypeKind.ARRAY or drgn_type.length is not None:
        return drgn_type
    length, rest = divmod(size, sizeof(drgn_type.type))
    if rest:
        return drgn_type
    return drgn_type.type.prog.array_type(drgn_type.type, length, qualifiers=drgn_type.qualifiers)


def dimensions(vmlinux: Path) -> dict[tuple[str, str], str]:
    """Shape of the members that are arrays of arrays, by their type's notation and their name."""
    prog = _program(vmlinux)
    btf = Btf(_section(vmlinux.read_bytes(), b".BTF"))
    found: dict[tuple[str, str], str] = {}
    for kind, keyword in ((Kind.STRUCT, "struct "), (Kind.UNION, "union "), (Kind.TYPEDEF, "")):
        for type_id in btf.ids(kind):
            if btf.name(type_id):
                try:
                    drgn_type = prog.type(keyword + btf.name(type_id))
                except LookupError:
                    continue
                _find_dimensions(drgn_type.type if kind == Kind.TYPEDEF else drgn_type, found)
    return found


def _find_dimensions(drgn_type: Type, found: dict[tuple[str, str], str]) -> None:
    """Find them in a structure or union and in the anonymous types inside it."""
    if drgn_type.kind not in (TypeKind.STRUCT, TypeKind.UNION):
        return
    for member in drgn_type.members or ():
        member_type = member.type
        shape = ""
        while member_type.kind == TypeKind.ARRAY:
            shape += f"[{member_type.length or 0}]"
            member_type = member_type.type
        if shape.count("[") > 1 and member.name:
            found[expressions.write(drgn_type), member.name] = shape
        if member_type.kind in (TypeKind.STRUCT, TypeKind.UNION) and member_type.tag is None:
            _find_dimensions(member_type, found)


def dimensions_table(references: list[dict[tuple[str, str], str]]) -> str:
    """The text of the table: see `kscope.target.btf.dimensions` for how it is read."""
    lines = []
    for type_name, member in sorted({key for found in references for key in found}):
        shapes = [found[type_name, member] for found in references if (type_name, member) in found]
        lines.append("\t".join([type_name, member, *dict.fromkeys(shapes)]))
    return "\n".join(lines) + "\n"


def _section(elf: bytes, wanted: bytes) -> bytes:
    """A section of a 64-bit little-endian ELF file, by its name."""
    (headers,) = struct.unpack_from("<Q", elf, 0x28)  # e_shoff
    size, count, names = struct.unpack_from("<3H", elf, 0x3A)  # e_shentsize, e_shnum, e_shstrndx
    section = struct.Struct("<IIQQQQ")  # sh_name, sh_type, sh_flags, sh_addr, sh_offset, sh_size
    rows = [section.unpack_from(elf, headers + size * index) for index in range(count)]
    for name, _type, _flags, _address, offset, length in rows:
        start = rows[names][4] + name
        if elf[start : elf.index(0, start)] == wanted:
            return elf[offset : offset + length]
    raise SystemExit(f"no section {wanted.decode()} in the kernel")


def release(vmlinux: Path) -> str:
    """The release in a kernel's banner, which is what names it in the table."""
    match = re.search(rb"Linux version (\S+) \(", vmlinux.read_bytes())
    if match is None:
        raise SystemExit(f"{vmlinux}: no kernel banner in it")
    return match[1].decode()


def table(references: list[tuple[str, dict[str, str]]]) -> str:
    """The text of the table: see `kscope.target.btf.globals` for how it is read."""
    names = sorted({name for _, types in references for name in types}, key=str.encode)
    lines = ["\t".join(["#", *(reference for reference, _ in references)])]
    for name in names:
        columns: list[str] = []
        for _, types in references:
            expression = types.get(name, "-")
            columns.append("=" if columns and expression == columns[0] else expression)
        lines.append("\t".join([name, *columns]))
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the tables for the kernels named on the command line."""
    paths = [Path(argument) for argument in sys.argv[1:]]
    if not paths:
        raise SystemExit("usage: python -m kscope.target.btf.generate VMLINUX… (newest first)")
    DIMENSIONS.write_text(dimensions_table([dimensions(path) for path in paths]))
    statics = sorted({line for path in paths for line in static_variables(path)})
    STATICS.write_text("".join("\t".join(line) + "\n" for line in statics))
    TABLE.write_text(table([(release(path), global_types(path)) for path in paths]))


if __name__ == "__main__":
    main()
