"""A dump and nothing else: tasks, stacks, log and modules, or a sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from drgn import Program, sizeof
from drgn.helpers.linux.module import for_each_module
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.printk import get_dmesg
from drgn.helpers.linux.sched import task_state_to_char

from kscope.target.btf import BtfError, load
from tests.lab.catalogue import find
from tests.target.btf.programs import SERIES, with_btf, with_dwarf

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("series", SERIES)
def test_tasks(series: str) -> None:
    def tasks(prog: Program) -> list[tuple[int, bytes, str]]:
        return [
            (task.pid.value_(), task.comm.string_(), task_state_to_char(task))
            for task in for_each_task(prog, idle=True)
        ]

    assert tasks(with_btf(series)) == tasks(with_dwarf(series))


@pytest.mark.parametrize("series", SERIES)
def test_stacks_of_all_tasks(series: str) -> None:
    """The same return addresses; DWARF adds the inlined frames and the names of cold parts."""
    ours, theirs = with_btf(series), with_dwarf(series)
    tasks = list(for_each_task(theirs))
    assert len(tasks) > 50
    for task in tasks:
        pid = task.pid.value_()
        expected = [f.pc for f in theirs.stack_trace(pid) if not f.is_inline]
        assert [frame.pc for frame in ours.stack_trace(pid)] == expected


@pytest.mark.parametrize("series", SERIES)
def test_memory_reads_as_in_the_dump_after_the_unwind_tables_were_completed(series: str) -> None:
    ours, theirs = with_btf(series), with_dwarf(series)
    start, end = (
        theirs.symbol(name).address for name in ("__start_orc_unwind", "__stop_orc_unwind")
    )
    assert ours.read(start, end - start) == theirs.read(start, end - start)


@pytest.mark.parametrize(
    "name", ["sysrq", "hung-task", "oom", "soft-lockup", "rcu-stall", "unknown-nmi", "warn", "bug"]
)
@pytest.mark.parametrize("series", SERIES)
def test_the_panicking_stack(series: str, name: str) -> None:
    """Each way to die: the same frames as with DWARF, panic() among them."""
    expected = [
        frame.pc
        for frame in with_dwarf(series, name).crashed_thread().stack_trace()
        if not frame.is_inline
    ]
    assert [frame.pc for frame in with_btf(series, name).crashed_thread().stack_trace()] == expected


def test_stacks_through_a_module() -> None:
    dump = find("deadlock", "6.1")
    prog = with_btf("6.1", "deadlock")
    for pid in dump.manifest["blocked"]:
        names = [frame.name for frame in prog.stack_trace(pid)]
        assert any(name.startswith("storlab_") for name in names)
        assert any(name.startswith(("entry_SYSCALL_64", "ret_from_fork")) for name in names[-2:])


@pytest.mark.parametrize("series", SERIES)
def test_the_log(series: str) -> None:
    assert get_dmesg(with_btf(series)) == get_dmesg(with_dwarf(series))


@pytest.mark.parametrize("series", SERIES)
def test_every_module_has_its_types_and_symbols(series: str) -> None:
    prog = Program()
    prog.set_core_dump(find("sysrq", series).vmcore)
    info = load(prog)

    modules = {module.name: module for module in info.modules()}

    assert set(modules) == {module.name.string_().decode() for module in for_each_module(prog)}
    assert all(module.types and module.symbols for module in modules.values())
    assert [module.missing for module in modules.values()] == [[]] * len(modules)
    assert info.missing == []
    assert info.types > 90_000
    assert info.symbols > 80_000


@pytest.mark.parametrize("series", SERIES)
def test_symbols_of_modules_are_found_by_address_and_by_name(series: str) -> None:
    prog = with_btf(series)
    symbol = prog.symbol("virtblk_fops")
    assert prog.symbol(symbol.address).name == "virtblk_fops"
    (module,) = (m for m in prog.modules() if m.name == "virtio_blk")
    assert any(start <= symbol.address < end for start, end in module.address_ranges or ())


@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("name", ["rcu_state", "__log_buf", "cpu_bit_bitmap", "hstates"])
def test_large_variables_are_found_by_an_address_inside(series: str, name: str) -> None:
    prog = with_btf(series)
    end = prog[name].address_ + sizeof(prog[name])
    assert [symbol.name for symbol in prog.symbols(end - 8)] == [name]
    assert name not in [symbol.name for symbol in prog.symbols(end)]


@pytest.mark.parametrize("series", SERIES)
def test_small_numbers_are_no_symbols(series: str) -> None:
    with pytest.raises(LookupError):
        with_btf(series).symbol(0)
    assert with_btf(series).symbol("runqueues").address == with_dwarf(series)["runqueues"].address_


def _patched(tmp_path: Path, old: bytes, new: bytes, removed: bytes = b"") -> Program:
    """The 6.1 ELF dump with one piece of memory changed everywhere, and another zeroed."""
    data = find("deadlock", "6.1").vmcore.read_bytes()
    assert old in data
    assert removed in data
    assert len(old) == len(new)
    patched = tmp_path / "vmcore"
    data = data.replace(old, new)
    if removed:
        data = data.replace(removed, bytes(len(removed)))
    patched.write_bytes(data)
    prog = Program()
    prog.set_core_dump(patched)
    return prog


def test_kallsyms_is_found_where_vmcoreinfo_does_not_name_it(tmp_path: Path) -> None:
    """As on kernels before 6.0, whose tables lie in the same order as those of 6.1."""
    prog = _patched(tmp_path, b"SYMBOL(kallsyms_", b"SYMBOL(removed__")

    info = load(prog)

    expected = with_btf("6.1", "deadlock")
    assert info.symbols > 80_000
    assert {(symbol.name, symbol.address) for symbol in prog.symbols()} == {
        (symbol.name, symbol.address) for symbol in expected.symbols()
    }
    assert [str(prog.stack_trace(pid)) for pid in (1, 2)] == [
        str(expected.stack_trace(pid)) for pid in (1, 2)
    ]


def test_a_kernel_whose_kallsyms_cannot_be_found_is_one_sentence(tmp_path: Path) -> None:
    prog = _patched(tmp_path, b"SYMBOL(kallsyms_", b"SYMBOL(removed__", b"\x000\x001\x002\x003\x00")
    with pytest.raises(BtfError, match=r"before 6\.0") as caught:
        load(prog)
    assert caught.value.hint
    assert prog.enabled_type_finders() == ["dwarf"]


def test_damaged_btf_is_one_sentence(tmp_path: Path) -> None:
    prog = with_btf("6.1", "deadlock")
    magic = prog.read(prog.symbol("__start_BTF").address, 24)
    damaged = _patched(tmp_path, magic, magic[:8] + b"\xff" * 16)
    with pytest.raises(BtfError, match="The BTF in the dump is damaged") as caught:
        load(damaged)
    assert len(re.findall(r"\.(?: |$)", caught.value.sentence)) == 1
    assert damaged.enabled_type_finders() == ["dwarf"]
