"""drgn types are built from BTF exactly, or refused with a sentence."""

from __future__ import annotations

import pytest
from drgn import (
    Architecture,
    Platform,
    PrimitiveType,
    Program,
    Qualifiers,
    Type,
    TypeKind,
    offsetof,
    sizeof,
)

from kscope.target.btf.errors import DamagedBtfError
from kscope.target.btf.format import Btf, Kind
from kscope.target.btf.types import TypeBuilder
from tests.target.btf.blob import Blob, small_kernel


def builder(blob: Blob) -> TypeBuilder:
    return TypeBuilder(Program(Platform(Architecture.X86_64)), Btf(blob.bytes()))


def named(kind: Kind, name: str) -> Type:
    types = builder(small_kernel())
    type_id = types.find(kind, name)
    assert type_id is not None
    return types.type(type_id)


def test_a_structure_reads_as_its_declaration() -> None:
    assert str(named(Kind.STRUCT, "task")) == (
        "struct task {\n"
        "\tvolatile unsigned long flags;\n"
        "\tchar comm[16];\n"
        "\tenum state state;\n"
        "\tint prio : 3;\n"
        "\tint on_cpu : 1;\n"
        "\tstruct list_head list;\n"
        "\tstruct {\n"
        "\t\tint counter;\n"
        "\t};\n"
        "\tconst char *text;\n"
        "}"
    )


def test_members_lie_where_btf_says() -> None:
    task = named(Kind.STRUCT, "task")
    assert sizeof(task) == 64
    assert [offsetof(task, name) for name in ("flags", "comm", "list", "counter", "text")] == [
        0, 8, 32, 48, 56,
    ]  # fmt: skip


def test_bit_fields_have_their_offset_and_size() -> None:
    prio, on_cpu = named(Kind.STRUCT, "task").members[3:5]
    assert (prio.bit_offset, prio.bit_field_size) == (224, 3)
    assert (on_cpu.bit_offset, on_cpu.bit_field_size) == (227, 1)


def test_bit_fields_of_old_pahole_are_integers_that_do_not_fill_their_bytes() -> None:
    blob = Blob()
    partial = blob.integer("unsigned int", 4, bits=3, at=2)
    blob.compound("flags", 4, [("mode", partial, 8)])

    (member,) = builder(blob).type(2).members

    assert (member.bit_offset, member.bit_field_size) == (10, 3)


def test_structures_may_point_at_each_other() -> None:
    head = named(Kind.STRUCT, "list_head")
    assert head.member("next").type.type.member("prev").type.type.tag == "list_head"


def test_a_union_is_a_union() -> None:
    assert str(named(Kind.UNION, "value")) == (
        "union value {\n\tunsigned long number;\n\tstruct page *page;\n}"
    )


def test_integers_are_the_languages_own() -> None:
    types = builder(small_kernel())
    assert types.type(1).primitive == PrimitiveType.C_INT
    assert types.type(2).primitive == PrimitiveType.C_UNSIGNED_LONG
    assert types.type(3).primitive == PrimitiveType.C_BOOL
    assert types.type(4).primitive == PrimitiveType.C_CHAR
    assert types.type(5).primitive == PrimitiveType.C_DOUBLE


def test_enumerators_have_the_sign_of_their_type() -> None:
    assert [tuple(item) for item in named(Kind.ENUM, "state").enumerators] == [
        ("RUNNING", 0),
        ("DEAD", -1),
    ]
    assert [tuple(item) for item in named(Kind.ENUM64, "flags").enumerators] == [
        ("LOW", 1),
        ("HIGH", 1 << 40),
    ]


def test_an_unsigned_enumeration_keeps_its_highest_bit() -> None:
    blob = Blob()
    blob.enumeration("error", 4, [("NONE", -1)], signed=True)
    mask = blob.enumeration("mask", 4, [("TOP", 1 << 31)])

    assert builder(blob).type(mask).enumerators[0].value == 1 << 31


