"""Global variables, functions and constants are where and what the kernel's DWARF says."""

from __future__ import annotations

from pathlib import Path

import pytest
from drgn import FindObjectFlags, Object, Program

from kscope.target.btf import AmbiguousNameError, expressions, load
from kscope.target.btf import globals as table
from kscope.target.btf.generate import static_variables
from kscope.target.btf.globals import TABLE
from tests.lab.catalogue import find
from tests.target.btf.programs import SERIES, with_btf, with_dwarf

pytestmark = pytest.mark.lab

UNMOVED_TEXT = 0xFFFFFFFF81000000
"""Where an x86-64 kernel is linked to lie, before it moves itself to a random address."""


def names() -> list[str]:
    return [line.split("\t")[0] for line in TABLE.read_text().splitlines()[1:]]


def variable(prog: Program, name: str) -> Object | None:
    try:
        return prog.variable(name)
    except LookupError:
        return None


def compare(expected: Program, prog: Program) -> dict[str, list[str]]:
    """Names of the table's variables, by how the two programs' answers compare."""
    found: dict[str, list[str]] = {"same": [], "missing": [], "address": [], "type": []}
    for name in names():
        theirs, ours = variable(expected, name), variable(prog, name)
        if theirs is None or theirs.address_ is None:
            continue
        if ours is None:
            found["missing"].append(name)
        elif theirs.address_ != ours.address_:
            found["address"].append(name)
        elif theirs.type_.is_complete() and theirs.type_.type_name() != ours.type_.type_name():
            found["type"].append(name)
        else:
            found["same"].append(name)
    return found


@pytest.mark.parametrize("series", SERIES)
def test_global_variables_of_a_reference_kernel(series: str) -> None:
    found = compare(with_dwarf(series), with_btf(series))

    # A per-CPU variable has this name too, and DWARF's choice between them is the other.
    assert set(found["address"]) <= {"cleanup_list"}
    # Of two declarations that differ in const, DWARF's choice is the other.
    assert set(found["type"]) <= {"dev_attr_whole_disk"}
    # Several symbols of one name, or several anonymous structures with the same members.
    assert len(found["missing"]) < 80
    assert len(found["same"]) > 10_000


@pytest.mark.parametrize("series", SERIES)
def test_global_variables_of_a_kernel_that_is_not_in_the_table(
    series: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same table, but nothing says which column is this kernel's."""
    header, *lines = TABLE.read_text().splitlines()
    unknown = tmp_path / "globals.txt"
    unknown.write_text("\n".join(["#" + "\tunknown" * header.count("\t"), *lines]) + "\n")
    monkeypatch.setattr(table, "TABLE", unknown)
    prog = Program()
    prog.set_core_dump(find("sysrq", series).vmcore)
    load(prog)

    found = compare(with_dwarf(series), prog)

    assert set(found["address"]) <= {"cleanup_list"}
    # Strings and numbers that are followed by more of them without a name.
    assert len(found["type"]) < 30
    assert len(found["missing"]) < 80
    assert len(found["same"]) > 10_000


def test_a_table_of_older_kernels_serves_a_newer_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _sign, *releases = TABLE.read_text().partition("\n")[0].split("\t")
    newer = next(column for column, name in enumerate(releases, 1) if name.startswith("6.12"))
    older = []
    for line in TABLE.read_text().splitlines():
        name, newest, *others = line.split("\t")
        columns = [newest, *(newest if other == "=" else other for other in others)]
        older.append("\t".join([name, *columns[newer:]]))
    only_old = tmp_path / "globals.txt"
    only_old.write_text("\n".join(older) + "\n")
    monkeypatch.setattr(table, "TABLE", only_old)
    prog = Program()
    prog.set_core_dump(find("sysrq", "6.12").vmcore)
    load(prog)

    found = compare(with_dwarf("6.12"), prog)

    assert set(found["address"]) <= {"cleanup_list"}
    assert len(found["same"]) > 9_000
    for name in ("init_task", "modules", "slab_caches", "prb", "tk_core", "init_net", "workqueues"):
        assert name in found["same"]


@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("name", ["tk_core", "nohz", "last_unloaded_module"])
def test_variables_of_anonymous_types_have_the_dumps_own_layout(series: str, name: str) -> None:
    ours, theirs = with_btf(series)[name], with_dwarf(series)[name]
    assert ours.type_.size == theirs.type_.size
    assert ours.to_bytes_() == theirs.to_bytes_()
    assert str(ours.type_) == str(theirs.type_)


@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("name", ["runqueues", "watchdog_touch_ts", "hrtimer_interrupts_saved"])
def test_per_cpu_variables(series: str, name: str) -> None:
    ours, theirs = with_btf(series)[name], with_dwarf(series)[name]
    assert ours.address_ == theirs.address_
    assert ours.type_.type_name() == theirs.type_.type_name()


@pytest.mark.parametrize("series", SERIES)
def test_functions_have_their_prototype_and_address(series: str) -> None:
    ours, theirs = with_btf(series).function("vfs_write"), with_dwarf(series).function("vfs_write")
    assert ours.address_ == theirs.address_
    assert ours.type_.type_name() == theirs.type_.type_name()


@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("name", ["PG_slab", "WORKER_IDLE", "NR_FREE_PAGES", "PIDTYPE_PGID"])
def test_enumerators_are_constants(series: str, name: str) -> None:
    expected = with_dwarf(series).constant(name) if name != "PG_slab" or series == "6.1" else None
    if expected is None:
        # An enumerator no more since Linux kernel commit 46df8e73a4a3 (in v6.11).
        with pytest.raises(LookupError):
            with_btf(series).constant(name)
    else:
        assert with_btf(series).constant(name).value_() == expected.value_()


@pytest.mark.parametrize("series", SERIES)
def test_what_is_asked_for_is_what_is_found(series: str) -> None:
    prog = with_btf(series)
    assert prog.object("vfs_write", FindObjectFlags.ANY).type_.type_name().startswith("ssize_t")
    with pytest.raises(LookupError):
        prog.variable("vfs_write")
    with pytest.raises(LookupError):
        prog.constant("init_task")
    with pytest.raises(LookupError):
        prog["no_such_name"]


@pytest.mark.parametrize("series", SERIES)
def test_static_variables_that_share_a_name_are_found_by_their_file(series: str) -> None:
    ours, theirs = with_btf(series), find("sysrq", series).vmlinux
    offset = ours.symbol("_text").address - UNMOVED_TEXT
    same = 0
    for (name, file, _, _, expected), address in static_variables(theirs).items():
        try:
            found = ours.variable(name, file)
        except AmbiguousNameError:
            continue
        # A per-CPU variable of another file has this name, too.
        if name != "cleanup_list":
            assert found.address_ == address + offset
            assert expressions.write(found.type_) == expected
            same += 1
    assert same > 200


@pytest.mark.parametrize("series", SERIES)
def test_a_name_that_several_static_variables_have_is_told_with_all_of_them(series: str) -> None:
    prog, theirs = with_btf(series), with_dwarf(series)
    with pytest.raises(AmbiguousNameError, match="2 static variables are called mrt_lock") as told:
        prog.variable("mrt_lock")
    for file in ("ipmr.c", "ip6mr.c"):
        variable = theirs.variable("mrt_lock", file)
        assert f"{variable.type_.type_name()} in {file} at {variable.address_:#x}" in (
            told.value.sentence
        )
    with pytest.raises(LookupError):
        prog["mrt_lock"]
