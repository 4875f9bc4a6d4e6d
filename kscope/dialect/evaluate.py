"""The value of a C expression, as crash's ``p`` and ``eval`` print it."""

import re

import msgspec

from kscope.dialect import drgn_code
from kscope.dialect import struct as struct_layout
from kscope.dialect.views import Equivalent
from kscope.model.evaluate import EvaluateQuery, Value
from kscope.model.struct import Member

QUERY = EvaluateQuery

_ARITHMETIC = re.compile(r"(?:0x[0-9a-fA-F]+|\d+|[-+*%()<>&|^~ ])+")
_SIZEOF = re.compile(r"sizeof\s*\(\s*((?:struct|union)\s+\w+|\w+_t)\s*\)")


def equivalent(query: EvaluateQuery) -> Equivalent:
    """``p``, or for addresses ``eval``."""
    expression = query.expression.strip()
    if query.addresses:
        name = expression.partition(" ")[0]
        code = f"print(hex({expression}))"
        if name.isidentifier():
            code = f'{name} = prog.symbol("{name}").address\n{code}'
        return Equivalent(f"eval {expression}", code)
    return Equivalent(f"p {expression}", _drgn(expression))


def answered(query: EvaluateQuery, result: Value) -> Equivalent:
    """A per-CPU variable is all its copies; of a symbol without a type there is the address."""
    name = query.expression.strip()
    if name.isidentifier() and result.copies:
        query = msgspec.structs.replace(query, expression=f"{name}:a")
    elif name.isidentifier() and result.member is None:
        query = msgspec.structs.replace(query, addresses=True)
    return equivalent(query)


def _drgn(expression: str) -> str:
    """Empty of what is more C than the address bar takes: drgn has no evaluator of it."""
    if _ARITHMETIC.fullmatch(expression):
        return f"print({expression})\n"
    size = _SIZEOF.fullmatch(expression)
    if size is not None:
        return f'from drgn import sizeof\n\nprint(sizeof(prog.type("{size[1]}")))\n'
    try:
        found = drgn_code.object_(expression, in_c=True)
    except drgn_code.UnknownExpressionError:
        return ""
    begin = drgn_code.imports(found.names) + found.setup
    if found.cpus:
        return f"{begin}for cpu in {found.cpus}:\n    print(cpu, {found.text})\n"
    return f"{begin}print({found.text})\n"


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