def test_enumerations_of_old_pahole_are_signed_if_they_look_so() -> None:
    blob = Blob()
    error = blob.enumeration("error", 4, [("NONE", -1)])

    assert builder(blob).type(error).enumerators[0].value == -1


def test_negative_enumerators_of_64_bits_are_negative() -> None:
    blob = Blob()
    blob.enumeration64("wide", 8, [("LOWEST", -(1 << 63)), ("MINUS", -1)], signed=True)

    assert [item.value for item in builder(blob).type(1).enumerators] == [-(1 << 63), -1]


def test_an_enumeration_without_enumerators_is_only_declared() -> None:
    blob = Blob()
    blob.enumeration("later", 4, [])
    assert not builder(blob).type(1).is_complete()


def test_a_definition_goes_before_a_declaration_of_the_same_name() -> None:
    blob = Blob()
    blob.enumeration("state", 4, [])
    defined = blob.enumeration("state", 4, [("ON", 1)])
    assert builder(blob).find(Kind.ENUM, "state") == defined


def test_the_first_of_several_types_of_a_name_is_found() -> None:
    blob = Blob()
    first = blob.compound("state", 8, [])
    blob.compound("state", 16, [])
    assert builder(blob).find(Kind.STRUCT, "state") == first


def test_a_variadic_function_takes_more() -> None:
    types = builder(small_kernel())
    function = types.type(types.btf.size_or_type(types.btf.ids(Kind.FUNC)[0]))
    assert function.is_variadic
    assert [(p.name, p.type.type_name()) for p in function.parameters] == [
        ("format", "struct page *")
    ]


def test_a_forward_declaration_stays_incomplete_unless_it_is_defined_elsewhere() -> None:
    blob = Blob()
    blob.record(Kind.FWD, "page")
    blob.record(Kind.FWD, "slot", flag=1)
    types = builder(blob)
    assert (types.type(1).kind, types.type(1).is_complete()) == (TypeKind.STRUCT, False)
    assert (types.type(2).kind, types.type(2).is_complete()) == (TypeKind.UNION, False)

    prog = Program(Platform(Architecture.X86_64))
    defined = prog.struct_type("page", 64, ())
    found = TypeBuilder(prog, Btf(blob.bytes()), find_complete=lambda *_: defined)
    assert found.type(1) == defined


def test_qualifiers_add_up() -> None:
    blob = Blob()
    integer = blob.integer("int", 4, 1)
    blob.record(Kind.CONST, "", blob.record(Kind.VOLATILE, "", integer))
    assert builder(blob).type(3).qualifiers == Qualifiers.CONST | Qualifiers.VOLATILE


def test_an_array_of_no_elements_has_an_unknown_length() -> None:
    blob = Blob()
    blob.array(blob.integer("char", 1, 1), 0)
    assert builder(blob).type(2).length is None


def test_an_array_of_arrays_gets_its_shape_back() -> None:
    blob = Blob()
    count = blob.integer("long int", 8, 1)
    blob.compound("lru_gen_folio", 320, [("nr_pages", blob.array(count, 40), 0)])
    member = builder(blob).type(3).member("nr_pages")
    assert member.type.type_name() == "long [4][2][5]"


def test_an_array_of_another_length_stays_as_it_is() -> None:
    blob = Blob()
    count = blob.integer("long int", 8, 1)
    blob.compound("lru_gen_folio", 328, [("nr_pages", blob.array(count, 41), 0)])
    assert builder(blob).type(3).member("nr_pages").type.type_name() == "long [41]"


def test_an_array_of_arrays_that_btf_has_as_one_stays_as_it_is() -> None:
    blob = Blob()
    count = blob.integer("long int", 8, 1)
    slots = blob.array(blob.array(count, 1), 3)
    blob.compound("", 24, [("tags", slots, 0), ("marks", slots, 0)], kind=Kind.UNION)
    assert builder(blob).type(4).member("marks").type.type_name() == "long [3][1]"


