"""Every type that both the kernel's DWARF and its BTF know is the same."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest
from drgn import Program, Type, TypeKind, sizeof

from kscope.target.btf.format import Btf, Kind
from kscope.target.btf.types import TypeBuilder
from tests.target.btf.programs import SERIES, with_btf, with_dwarf

pytestmark = pytest.mark.lab

KEYWORDS = {
    Kind.INT: "",
    Kind.TYPEDEF: "",
    Kind.STRUCT: "struct ",
    Kind.UNION: "union ",
    Kind.ENUM: "enum ",
    Kind.ENUM64: "enum ",
}
MOST_WITHOUT_DWARF = 25
"""Types that pahole made up, or that only assembly or a discarded object names."""


@cache
def builder(series: str) -> TypeBuilder:
    prog = with_btf(series)
    start, end = (prog.symbol(name).address for name in ("__start_BTF", "__stop_BTF"))
    return TypeBuilder(prog, Btf(prog.read(start, end - start)))


def spelling(drgn_type: Type) -> object:
    """A type as it would be written, anonymous ones by their content.

    ``[]`` and ``[0]`` are taken for the same: BTF cannot tell them apart.
    """
    kind = drgn_type.kind
    if kind == TypeKind.ARRAY:
        return ("array", drgn_type.length or 0, spelling(drgn_type.type))
    if kind == TypeKind.POINTER:
        return ("pointer", drgn_type.qualifiers, spelling(drgn_type.type))
    if kind in (TypeKind.STRUCT, TypeKind.UNION, TypeKind.ENUM) and drgn_type.tag is None:
        return (drgn_type.qualifiers, content(drgn_type))
    if kind == TypeKind.FUNCTION:
        parameters = [spelling(parameter.type) for parameter in drgn_type.parameters]
        return ("function", spelling(drgn_type.type), parameters, drgn_type.is_variadic)
    return drgn_type.type_name()


def content(drgn_type: Type) -> object:
    """All that defines a type: size, members with offsets and bit-fields, enumerators, sign."""
    kind = drgn_type.kind
    if kind == TypeKind.TYPEDEF:
        return spelling(drgn_type.type)
    if not drgn_type.is_complete():
        return "declared only"
    if kind in (TypeKind.STRUCT, TypeKind.UNION):
        members = [
            (member.name, member.bit_offset, member.bit_field_size, spelling(member.type))
            for member in drgn_type.members
        ]
        return (kind, drgn_type.size, members)
    if kind == TypeKind.ENUM:
        enumerators = [tuple(item) for item in drgn_type.enumerators]
        return (kind, sizeof(drgn_type), drgn_type.type.is_signed, enumerators)
    return (kind, sizeof(drgn_type), drgn_type.type_name())


def dwarf_type(prog: Program, name: str) -> Type | None:
    try:
        return prog.type(name)
    except (LookupError, SyntaxError):
        return None


@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("kind", list(KEYWORDS))
def test_types_of_one_kind_are_the_same(series: str, kind: Kind) -> None:
    types = builder(series)
    prog = with_dwarf(series)
    definitions: dict[str, list[int]] = {}
    for type_id in types.btf.ids(kind):
        if types.btf.name(type_id):
            definitions.setdefault(types.btf.name(type_id), []).append(type_id)

    without_dwarf = []
    different = []
    for name, type_ids in definitions.items():
        expected = dwarf_type(prog, KEYWORDS[kind] + name)
        if expected is None:
            without_dwarf.append(name)
        # Where several files define a name, DWARF's choice must be one of BTF's.
        elif content(expected) not in [content(types.type(type_id)) for type_id in type_ids]:
            different.append(name)

    assert different == []
    assert len(without_dwarf) < MOST_WITHOUT_DWARF
    assert len(definitions) > len(without_dwarf)


@pytest.mark.parametrize("series", SERIES)
def test_every_type_in_the_btf_can_be_built_and_opened(series: str) -> None:
    types = builder(series)
    built: Counter[int] = Counter()
    for type_id in range(1, types.btf.end_id):
        kind = types.btf.kind(type_id)
        if kind in (Kind.FUNC, Kind.VAR, Kind.DATASEC, Kind.DECL_TAG):
            continue
        spelling(types.type(type_id))
        built[kind] += 1
    assert built[Kind.STRUCT] > 8000
    assert built[Kind.FUNC_PROTO] > 20000


@pytest.mark.parametrize("series", SERIES)
def test_types_are_found_by_name_through_drgn(series: str) -> None:
    task = with_btf(series).type("struct task_struct")
    expected = with_dwarf(series).type("struct task_struct")
    assert str(task) == str(expected)


@pytest.mark.parametrize("series", SERIES)
def test_types_of_modules_are_found_by_name(series: str) -> None:
    device = with_btf(series).type("struct virtio_blk")
    assert device.member("vdev").type.type_name() == "struct virtio_device *"
