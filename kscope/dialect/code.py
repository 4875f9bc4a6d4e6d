"""Machine code, as crash's ``dis``."""

import msgspec

from kscope.dialect import drgn_code
from kscope.dialect.crash_words import is_symbol
from kscope.dialect.views import Equivalent
from kscope.model.code import Code, CodeQuery, Instruction

QUERY = CodeQuery


def equivalent(query: CodeQuery) -> Equivalent:
    """``dis`` with its options; drgn has no disassembler, so its code uses capstone."""
    number = _number(query.start)
    # Of an address crash shows one instruction, kscope its function.
    forward = query.forward or (number is not None and not query.count and not query.reverse)
    note = "crash begins at the address: dis -r shows what is before it"
    words = ["dis"]
    words += [
        option
        for option, wanted in (("-l", query.lines), ("-r", query.reverse), ("-f", forward))
        if wanted
    ]
    words.append(query.start if number is None else f"{number:x}")
    if query.count:
        words.append(str(query.count))
    return Equivalent(" ".join(words), _drgn(query), note if forward != query.forward else "")


def answered(query: CodeQuery, result: Code) -> Equivalent:
    """By its address what is no function, such as a per-CPU variable, or a function's clone, whose
    name drgn would take for a member; in crash also what it does not take."""
    replace = msgspec.structs.replace
    by_address = equivalent(replace(query, start=f"{result.address:#x}"))
    if not result.function or "." in result.function:
        return by_address
    if result.address == result.start:
        by_address = replace(by_address, note="")  # there is nothing before it
    if is_symbol(query.start) and _number(query.start) is None:
        return equivalent(query)
    return replace(by_address, drgn=equivalent(query).drgn or by_address.drgn)


def _number(start: str) -> int | None:
    try:
        return int(start, 16) if start.startswith("0x") or len(start) > 7 else None
    except ValueError:
        return None


def _drgn(query: CodeQuery) -> str:
    try:
        where = drgn_code.address(query.start)
    except drgn_code.UnknownExpressionError:
        return ""
    lines = [
        f"{where.setup}address = {where.text}",
        "decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)",
        "decoder.syntax = capstone.CS_OPT_SYNTAX_ATT",
    ]
    if query.count and not query.reverse:
        # So many that follow, whatever function they are in, up to the end of the page.
        lines += [
            f"size = min({query.count} * 15, 0x1000 - (address & 0xFFF))",
            "instructions = decoder.disasm(prog.read(address, size), address)",
            f"for instruction in list(instructions)[:{query.count}]:",
        ]
        extra = ""
    else:
        shown = "instructions"
        if query.reverse:
            shown = "[i for i in instructions if i.address <= address]"
            shown += f"[-{query.count}:]" if query.count else ""
        elif query.forward:
            shown = "[i for i in instructions if i.address >= address]"
        extra = "from drgn.helpers.linux.kallsyms import load_module_kallsyms\n"
        lines += [
            "try:",
            "    symbol = prog.symbol(address)",
            "except LookupError:  # of a module whose debug info is not loaded",
            "    symbol = load_module_kallsyms(prog)(prog, None, address, True)[0]",
            "code = prog.read(symbol.address, symbol.size)",
            "instructions = list(decoder.disasm(code, symbol.address))",
            f"for instruction in {shown}:",
        ]
    lines.append("    print(hex(instruction.address), instruction.mnemonic, instruction.op_str)")
    return f"import capstone\n{extra}{drgn_code.imports(where.names)}" + "\n".join(lines) + "\n"


def text(query: CodeQuery, result: Code) -> str:
    """An instruction a line, with its function and offset; lines of source where they change."""
    lines = []
    before = None
    for each in result.instructions:
        if query.lines and each.source is not None and each.source != before:
            lines.append(f"{each.source.file}: {each.source.line}")
            before = each.source
        lines.append(_line(result, each))
    if result.note:
        lines.append(f"dis: {result.note}")
    return "\n".join(lines)


def _line(code: Code, each: Instruction) -> str:
    where = code.function or ""
    if where and each.offset:
        where += f"+{each.offset}"
    module = f" [{code.module}]" if code.module else ""
    label = f" <{where}>{module}" if where else ""
    return f"0x{int(each.address):x}{label}:\t{operation(each)}"


def operation(each: Instruction) -> str:
    """The instruction, with what its operand is."""
    text = f"{each.mnemonic:<6} {each.operands}".rstrip()
    if each.target is None:
        return text
    name = each.target_name
    if name.startswith("per-CPU"):
        return f"{text}        # {name}"
    if each.flow:
        return f"{text} <{name}>" if name else text
    return f"{text}        # {int(each.target):#x}" + (f" <{name}>" if name else "")