def test_a_module_builds_on_the_types_of_vmlinux() -> None:
    prog = Program(Platform(Architecture.X86_64))
    base = TypeBuilder(prog, Btf(small_kernel().bytes()))
    head = base.find(Kind.STRUCT, "list_head")
    assert head is not None
    module = Blob(first_id=base.btf.end_id, first_string=base.btf.strings.end)
    driver = module.compound("driver", 24, [("list", head, 0), ("self", base.btf.end_id + 1, 128)])
    module.pointer(driver)

    built = base.split(Btf(module.bytes(), base=base.btf)).type(driver)

    assert str(built) == "struct driver {\n\tstruct list_head list;\n\tstruct driver *self;\n}"


def _damaged() -> dict[str, Blob]:
    found = {}

    blob = found["a structure that contains itself"] = Blob()
    blob.compound("self", 8, [("", 1, 0)])

    blob = found["two structures that contain each other"] = Blob()
    blob.compound("one", 8, [("two", 2, 0)])
    blob.compound("two", 8, [("one", 1, 0)])

    blob = found["an array of itself"] = Blob()
    blob.array(1, 1)

    blob = found["a typedef of itself"] = Blob()
    blob.record(Kind.TYPEDEF, "loop", 1)

    blob = found["a pointer to itself"] = Blob()
    blob.pointer(1)

    blob = found["a member beyond the end"] = Blob()
    blob.compound("short", 4, [("far", blob.integer("int", 4), 64)])
    blob.pointer(2)

    blob = found["a bit-field wider than its type"] = Blob()
    blob.compound("wide", 8, [("bits", blob.integer("char", 1), 0)], bit_fields=[9])

    blob = found["a bit-field that is a pointer"] = Blob()
    blob.compound("wide", 8, [("bits", blob.pointer(0), 0)], bit_fields=[9])

    blob = found["a member that is no bit-field between two bytes"] = Blob()
    blob.compound("crooked", 8, [("odd", blob.integer("int", 4), 3)])

    blob = found["a member that is a function"] = Blob()
    blob.compound("holder", 8, [("call", blob.prototype(0, []), 0)])

    blob = found["a member that is void"] = Blob()
    blob.compound("holder", 8, [("nothing", 0, 0)])

    blob = found["a member that is only declared"] = Blob()
    blob.compound("holder", 8, [("later", blob.record(Kind.FWD, "later"), 0)])

    blob = found["a pointer to a section"] = Blob()
    blob.pointer(blob.section(".data", []))

    blob = found["an integer of three bytes"] = Blob()
    blob.integer("odd", 3)

    blob = found["an enumeration of three bytes"] = Blob()
    blob.enumeration("odd", 3, [("ONE", 1)])

    blob = found["an enumerator beyond its type"] = Blob()
    blob.enumeration("small", 1, [("BIG", 1 << 20)])
    blob = found["an array of functions"] = Blob()
    blob.array(blob.prototype(0, []), 2)

    blob = found["a parameter that is void"] = Blob()
    blob.prototype(0, [("nothing", 0)])

    blob = found["a function that returns a function"] = Blob()
    blob.prototype(2, [])
    blob.prototype(0, [])
    blob = found["an anonymous structure that points at itself"] = Blob()
    blob.compound("", 8, [("self", 2, 0)])
    blob.pointer(1)

    blob = found["a function that takes a pointer to itself"] = Blob()
    blob.prototype(0, [("self", 2)])
    blob.pointer(1)
    return found


@pytest.mark.parametrize("how", list(_damaged()))
def test_damage_is_refused_with_a_sentence(how: str) -> None:
    types = builder(_damaged()[how])
    with pytest.raises(DamagedBtfError) as caught:
        _build_all(types)
    assert "type " in caught.value.sentence


def _build_all(types: TypeBuilder) -> None:
    for type_id in range(1, types.btf.end_id):
        if types.btf.kind(type_id) != Kind.DATASEC:
            types.type(type_id)
