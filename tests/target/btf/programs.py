"""One dump opened twice: with the DWARF of its vmlinux, and with nothing but the dump."""

from __future__ import annotations

from functools import lru_cache

from drgn import Program

from kscope.target.btf import load
from tests.lab.catalogue import find

SERIES = ("6.1", "6.12")


@lru_cache(maxsize=4)
def with_dwarf(series: str, name: str = "sysrq") -> Program:
    dump = find(name, series)
    prog = Program()
    prog.set_core_dump(dump.vmcore)
    prog.load_debug_info([dump.vmlinux])
    return prog


@lru_cache(maxsize=4)
def with_btf(series: str, name: str = "sysrq") -> Program:
    prog = Program()
    prog.set_core_dump(find(name, series).vmcore)
    load(prog)
    return prog
