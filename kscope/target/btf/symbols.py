"""Symbols from kallsyms, which the kernel carries in its own memory.

The tables are found by the VMCOREINFO note, which names them since Linux kernel commit
f09bddbd8661 ("vmcoreinfo: include kallsyms symbols") (in v6.0); for older kernels they are
searched for by `kscope.target.btf.kallsyms`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import cached_property

from drgn import Program, Symbol, SymbolIndex, SymbolKind
from drgn.helpers.linux.kallsyms import load_vmlinux_kallsyms

from kscope.target.btf import kallsyms
from kscope.target.btf.errors import GIVE_VMLINUX, BtfError

_NEEDED = ("kallsyms_names", "kallsyms_num_syms", "kallsyms_token_table", "kallsyms_token_index")

_DRGN_MAX_SYMBOL_LENGTH = 0x10000

_SECTION_BOUND = re.compile(r"__\w+_text_(?:start|end)")
"""Where a section begins, so does its first function: ``io_schedule_timeout()`` lies at
``__sched_text_start``."""


class KernelSymbols:
    """vmlinux's symbols."""

    def __init__(self, prog: Program) -> None:
        """
        :raises BtfError: if they cannot be found, or the dump does not hold them.
        """
        self.index = _load(prog)
        start, end = self.unique_address("_text"), self.unique_address("_end")
        self.range = range(0) if start is None or end is None else range(start, end)
        """Where vmlinux lies."""
        start, end = self.unique_address("_sdata"), self.unique_address("_edata")
        self._data = range(0) if start is None or end is None else range(start, end)
        self.size_of: Callable[[str], int | None] = lambda _name: None
        """Size of a variable by its type, as soon as types are known."""

    def find(
        self, prog: Program, name: str | None, address: int | None, one: bool
    ) -> Sequence[Symbol]:
        """vmlinux's answer as a symbol finder of drgn.

        The symbols of per-CPU variables are no addresses: on x86-64 they count from 0 up to Linux
        kernel commit 9d7de2aa8b41 ("x86/percpu/64: Use relative percpu offsets") (in v6.15), so
        that every small number would seem to point at one.
        """
        if address is not None and address not in self.range:
            return []
        found: Sequence[Symbol] = self.index(prog, name, address, one)
        if address is not None:
            found = [self._first_of_section.get(symbol.address, symbol)
                     if _SECTION_BOUND.fullmatch(symbol.name) else symbol
                     for symbol in found]  # fmt: skip
        if not found and address is not None:
            found = self._large(prog, name, address, one)
        return found

    @cached_property
    def _first_of_section(self) -> dict[int, Symbol]:
        """The functions that lie where a section begins, which have its symbol's size."""
        symbols = self.index(None, None, None, False)
        bounds = {s.address: s.size for s in symbols if _SECTION_BOUND.fullmatch(s.name)}
        return {
            s.address: Symbol(s.name, s.address, bounds[s.address], s.binding, s.kind)
            for s in symbols
            if s.address in bounds and not _SECTION_BOUND.fullmatch(s.name)
        }

    @cached_property
    def _large(self) -> SymbolIndex:
        """Variables of 64 KiB and more, such as ``rcu_state``.

        kallsyms has no sizes: drgn takes the distance to the next symbol, but not one as large,
        which is mostly a section without symbols.
        """
        symbols = [symbol for symbol in self.index(None, None, None, False) if not symbol.size]
        addresses = sorted(symbol.address for symbol in self.index(None, None, None, False))
        found = []
        for symbol in symbols:
            following = bisect_right(addresses, symbol.address)
            if symbol.address not in self.range or following == len(addresses):
                continue
            room = addresses[following] - symbol.address
            size = self.size_of(symbol.name) if room >= _DRGN_MAX_SYMBOL_LENGTH else None
            if size and size <= room:
                found.append(Symbol(symbol.name, symbol.address, size, symbol.binding, symbol.kind))
        return SymbolIndex(found)

    def unique(self, name: str) -> Symbol | None:
        """The symbol of a name, or None if there is none or several are called so."""
        found = self.index(None, name, None, False)
        return found[0] if len(found) == 1 else None

    def variables(self, name: str | None = None) -> list[Symbol]:
        """The symbols of variables, of all or of those of a name, which functions may have, too.

        That letters tell functions does not hold in the data of Linux 7.2, all of which nm, and
        kallsyms after it, takes for text.
        """
        return [
            symbol
            for symbol in self.index(None, name, None, False)
            if symbol.kind == SymbolKind.OBJECT or symbol.address in self._data
        ]

    def unique_variable(self, name: str) -> Symbol | None:
        """The symbol of a variable's name, or None if there is none or several are called so."""
        found: Sequence[Symbol] = self.index(None, name, None, False)
        if len(found) > 1:
            found = self.variables(name)
        return found[0] if len(found) == 1 else None

    def unique_address(self, name: str) -> int | None:
        """Address of the symbol of a name, if there is exactly one."""
        symbol = self.unique(name)
        return symbol.address if symbol else None

    def room(self, address: int) -> int:
        """Bytes from an address to the next symbol; 0 if the symbols do not tell.

        kallsyms has no sizes of its own: drgn fills them in with these distances.
        """
        found = self.index(None, None, address, False)
        return max((symbol.address + symbol.size - address for symbol in found), default=0)


def _load(prog: Program) -> SymbolIndex:
    try:
        vmcoreinfo = prog["VMCOREINFO"].string_().decode("ascii", "replace")
    except LookupError:
        raise BtfError(
            "The dump has no VMCOREINFO note, so its symbols cannot be found.", GIVE_VMLINUX
        ) from None
    try:
        if all(f"SYMBOL({name})=" in vmcoreinfo for name in _NEEDED):
            return load_vmlinux_kallsyms(prog)
        text = re.search(r"^SYMBOL\(_stext\)=([0-9a-fA-F]+)$", vmcoreinfo, re.M)
        tables = kallsyms.find(prog, int(text[1], 16)) if text else None
        found = kallsyms.load(prog, tables, vmcoreinfo) if tables else None
    # drgn raises a bare Exception for much that goes wrong while a compressed dump is read.
    except Exception as error:
        raise BtfError(
            f"The dump's kernel symbols cannot be read: {error}.", GIVE_VMLINUX
        ) from None
    if found is None:
        raise BtfError(
            "The dump does not say where the kernel's symbols are, as dumps of kernels before 6.0"
            " do not, and they were not found by searching for them.",
            GIVE_VMLINUX,
        )
    return found
