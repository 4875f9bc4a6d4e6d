"""vmlinux's BTF is read from memory, or what keeps it from being read is said in a sentence."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from drgn import Architecture, Platform, Program

from kscope.target.btf.errors import BtfError
from kscope.target.btf.format import Btf, Kind
from kscope.target.btf.kernel_btf import KernelBtf
from tests.target.btf.blob import small_kernel

_START = 0xFFFFFFFF82000000
_SECTION = small_kernel().bytes()


def _program(memory: bytes) -> Program:
    """A machine that has nothing but this, from where the BTF starts."""
    prog = Program(Platform(Architecture.X86_64))
    prog.add_memory_segment(
        _START, len(memory), lambda _address, count, offset, _physical: memory[offset:][:count]
    )
    return prog


def _symbols(end: int = _START + len(_SECTION)) -> Callable[[str], int | None]:
    return {"__start_BTF": _START, "__stop_BTF": end}.get


def test_it_is_read_once() -> None:
    prog = _program(_SECTION)

    btf = KernelBtf(prog, _symbols()).read()

    assert [btf.name(type_id) for type_id in btf.ids(Kind.STRUCT) if btf.name(type_id)] == [
        "list_head",
        "task",
    ]
    assert KernelBtf(prog, _symbols()).read() is btf


def test_its_strings_alone_are_the_same() -> None:
    strings = KernelBtf(_program(_SECTION), _symbols()).read_strings()
    for text in ("task", "list_head", "current_value"):
        assert list(strings.offsets_of(text)) == list(Btf(_SECTION).strings.offsets_of(text))


@pytest.mark.parametrize("read", [KernelBtf.read, KernelBtf.read_strings])
def test_a_page_that_is_not_in_the_dump(read: Callable[[KernelBtf], object]) -> None:
    section = KernelBtf(_program(_SECTION[:-16]), _symbols())
    with pytest.raises(BtfError, match="does not hold all pages of the kernel's BTF") as caught:
        read(section)
    assert caught.value.hint


def test_a_kernel_without_btf() -> None:
    with pytest.raises(BtfError, match="CONFIG_DEBUG_INFO_BTF"):
        KernelBtf(_program(_SECTION), lambda _name: None)


@pytest.mark.parametrize("end", [_START, _START - 8, _START + (1 << 40)])
def test_symbols_that_cannot_be_its_ends(end: int) -> None:
    with pytest.raises(BtfError, match="impossible size"):
        KernelBtf(_program(_SECTION), _symbols(end))
