"""Machine code, as crash's ``dis``."""

from kscope.dialect.views import Equivalent
from kscope.model.code import Code, CodeQuery, Instruction

QUERY = CodeQuery


def equivalent(query: CodeQuery) -> Equivalent:
    """``dis`` with its options; drgn has no disassembler, so its code uses capstone."""
    words = ["dis"]
    words += [
        option
        for option, wanted in (("-l", query.lines), ("-r", query.reverse), ("-f", query.forward))
        if wanted
    ]
    words.append(
        query.start.removeprefix("0x") if query.start.startswith("0xffff") else query.start
    )
    if query.count:
        words.append(str(query.count))
    start = query.start
    try:
        key = hex(int(start, 16))
    except ValueError:
        key = f'"{start.partition("+")[0].strip()}"'
    drgn = (
        "import capstone\n\n"
        f"symbol = prog.symbol({key})\n"
        "decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)\n"
        "decoder.syntax = capstone.CS_OPT_SYNTAX_ATT\n"
        "code = prog.read(symbol.address, symbol.size)\n"
        "for instruction in decoder.disasm(code, symbol.address):\n"
        "    print(hex(instruction.address), instruction.mnemonic, instruction.op_str)\n"
    )
    return Equivalent(" ".join(words), drgn)


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
