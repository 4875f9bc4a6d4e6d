"""Kernel modules: their split BTF and their symbols, each read when it is first needed.

A module's BTF is kept by the kernel in the list ``btf_modules`` (CONFIG_DEBUG_INFO_BTF_MODULES),
its symbols in an ELF symbol table in the module's own memory (CONFIG_KALLSYMS).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NamedTuple

import msgspec
from drgn import (
    FaultError,
    Object,
    PlatformFlags,
    Program,
    Symbol,
    SymbolBinding,
    SymbolIndex,
    SymbolKind,
)
from drgn.helpers.linux.list import list_for_each_entry
from drgn.helpers.linux.module import for_each_module, module_address_regions, module_percpu_region

from kscope.target.btf.errors import BtfError
from kscope.target.btf.format import Btf, Strings
from kscope.target.btf.types import TypeBuilder
from kscope.target.loops import LoopError

_ELF_SYMBOL = struct.Struct("<IBBHQQ")
"""Elf64_Sym: st_name, st_info, st_other, st_shndx, st_value, st_size."""
_MAX_SYMBOLS = 1 << 20
_MAX_MODULES = 1 << 16

_BINDINGS = {0: SymbolBinding.LOCAL, 1: SymbolBinding.GLOBAL, 2: SymbolBinding.WEAK}
_SYMBOL_KINDS = {1: SymbolKind.OBJECT, 2: SymbolKind.FUNC}


class Section(NamedTuple):
    """The BTF of vmlinux or of one module."""

    name: str
    types: TypeBuilder
    per_cpu_start: int
    """Address of the section's template of per-CPU variables."""
    function_address: Callable[[str], int | None]


class ModuleDebugInfo(msgspec.Struct, frozen=True):
    """What a module carries that can be used; None where it carries nothing."""

    name: str
    types: int | None
    """Types in its own BTF."""
    symbols: int | None
    missing: list[str]
    """Why something is None, a sentence each."""


class KernelModule:
    """One loaded module."""

    def __init__(self, module: Object) -> None:
        """:param module: ``struct module *``"""
        self.object = module
        self.name = module.name.string_().decode("ascii", "backslashreplace")
        self.ranges = [
            range(start, start + size) for start, size in module_address_regions(module) if size
        ]

    @cached_property
    def symbols(self) -> SymbolIndex:
        """Its symbols; none if they cannot be read, which `symbols_error` then explains."""
        try:
            found = _read_symbols(self.object)
            self.symbols_error = ""
        except (LookupError, AttributeError):
            found, self.symbols_error = [], "the kernel keeps no symbols of modules"
        except FaultError:
            found, self.symbols_error = [], "the dump does not hold the pages of its symbols"
        except (BtfError, struct.error) as error:
            found, self.symbols_error = [], f"its symbols are damaged: {error}"
        return SymbolIndex(found)

    symbols_error = ""

    def address(self, name: str) -> int | None:
        """Address of the symbol of a name, if there is exactly one."""
        found = self.symbols(None, name, None, False)
        return found[0].address if len(found) == 1 else None

    def __contains__(self, address: int) -> bool:
        return any(address in addresses for addresses in self.ranges)


