"""Machine code of the running kernel as it was patched: crash's ``dis``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from drgn import Architecture, FaultError, PlatformFlags, Program, Symbol

from kscope.kernel.access.reading import READ_ERRORS, reason
from kscope.kernel.access.symbols import Symbols, symbols_of
from kscope.kernel.memory import start_address
from kscope.model.base import Address, QueryError
from kscope.model.code import Code, CodeQuery, FlowKind, Instruction, Source
from kscope.model.text import printable
from kscope.target.target import Target

if TYPE_CHECKING:
    import capstone

_MOST = 10_000
"""Instructions at once: they are decoded in one piece."""
_LARGEST = 1 << 20
"""Bytes: no function is as long; a symbol that is says something else."""
_LONGEST_INSTRUCTION = 16
_LONG_NUMBER = re.compile(r"\$([0-9]{5,})\b")


def code(target: Target, query: CodeQuery) -> Code:
    """Answer a CodeQuery."""
    if query.count > _MOST:
        raise QueryError(
            f"{query.count:,} instructions are too many at once.", f"At most {_MOST:,}."
        )
    address = start_address(target, query.start)
    symbols = symbols_of(target)
    symbol = symbols.at(address)
    if symbol is not None and not symbols.is_code(symbol) and not query.count:
        raise QueryError(
            f"{symbols.text_of(symbol, address)} is no function.", "A COUNT decodes it anyway."
        )
    if symbol is None and not query.count:
        raise QueryError(
            f"{address:x} lies in no function that is known.", "A COUNT decodes what is there."
        )
    start, end = _extent(query, address, symbol)
    return _Decoder(target, symbols).decode(query, address, symbol, range(start, end))


def _extent(query: CodeQuery, address: int, symbol: Symbol | None) -> tuple[int, int]:
    """Where to begin and, at the latest, to end."""
    if symbol is None or (query.count and not query.reverse):
        limit = address + max(query.count, 1) * _LONGEST_INSTRUCTION
        if query.forward and symbol is not None:
            limit = symbol.address + symbol.size
        return address, limit
    end = symbol.address + min(max(symbol.size, 1), _LARGEST)
    if query.reverse:
        return symbol.address, min(address + _LONGEST_INSTRUCTION, max(end, address + 1))
    if query.forward or address != symbol.address:
        return (address, end) if query.forward else (symbol.address, end)
    return symbol.address, end


class _Decoder:
    """Decodes one target's instructions."""

    def __init__(self, target: Target, symbols: Symbols) -> None:
        self._program = target.program
        self._dwarf = target.debug_info.types == "dwarf"
        self._symbols = symbols
        self._capstone = _capstone(target.program)

    def decode(self, query: CodeQuery, address: int, symbol: Symbol | None, extent: range) -> Code:
        start = symbol.address if symbol is not None else address
        instructions, note = self._instructions(query, address, start, extent)
        if query.lines and not self._dwarf:
            note = note or "source lines are in a vmlinux with DWARF only"
        end = start + (symbol.size if symbol is not None else 0)
        last = instructions[-1] if instructions else None
        return Code(
            function=printable(symbol.name) if symbol is not None else "",
            module=self._symbols.module_of(address),
            start=Address(start),
            address=Address(address),
            instructions=tuple(instructions),
            complete=last is not None and int(last.address) + last.size >= end,
            note=note,
        )

    def _instructions(
        self, query: CodeQuery, address: int, start: int, extent: range
    ) -> tuple[list[Instruction], str]:
        raw, note = self._read(extent)
        found: list[Instruction] = []
        following = extent.start
        for each in self._capstone.disasm(raw, extent.start):
            if query.reverse and each.address > address:
                break
            found.append(self._instruction(each, start, query.lines))
            following = each.address + each.size
            if query.count and not query.reverse and len(found) >= query.count:
                break
        else:
            wanted = min(extent.stop, address + 1) if query.reverse else extent.stop
            if following < wanted and not note:
                note = f"what is at {following:x} is no instruction"
        if query.reverse and query.count:
            found = found[-query.count :]
        return found, note

    def _read(self, extent: range) -> tuple[bytes, str]:
        """The bytes, up to the first page that is missing."""
        try:
            return self._program.read(extent.start, len(extent)), ""
        except FaultError as error:
            why = reason(error)
        raw = b""
        position = extent.start
        while position < extent.stop:
            page_end = min((position | 0xFFF) + 1, extent.stop)
            try:
                raw += self._program.read(position, page_end - position)
            except FaultError:
                break
            position = page_end
        if not raw:
            raise QueryError(f"The code cannot be read: {why}.", kind="unreadable")
        return raw, f"the rest cannot be read: {why}"

    def _instruction(self, each: capstone.CsInsn, start: int, lines: bool) -> Instruction:
        flow = _flow(each)
        target = _target(each, flow)
        name = "" if target is None else self._symbols.text(target)
        if target is None:
            target = _per_cpu_offset(each)
            variable = None if target is None else self._symbols.per_cpu_at(target)
            name = "" if variable is None else f"per-CPU {printable(variable.name)}"
        return Instruction(
            address=Address(each.address),
            offset=each.address - start,
            size=each.size,
            mnemonic=each.mnemonic,
            # As the kernel and GNU tools write it.
            operands=_LONG_NUMBER.sub(
                lambda number: f"${int(number[1]):#x}", each.op_str.replace(", ", ",")
            ),
            flow=flow,
            target=None if target is None else Address(target),
            target_name=name,
            source=self._source(each.address) if lines and self._dwarf else None,
        )

    def _source(self, address: int) -> Source | None:
        try:
            found = self._program.source_location(address)
            if not found:
                return None
            innermost = found[0]
            return Source(printable(innermost.filename), innermost.line)
        except READ_ERRORS:
            return None


