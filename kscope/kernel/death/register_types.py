"""What a register pointed to, told from the function's prototype and the way up to an instruction.

Without debug info's location lists, the types of a function's arguments are still known (BTF has
every prototype), and the calling convention says in which registers they came. Following the
instructions from the function's beginning to the one in question tells what became of them: copies,
and loads of members, whose types are known in turn. Jumps are not followed: the result is what the
register held if the code ran straight to that instruction.
"""

import re
from dataclasses import dataclass

import capstone
from capstone import x86
from drgn import Architecture, Object, Program, StackFrame, Type, TypeKind
from drgn.helpers.common.type import member_at_offset

from kscope.kernel.access.reading import READ_ERRORS
from kscope.kernel.unwinding.telling import function_name

_ARGUMENTS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")
"""System V calling convention for x86-64, which the kernel uses."""

_LOST_IN_CALLS = ("rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11")

_LONGEST_FUNCTION = 0x4000

_CURRENT = ("current_task", "pcpu_hot", "const_current_task")
"""Per-CPU variables that the running task is read from."""


@dataclass(frozen=True)
class Pointed:
    """What a register pointed to."""

    type_name: str
    """``struct request``"""
    member: str
    """The member at the offset in question; empty if there is none of that offset."""
    how: str
    """Where the pointer came from: ``argument request``."""


def pointed_to(program: Program, frame: StackFrame, register: str, offset: int) -> Pointed | None:
    """What ``register`` pointed to where ``frame`` was stopped, and the member at ``offset``."""
    return _by_variables(frame, register, offset) or _by_instructions(
        program, frame.pc, register, offset
    )


def _by_variables(frame: StackFrame, register: str, offset: int) -> Pointed | None:
    """With DWARF: the one variable that has the register's value and a member at ``offset``."""
    found = []
    try:
        value = frame.register(register)
        for name in frame.locals():
            variable = frame[name]
            if variable.absent_ or variable.type_.kind is not TypeKind.POINTER:
                continue
            type_ = _structure(variable.type_)
            if type_ is None or variable.value_() != value:
                continue
            member = _member(type_, offset)
            if member:
                found.append(Pointed(type_.type_name(), member, f"variable {name}"))
    except READ_ERRORS:
        return None
    return found[0] if len(found) == 1 else None


def _by_instructions(program: Program, pc: int, register: str, offset: int) -> Pointed | None:
    if program.platform is None or program.platform.arch is not Architecture.X86_64:
        return None
    try:
        symbol = program.symbol(pc)
        known = _Types(program, symbol.name).at(symbol.address, pc)
        type_, how = known[register]
    except (KeyError, *READ_ERRORS):
        return None
    return Pointed(type_.type_name(), _member(type_, offset), how)


def _member(type_: Type, offset: int) -> str:
    try:
        names = str(member_at_offset(type_, offset))
    except READ_ERRORS:
        return ""
    shortest = min(names.split(" or "), key=len)
    return "" if shortest.startswith("<") else shortest


class _Types:
    def __init__(self, program: Program, symbol: str) -> None:
        self._program = program
        self._known: dict[str, tuple[Type, str]] = {}
        # A clone's arguments may have been left away or rearranged (.isra, .constprop).
        if function_name(symbol) == symbol:
            self._take_arguments(program.function(symbol))

    def _take_arguments(self, function: Object) -> None:
        for register, parameter in zip(_ARGUMENTS, function.type_.parameters, strict=False):
            pointed = _structure(parameter.type)
            if pointed is not None:
                self._known[register] = (pointed, f"argument {parameter.name or register}")

    def at(self, start: int, pc: int) -> dict[str, tuple[Type, str]]:
        """The structures that registers point to just before ``pc``."""
        if pc - start > _LONGEST_FUNCTION:
            return {}
        decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
        decoder.detail = True
        for instruction in decoder.disasm(self._program.read(start, pc - start), start):
            self._step(instruction)
        return self._known

    def _step(self, instruction: capstone.CsInsn) -> None:
        if instruction.id == x86.X86_INS_CALL:
            for register in _LOST_IN_CALLS:
                self._known.pop(register, None)
            return
        found = self._moved(instruction)
        _, written = instruction.regs_access()
        for number in written:
            self._known.pop(instruction.reg_name(number), None)
        if found is not None:
            register, value = found
            self._known[register] = value

    def _moved(self, instruction: capstone.CsInsn) -> tuple[str, tuple[Type, str]] | None:
        """The register that a MOV gives a pointer to a known structure."""
        if instruction.id != x86.X86_INS_MOV or len(instruction.operands) != 2:
            return None
        to, source = instruction.operands
        if to.type != x86.X86_OP_REG or to.size != 8:
            return None
        name = instruction.reg_name(to.reg)
        if source.type == x86.X86_OP_REG:
            value = self._known.get(instruction.reg_name(source.reg))
            return None if value is None else (name, value)
        if source.type != x86.X86_OP_MEM or source.mem.index:
            return None
        if source.mem.segment == x86.X86_REG_GS:
            return self._current(name, source.mem.disp)
        base = self._known.get(instruction.reg_name(source.mem.base) if source.mem.base else "")
        if base is None:
            return None
        type_, how = base
        member = _member(type_, source.mem.disp)
        pointed = _member_type(type_, member)
        return None if pointed is None else (name, (pointed, f"{how}->{member}"))

    def _current(self, register: str, offset: int) -> tuple[str, tuple[Type, str]] | None:
        for name in _CURRENT:
            try:
                address = self._program.symbol(name).address
            except LookupError:
                continue
            if address == offset:
                return register, (self._program.type("struct task_struct"), "current")
        return None


def _structure(type_: Type) -> Type | None:
    """The complete structure that a pointer type points to."""
    while type_.kind is TypeKind.TYPEDEF:
        type_ = type_.type
    if type_.kind is not TypeKind.POINTER:
        return None
    target = type_.type
    while target.kind is TypeKind.TYPEDEF:
        target = target.type
    complete = target.kind in (TypeKind.STRUCT, TypeKind.UNION) and target.members is not None
    return target.unqualified() if complete else None


def _member_type(type_: Type, path: str) -> Type | None:
    if not path or "[" in path:
        return None
    try:
        for name in re.split(r"\.", path):
            type_ = type_.member(name).type
            while type_.kind is TypeKind.TYPEDEF:
                type_ = type_.type
    except READ_ERRORS:
        return None
    return _structure(type_)