class KernelModules:
    """The loaded modules of a dump.

    Finding them asks drgn for types and variables, whose finders ask here for the modules' in turn:
    while `opening` is set there are none, and "not found" means nothing yet.
    """

    def __init__(self, prog: Program, find_address: Callable[[str], int | None]) -> None:
        """
        :param find_address: Address of vmlinux's symbol of a name, if there is exactly one.
        """
        self._prog = prog
        self._find_address = find_address
        platform = prog.platform
        self._little_endian = not platform or PlatformFlags.IS_LITTLE_ENDIAN in platform.flags
        self._loaded: list[KernelModule] | None = None
        self._data: dict[str, bytes] | None = None
        self._sections: list[Section] | None = None
        self.opening = False
        self.btf_errors: dict[str, str] = {}
        """Why a module's BTF cannot be used, by the module's name."""

    def loaded(self) -> list[KernelModule]:
        """In the kernel's order; as many as the list has before it is damaged."""
        if self._loaded is None and not self.opening:
            self.opening = True
            try:
                self._loaded = self._list()
            finally:
                self.opening = False
        return self._loaded or []

    def sections(self, vmlinux: TypeBuilder) -> list[Section]:
        """The modules' BTF, opened now if it is not yet. One that is damaged is left out."""
        if self._sections is None and not self.opening:
            modules = self.loaded()
            self.opening = True
            try:
                self._sections = self._open_btf(vmlinux, modules)
            finally:
                self.opening = False
        return self._sections or []

    def may_define(self, name: str, vmlinux: Strings) -> bool:
        """Whether a name occurs in the modules' BTF, which is known long before that is opened.

        :param vmlinux: The strings of vmlinux's BTF: a module's does not repeat what is in them.
        """
        if self.opening:
            return False
        order = "<" if self._little_endian else ">"
        wanted = [struct.pack(f"{order}I", offset) for offset in vmlinux.offsets_of(name)]
        wanted.append(name.encode("ascii", "replace") + b"\0")
        return any(each in data for data in self._btf().values() for each in wanted)

    def describe(self, vmlinux: TypeBuilder | None) -> list[ModuleDebugInfo]:
        """What each module carries and what it lacks.

        :param vmlinux: None if vmlinux's own BTF, which a module's leans on, cannot be had.
        """
        types = {
            section.name: section.types.btf.end_id - section.types.btf.first_id
            for section in (self.sections(vmlinux) if vmlinux else ())
        }
        described = []
        for module in self.loaded():
            symbols = len(module.symbols(None, None, None, False))
            missing = [self.btf_errors.get(module.name, ""), module.symbols_error]
            described.append(
                ModuleDebugInfo(
                    module.name,
                    types.get(module.name),
                    None if module.symbols_error else symbols,
                    [sentence for sentence in missing if sentence],
                )
            )
        return described

    def find_symbols(
        self, prog: Program, name: str | None, address: int | None, one: bool
    ) -> Sequence[Symbol]:
        """The modules' answer as a symbol finder of drgn."""
        found: list[Symbol] = []
        for module in self.loaded():
            if address is None or address in module:
                found.extend(module.symbols(prog, name, address, one))
                if one and found:
                    break
        return found

    def _list(self) -> list[KernelModule]:
        found: list[KernelModule] = []
        try:
            for module in for_each_module(self._prog):
                found.append(KernelModule(module))
                if len(found) > _MAX_MODULES:
                    break
        except (LookupError, FaultError, BtfError, LoopError):
            pass
        return found

    def _open_btf(self, vmlinux: TypeBuilder, modules: list[KernelModule]) -> list[Section]:
        sections = []
        for module in modules:
            data = self._btf().get(module.name)
            if data is None:
                continue
            try:
                btf = Btf(data, little_endian=self._little_endian, base=vmlinux.btf)
            except BtfError as error:
                self.btf_errors[module.name] = error.sentence
                continue
            per_cpu_start, _size = module_percpu_region(module.object)
            sections.append(Section(module.name, vmlinux.split(btf), per_cpu_start, module.address))
        return sections

    def _btf(self) -> dict[str, bytes]:
        """The BTF of each module that has some, by the module's name."""
        if self._data is None:
            modules = self.loaded()
            opening, self.opening = self.opening, True
            try:
                where = self._btf_addresses()
            finally:
                self.opening = opening
            self._data = {}
            for module in modules:
                try:
                    self._data[module.name] = self._prog.read(*where[module.object.value_()])
                except KeyError:
                    self.btf_errors[module.name] = "the kernel keeps no BTF of it"
                except FaultError:
                    self.btf_errors[module.name] = "the dump does not hold the pages of its BTF"
        return self._data

    def _btf_addresses(self) -> dict[int, tuple[int, int]]:
        """Address and size of each module's BTF, by the address of its ``struct module``."""
        found: dict[int, tuple[int, int]] = {}
        address = self._find_address("btf_modules")
        if address is None:
            return found
        try:
            head = Object(self._prog, "struct list_head", address=address)
            for item in list_for_each_entry("struct btf_module", head.address_of_(), "list"):
                btf = item.btf
                found[item.module.value_()] = (btf.data.value_(), btf.data_size.value_())
                if len(found) > _MAX_MODULES:
                    break
        except (LookupError, FaultError, BtfError, LoopError):
            pass
        return found


def _read_symbols(module: Object) -> list[Symbol]:
    """A module's symbols, read in bulk: drgn's own helper makes an object of each."""
    prog = module.prog_
    tables = module.kallsyms
    count = tables.num_symtab.value_()
    if not 0 < count <= _MAX_SYMBOLS:
        raise BtfError(f"the module says that it has {count} symbols")
    table = prog.read(tables.symtab.value_(), count * _ELF_SYMBOL.size)
    entries = [entry for entry in _ELF_SYMBOL.iter_unpack(table) if entry[0] and entry[3]]
    if not entries:
        return []
    strings_start = tables.strtab.value_()
    last = max(entry[0] for entry in entries)
    strings = prog.read(strings_start, last) + prog.read_c_string(strings_start + last) + b"\0"
    return [
        Symbol(
            strings[name : strings.index(0, name)].decode("ascii", "backslashreplace"),
            value,
            size,
            _BINDINGS.get(info >> 4, SymbolBinding.UNKNOWN),
            _SYMBOL_KINDS.get(info & 0xF, SymbolKind.UNKNOWN),
        )
        for name, info, _other, _section, value, size in entries
    ]
