"""Machine code, as crash's ``dis``."""

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


def _number(start: str) -> int | None:
    try:
        return int(start, 16) if start.startswith("0x") or len(start) > 7 else None
    except ValueError:
        return None


def _drgn(query: CodeQuery) -> str:
    number = _number(query.start)
    name, plus, offset = query.start.partition("+")
    if number is not None:
        address = f"{number:#x}"
    else:
        address = f'prog.symbol("{name.strip()}").address' + (f" + {offset}" if plus else "")
    shown = "instructions"
    if query.reverse:
        shown = "[i for i in instructions if i.address <= address]"
    elif query.forward or query.count:
        shown = "[i for i in instructions if i.address >= address]"
    if query.count:
        shown += f"[-{query.count}:]" if query.reverse else f"[:{query.count}]"
    return (
        "import capstone\n\n"
        f"address = {address}\n"
        "symbol = prog.symbol(address)\n"
        "decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)\n"
        "decoder.syntax = capstone.CS_OPT_SYNTAX_ATT\n"
        "code = prog.read(symbol.address, symbol.size)\n"
        "instructions = list(decoder.disasm(code, symbol.address))\n"
        f"for instruction in {shown}:\n"
        "    print(hex(instruction.address), instruction.mnemonic, instruction.op_str)\n"
    )


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
