"""The value of a C expression, as crash's ``p`` and ``eval`` print it."""

from kscope.dialect import struct as struct_layout
from kscope.dialect.views import Equivalent
from kscope.model.evaluate import EvaluateQuery, Value
from kscope.model.struct import Member

QUERY = EvaluateQuery


def equivalent(query: EvaluateQuery) -> Equivalent:
    """``p``, or for addresses ``eval``."""
    expression = query.expression.strip()
    if query.addresses:
        name = expression.partition(" ")[0]
        code = f"print(hex({expression}))"
        if name.isidentifier():
            code = f'{name} = prog.symbol("{name}").address\n{code}'
        return Equivalent(f"eval {expression}", code)
    path = expression.replace("->", ".").lstrip("&")
    name, dot, members = path.partition(".")
    if name.isidentifier():
        return Equivalent(f"p {expression}", f'print(prog["{name}"]{dot}{members})')
    note = "drgn has no evaluator of C: write the expression with prog[…] and cast()"
    return Equivalent(f"p {expression}", f"print({expression})", note)


def text(query: EvaluateQuery, result: Value) -> str:
    """As the command prints it, without gdb's ``$1 =``."""
    if query.addresses and result.integer is not None:
        return bases(result.integer)
    if result.copies:
        return per_cpu(result)
    return value(result)


def value(result: Value, radix: int = 10) -> str:
    """As gdb prints it."""
    member = result.member
    if member is None or member.kind == "opaque":
        symbol = f" <{result.symbol}>" if result.symbol else ""
        return f"{{{result.type}}} {result.integer or 0:#x}{symbol}"
    if member.kind == "pointer" and member.points_to != "char":
        symbol = f" <{result.symbol}>" if result.symbol else ""
        return f"({result.type}) {member.value}{symbol}"
    if radix == 16:
        member = struct_layout.member_in_hexadecimal(member)
    return struct_layout.instance((member,) if not member.members else _members(member))


def _members(member: Member) -> tuple[Member, ...]:
    return (member,) if member.kind == "array" else member.members


def per_cpu(result: Value) -> str:
    """Where a per-CPU variable is, as crash lists it."""
    name = result.expression
    lines = ["PER-CPU DATA TYPE:", f"  {result.type} {name};", "PER-CPU ADDRESSES:"]
    width = max(len(str(copy.cpu)) for copy in result.copies)
    lines += [f"  {f'[{copy.cpu}]':>{width + 2}}: {copy.address:x}" for copy in result.copies]
    return "\n".join(lines)


def bases(number: int, *, bits: bool = False) -> str:
    """A number in every base, as ``eval`` prints it."""
    word = number & (1 << 64) - 1
    signed = word - (1 << 64) if word >> 63 else word
    lines = [
        f"hexadecimal: {word:x}  {_size(word)}",
        f"    decimal: {word}  {f'({signed})' if signed < 0 else ''}",
        f"      octal: {word:o}",
        f"     binary: {word:064b}",
    ]
    if bits:
        numbers = "".join(f"{bit} " for bit in range(63, -1, -1) if word >> bit & 1)
        lines.append(f"   bits set: {numbers}")
    return "\n".join(lines)


def _size(number: int) -> str:
    """``(4KB)`` of a number that is a whole count of it."""
    for shift, unit in ((30, "GB"), (20, "MB"), (10, "KB")):
        if number >> shift and not number & ((1 << shift) - 1) and number >> shift < 1 << 20:
            return f"({number >> shift}{unit})"
    return ""