def _capstone(program: Program) -> capstone.Cs:
    import capstone

    platform = program.platform
    arch = platform.arch if platform is not None else Architecture.UNKNOWN
    little = platform is None or bool(platform.flags & PlatformFlags.IS_LITTLE_ENDIAN)
    order = capstone.CS_MODE_LITTLE_ENDIAN if little else capstone.CS_MODE_BIG_ENDIAN
    choices = {
        Architecture.X86_64: (capstone.CS_ARCH_X86, capstone.CS_MODE_64),
        Architecture.I386: (capstone.CS_ARCH_X86, capstone.CS_MODE_32),
        Architecture.AARCH64: (capstone.CS_ARCH_ARM64, order),
        Architecture.ARM: (capstone.CS_ARCH_ARM, order),
        Architecture.PPC64: (capstone.CS_ARCH_PPC, capstone.CS_MODE_64 | order),
        Architecture.S390X: (capstone.CS_ARCH_SYSZ, capstone.CS_MODE_BIG_ENDIAN),
        Architecture.RISCV64: (
            capstone.CS_ARCH_RISCV,
            capstone.CS_MODE_RISCV64 | capstone.CS_MODE_RISCVC,
        ),
    }
    if arch not in choices:
        raise QueryError(f"The code of {arch.name} machines cannot be decoded here.")
    decoder = capstone.Cs(*choices[arch])
    decoder.detail = True
    if choices[arch][0] == capstone.CS_ARCH_X86:
        decoder.syntax = capstone.CS_OPT_SYNTAX_ATT
    return decoder


def _flow(each: capstone.CsInsn) -> FlowKind:
    import capstone

    groups = set(each.groups)
    if capstone.CS_GRP_CALL in groups:
        return "call"
    if capstone.CS_GRP_RET in groups or capstone.CS_GRP_IRET in groups:
        return "return"
    if capstone.CS_GRP_JUMP in groups:
        unconditional = each.mnemonic in ("jmp", "b", "br", "j", "jmpq")
        return "jump" if unconditional else "branch"
    return ""


def _target(each: capstone.CsInsn, flow: FlowKind) -> int | None:
    """Where the instruction goes, or the memory that it names by its address."""
    from capstone import CS_ARCH_X86, x86_const

    operands: list[Any] = each.operands
    if flow in ("call", "jump", "branch"):
        for operand in reversed(operands):
            if operand.type == 2:  # CS_OP_IMM, the same on every architecture
                return int(operand.imm) & (1 << 64) - 1
    if each._cs.arch != CS_ARCH_X86:
        return None
    for operand in operands:
        if operand.type == x86_const.X86_OP_MEM:
            memory = operand.mem
            if memory.base == x86_const.X86_REG_RIP and not memory.index:
                # Relative to %gs it is a per-CPU variable, whose address that is not.
                if memory.segment == x86_const.X86_REG_GS:
                    return None
                return int(each.address + each.size + memory.disp) & (1 << 64) - 1
            if not memory.base and not memory.segment and memory.disp < 0:
                return int(memory.disp) & (1 << 64) - 1
        if operand.type == x86_const.X86_OP_IMM and operand.imm < 0 and each.mnemonic == "movq":
            value = int(operand.imm) & (1 << 64) - 1
            if value >= 0xFFFFFFFF80000000:
                return value
    return None


def _per_cpu_offset(each: capstone.CsInsn) -> int | None:
    """The offset of a per-CPU variable that is named relative to %gs."""
    from capstone import CS_ARCH_X86, x86_const

    if each._cs.arch != CS_ARCH_X86:
        return None
    for operand in each.operands:
        if operand.type != x86_const.X86_OP_MEM:
            continue
        memory = operand.mem
        if memory.segment != x86_const.X86_REG_GS or memory.index:
            continue
        if memory.base == x86_const.X86_REG_RIP:
            return int(each.address + each.size + memory.disp) & (1 << 64) - 1
        if not memory.base:
            return int(memory.disp) & (1 << 64) - 1
    return None


ANSWERS = {CodeQuery: code}
