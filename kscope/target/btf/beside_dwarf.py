"""Modules' types, symbols and stacks beside a vmlinux with DWARF.

Files with modules' debug info are mostly missing, even where there is a vmlinux. The dump itself
holds the modules' BTF, kallsyms and ORC tables: with them types and functions of modules have
names, and stacks do not end at them.

A module's BTF leans on vmlinux's, whose types are numbered otherwise than DWARF's: it is read from
the dump, too, but not before a name is asked for that a module's BTF has and DWARF has not.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import cached_property
from typing import TypeVar

import msgspec
from drgn import FaultError, FindObjectFlags, Object, Program, Type, TypeKindSet

from kscope.target.btf.errors import BtfError
from kscope.target.btf.finders import IN_MODULES, ModuleNames, TypeFinder
from kscope.target.btf.format import Strings
from kscope.target.btf.kernel_btf import KernelBtf
from kscope.target.btf.modules import KernelModules, ModuleDebugInfo

_FINDER = "kscope-modules"

T = TypeVar("T")


class ModulesBesideDwarf:
    """Finds by name what DWARF does not know and a module's BTF does."""

    def __init__(self, prog: Program) -> None:
        self._prog = prog
        self._modules = KernelModules(prog, self._find_address)
        self._why_none = ""
        """Why vmlinux's BTF cannot be read, as one sentence; the modules' is then of no use."""

    def enable(self) -> None:
        """Let drgn know the modules that were loaded, and look here for what it does not find."""
        prog = self._prog
        # A list of modules that is damaged leaves stacks as they are without.
        with contextlib.suppress(LookupError, FaultError, ValueError):
            prog.create_loaded_modules()
        prog.register_symbol_finder(_FINDER, self._modules.find_symbols, enable_index=-1)
        prog.register_type_finder(_FINDER, self._find_type, enable_index=-1)
        prog.register_object_finder(_FINDER, self._find_object, enable_index=-1)

    def describe(self) -> list[ModuleDebugInfo]:
        """What each module carries and what it lacks."""
        types = self._types
        if types is not None:
            return self._modules.describe(types.vmlinux)
        return [
            msgspec.structs.replace(module, missing=[self._why_none, *module.missing])
            for module in self._modules.describe(None)
        ]

    def _find_address(self, name: str) -> int | None:
        found = self._prog.symbols(name)
        return found[0].address if len(found) == 1 else None

    def _find_type(
        self, _prog: Program, kinds: TypeKindSet, name: str, _filename: str | None
    ) -> Type | None:
        wanted = [kind for kind in IN_MODULES if kind in kinds]
        if not wanted or not self._may_define(name) or self._types is None:
            return None
        return self._types.find_in_modules(wanted, name)

    def _find_object(
        self, _prog: Program, name: str, flags: FindObjectFlags, _filename: str | None
    ) -> Object | None:
        if not self._may_define(name) or self._names is None:
            return None
        return self._names.find(name, flags)

    def _may_define(self, name: str) -> bool:
        if self._modules.opening or self._strings is None:
            return False
        return self._modules.may_define(name, self._strings)

    @cached_property
    def _strings(self) -> Strings | None:
        return self._from_vmlinux(KernelBtf.read_strings)

    @cached_property
    def _types(self) -> TypeFinder | None:
        btf = self._from_vmlinux(KernelBtf.read)
        return TypeFinder(self._prog, btf, self._modules) if btf else None

    @cached_property
    def _names(self) -> ModuleNames | None:
        return ModuleNames(self._prog, self._types) if self._types else None

    def _from_vmlinux(self, read: Callable[[KernelBtf], T]) -> T | None:
        try:
            return read(KernelBtf(self._prog, self._find_address))
        except BtfError as error:
            self._why_none = error.sentence
            return None
