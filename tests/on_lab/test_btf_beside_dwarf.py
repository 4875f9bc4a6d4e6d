"""With a vmlinux, modules' types still come from the dump: no module has a file of its own."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from drgn import FindObjectFlags, Object, Program, Type, TypeKind

from kscope.kernel.debug_info import debug_info
from kscope.model.debug_info import DebugInfoQuery
from kscope.target.btf import ModulesBesideDwarf
from tests.lab.catalogue import find
from tests.on_lab.opening import open_lab
from tests.target.btf.programs import SERIES, with_btf

pytestmark = pytest.mark.lab

OF_THE_MODULE = ("struct storlab_item", "struct storlab_pointers", "enum storlab_state")


@cache
def with_both(series: str) -> Program:
    return open_lab("deadlock", series, "dwarf").program


def described(drgn_type: Type) -> list[object]:
    """Everything that a type says but where it was declared."""
    if drgn_type.kind == TypeKind.ENUM:
        return [(each.name, each.value) for each in drgn_type.enumerators or ()]
    return [drgn_type.size] + [
        (member.name, member.bit_offset, member.bit_field_size, member.type.type_name())
        for member in drgn_type.members or ()
    ]


@pytest.mark.parametrize("name", OF_THE_MODULE)
@pytest.mark.parametrize("series", SERIES)
def test_a_modules_types_are_what_they_are_without_the_vmlinux(series: str, name: str) -> None:
    ours, expected = with_both(series).type(name), with_btf(series, "deadlock").type(name)
    assert described(ours) == described(expected)


@pytest.mark.parametrize("series", SERIES)
def test_a_modules_objects_read_through_its_types(series: str) -> None:
    """Members whose types are vmlinux's, too."""
    both, btf = with_both(series), with_btf(series, "deadlock")
    address = both.symbol("storlab_array").address
    items = [Object(prog, "struct storlab_item", address=address) for prog in (both, btf)]
    assert items[0].to_bytes_() == items[1].to_bytes_()
    assert str(items[0]) == str(items[1])


@pytest.mark.parametrize("series", SERIES)
def test_a_modules_functions_and_constants(series: str) -> None:
    both, btf = with_both(series), with_btf(series, "deadlock")
    assert both.constant("STORLAB_FAILED").value_() == 7
    ours, expected = (prog.function("storlab_take_mutex") for prog in (both, btf))
    assert ours.address_ == expected.address_
    assert ours.type_.type_name() == expected.type_.type_name()


@pytest.mark.parametrize("series", SERIES)
def test_what_nobody_has_is_not_found(series: str) -> None:
    with pytest.raises(LookupError):
        with_both(series).type("struct storlab_nothing")
    with pytest.raises(LookupError):
        with_both(series).object("storlab_nothing", FindObjectFlags.ANY)


@pytest.mark.parametrize("series", SERIES)
def test_debug_info_says_whose_types_come_from_where(series: str) -> None:
    report = debug_info(open_lab("deadlock", series, "dwarf"), DebugInfoQuery())
    kernel, *modules = report.modules
    assert (kernel.types, kernel.source_lines) == ("dwarf", True)
    assert "storlab" in [module.name for module in modules]
    assert {(module.types, module.symbols) for module in modules} == {("btf", "kallsyms")}
    assert not any(module.source_lines for module in modules)


def test_damaged_btf_of_vmlinux_leaves_dwarf_as_it_is_and_is_said(tmp_path: Path) -> None:
    dump = find("deadlock", "6.1")
    start = with_btf("6.1", "deadlock").symbol("__start_BTF").address
    magic = with_btf("6.1", "deadlock").read(start, 24)
    damaged = tmp_path / "vmcore"
    damaged.write_bytes(dump.vmcore.read_bytes().replace(magic, magic[:8] + b"\xff" * 16))
    prog = Program()
    prog.set_core_dump(damaged)
    prog.main_module("kernel", create=True).try_file(dump.vmlinux)
    beside = ModulesBesideDwarf(prog)
    beside.enable()

    with pytest.raises(LookupError):
        prog.type("struct storlab_item")
    assert prog.type("struct task_struct").size
    (why,) = {module.missing[0] for module in beside.describe()}
    assert why.startswith("The BTF in the dump is damaged: ")
