"""The value of a C expression: crash's ``p`` and ``eval``."""

import msgspec
from drgn import Object, TypeKind

from kscope.kernel.access import fields
from kscope.kernel.access.fields import Field
from kscope.kernel.access.memory_image import MemoryImage
from kscope.kernel.access.reading import READ_ERRORS, reason
from kscope.kernel.access.symbols import symbols_of
from kscope.kernel.expression.c_expression import Evaluator
from kscope.kernel.expression.language import Expressions, Named
from kscope.kernel.expression.per_cpu import PerCpu
from kscope.kernel.objects.identify_address import addresses_of
from kscope.kernel.objects.values import Values, described
from kscope.model.base import Address, QueryError
from kscope.model.evaluate import EvaluateQuery, Value
from kscope.model.expressions import PerCpuPlace
from kscope.model.struct import Member
from kscope.model.text import printable
from kscope.target.target import Target

_DEPTH = 32
_LARGEST = 1 << 20


def evaluate(target: Target, query: EvaluateQuery) -> Value:
    """Answer an EvaluateQuery."""
    expression = query.expression.strip()
    try:
        copies = None if query.addresses else _whole_per_cpu_variable(target, expression)
        value = copies or Evaluator(target, expression, addresses=query.addresses).evaluate()
        if isinstance(value, Named) and value.copies:
            return _copies(expression, value)
        if isinstance(value, Named):
            if value.object is None:
                return _address(target, expression, value.address)
            value = value.object
        return _value(target, expression, value)
    except RecursionError:
        raise QueryError("This is nested too deeply.") from None
    except READ_ERRORS as error:
        raise QueryError(
            f"{printable(expression)} cannot be read: {reason(error)}.", kind="unreadable"
        ) from error


def _whole_per_cpu_variable(target: Target, name: str) -> Named | None:
    """All CPUs' copies of a per-CPU variable that is named without a CPU."""
    return Expressions(target).evaluate(f"{name}:a") if PerCpu(target).names(name) else None


def _copies(expression: str, value: Named) -> Value:
    first = value.copies[0][1]
    return Value(
        expression=expression,
        type=first.type_.type_name(),
        integer=None,
        address=None,
        symbol="",
        member=None,
        copies=tuple(
            PerCpuPlace(cpu, Address(found.address_))
            for cpu, found in value.copies
            if found.address_ is not None
        ),
    )


def _address(target: Target, expression: str, address: int) -> Value:
    """A symbol whose type is not known stands for its address."""
    return Value(
        expression=expression,
        type="void *",
        integer=address,
        address=None,
        symbol=_symbol(target, address),
        member=None,
    )


def _value(target: Target, expression: str, found: Object) -> Value:
    field = fields.of_type(target.program, found.type_)
    kind = found.type_.unaliased_kind()
    integer: int | None = None
    if kind in (TypeKind.INT, TypeKind.ENUM, TypeKind.BOOL, TypeKind.POINTER):
        integer = int(found.value_())
    elif kind is TypeKind.FUNCTION and found.address_ is not None:
        integer = found.address_
    member = _member(target, field, found)
    pointed = integer if kind in (TypeKind.POINTER, TypeKind.FUNCTION) else None
    return Value(
        expression=expression,
        type=found.type_.type_name(),
        integer=integer,
        address=None if found.address_ is None else Address(found.address_),
        symbol="" if pointed is None else _symbol(target, pointed),
        member=member,
    )


def _member(target: Target, field: Field, found: Object) -> Member:
    """The value as a member without a name."""
    values = Values(target, addresses_of(target))
    if found.address_ is not None and not found.bit_offset_ and found.bit_field_size_ is None:
        image = MemoryImage(target.program, found.address_, min(field.size, _LARGEST))
        return values.member(field, image, 0, _DEPTH)
    if field.kind in ("struct", "union", "array", "text"):
        raise QueryError("This is no object in memory.")
    value = found.value_()
    meaning = field.enumerators.get(value, "") if isinstance(value, int) else ""
    return msgspec.structs.replace(
        described(field, 0),
        name="",
        value=f"{value:#x}" if field.kind == "pointer" else value,
        meaning=meaning,
    )


def _symbol(target: Target, address: int) -> str:
    symbol = symbols_of(target).at(address)
    if symbol is None:
        return ""
    offset = address - symbol.address
    name = printable(symbol.name)
    return f"{name}+{offset}" if offset else name


ANSWERS = {EvaluateQuery: evaluate}
