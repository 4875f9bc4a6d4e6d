"""A fault of the kernel on memory: NULL pointers, addresses that are not mapped or no addresses."""

from collections.abc import Iterator

from kscope.kernel.access.page_tables import address_bits
from kscope.kernel.access.reading import READ_ERRORS
from kscope.kernel.death.exception import Stopped
from kscope.kernel.death.instruction import Instruction, decode
from kscope.kernel.death.register_types import Pointed, pointed_to
from kscope.kernel.objects.identify_address import addresses_of
from kscope.model.survey import Evidence, Finding, PanicKind
from kscope.model.text import printable
from kscope.triage.facts import Facts
from kscope.triage.panic_kind import NULL_PAGE
from kscope.triage.panics import modules_evidence, panic_finding, where
from kscope.triage.rule import Rule

_TITLES: dict[PanicKind, str] = {
    "null-deref": "NULL pointer dereference",
    "bad-page-fault": "Page fault on an address that is not mapped",
    "general-protection": "General protection fault",
}


def _user_end(facts: Facts) -> int:
    """Above are no user addresses, and up to the kernel's no addresses at all."""
    return 1 << address_bits(facts.target)


def _check(facts: Facts) -> Iterator[Finding]:
    kind = facts.panic.kind
    if kind not in _TITLES:
        return
    stopped = facts.stopped
    if stopped is None or stopped.pc is None:
        yield _without_registers(facts, kind)
        return
    instruction = decode(facts.program, stopped.pc, stopped.registers)
    evidence = list(_registers(facts, stopped, instruction))
    access, address, meaning = "touched", None, ""
    pointed: Pointed | None = None
    if instruction is not None:
        address = instruction.memory
        access = {"read": "read from", "write": "wrote to"}.get(instruction.access or "", "touched")
        if instruction.access is None and kind != "general-protection":
            address, access = stopped.pc, "executed code at"
        if stopped.frame is not None and instruction.base not in ("", "rip"):
            pointed = pointed_to(
                facts.program, stopped.frame, instruction.base, instruction.displacement
            )
    if pointed is not None:
        evidence.append(_member_evidence(pointed, instruction))
    if address is not None:
        meaning = meaning_of(facts, address, instruction, stopped)
    evidence += modules_evidence(facts)
    at = f"{stopped.function}+{stopped.offset:#x}"
    to = f" {address:#x}" if address is not None else " memory"
    yield panic_finding(
        facts,
        RULE.name,
        title=f"{_TITLES[kind]} in {stopped.function}(), {where(facts)}",
        explanation=f"The kernel {access}{to} at {at}"
        + (f" ({meaning})" if meaning else "")
        + ". "
        + _what_it_was(pointed, instruction)
        + ("" if pointed is not None else _why_unnamed(facts, stopped))
        + "Look at who left that pointer as it is: its callers' arguments first, then, if the "
        "object came from a list or a freed cache, who freed it.",
        evidence=evidence,
        addresses=[stopped.pc, address],
        disproof="another exception's entry on the stack, or registers that give that instruction "
        "another address",
    )


def _without_registers(facts: Facts, kind: PanicKind) -> Finding:
    return panic_finding(
        facts,
        RULE.name,
        title=f"{_TITLES[kind]}, {where(facts)}",
        explanation="The registers of that moment are not in the dump: the log has them, if "
        "anything has.",
        disproof="registers of the panicking CPU that show another exception",
    )


def _registers(
    facts: Facts, stopped: Stopped, instruction: Instruction | None
) -> Iterator[Evidence]:
    if instruction is None:
        return
    yield Evidence(
        label="instruction",
        text=f"{instruction.address:x}: {instruction.text}",
        crash=f"dis {instruction.address:x} 1",
        drgn=f"print(prog.read({instruction.address:#x}, {len(instruction.data)}).hex())",
    )
    names = [name for name in (instruction.base, instruction.index) if name and name != "rip"]
    for name in names:
        value = stopped.registers.get(name)
        if value is None:
            continue
        identity = _identity(facts, value)
        yield Evidence(
            label=f"register {name.upper()}",
            text=f"{value:#x}" + (f": {identity}" if identity else ""),
            crash="bt",
            drgn=f'print(hex(prog.crashed_thread().stack_trace()[0].register("{name}")))',
        )


def _identity(facts: Facts, value: int) -> str:
    try:
        return addresses_of(facts.target).identify(value).text
    except READ_ERRORS:
        return ""


def _member_evidence(pointed: Pointed, instruction: Instruction | None) -> Evidence:
    offset = instruction.displacement if instruction else 0
    member = f".{pointed.member}" if pointed.member else ""
    return Evidence(
        label="structure",
        text=f"{pointed.type_name}{member} is at offset {offset:#x}; the pointer was {pointed.how}",
        crash=f"struct {pointed.type_name.removeprefix('struct ')} -o",
        drgn=f'print(prog.type("{pointed.type_name}"))',
    )


def _what_it_was(pointed: Pointed | None, instruction: Instruction | None) -> str:
    if pointed is None or instruction is None:
        if instruction is not None and instruction.base and 0 < instruction.displacement < 0x1000:
            return (
                f"It is a member at offset {instruction.displacement:#x} of what "
                f"{instruction.base.upper()} points to. "
            )
        return ""
    member = f"its member {pointed.member}" if pointed.member else "a member"
    return f"It went for {member} of a {pointed.type_name} ({pointed.how}). "


def _why_unnamed(facts: Facts, stopped: Stopped) -> str:
    """What keeps the structure from being named, if the compiler does."""
    try:
        name = printable(facts.program.symbol(stopped.pc or 0).name)
    except READ_ERRORS:
        return ""
    if "." not in name:
        return ""
    owner = stopped.module or "the kernel"
    return (
        f"Which structure that is, only the DWARF of {owner} tells: the compiler made {name} a "
        "copy with other arguments than the source has. "
    )


def meaning_of(
    facts: Facts, address: int, instruction: Instruction | None, stopped: Stopped
) -> str:
    """What is wrong with the address."""
    base = stopped.registers.get(instruction.base) if instruction and instruction.base else None
    if base == 0 and address < NULL_PAGE:
        return f"{(instruction.base if instruction else '?').upper()} is a NULL pointer"
    if address < NULL_PAGE:
        return "an address in the page that is never mapped"
    for value in (base, address):
        text = "" if value is None else _identity(facts, value)
        if text and ("poison" in text.casefold() or "ERR_PTR" in text):
            return text
    user_end = _user_end(facts)
    if user_end <= address < (1 << 64) - user_end:
        return "not canonical: the CPU can never map it"
    if address < user_end:
        return "an address of user space"
    return _identity(facts, address)


RULE = Rule("panic-bad-access", "a fault of the kernel on memory", _check, live=False)
