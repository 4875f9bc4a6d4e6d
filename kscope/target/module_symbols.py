"""Modules' symbols and stacks with a vmlinux alone.

Files with modules' debug info are mostly missing, even where there is a vmlinux. The dump itself
holds the modules' kallsyms and ORC tables: with them, functions of modules have names and stacks do
not end at them.
"""

import contextlib
from collections.abc import Sequence

from drgn import FaultError, Program, Symbol
from drgn.helpers.linux.module import for_each_module

from kscope.target.btf.modules import KernelModule

_FINDER = "kscope-modules"


class _ModuleSymbols:
    def __init__(self) -> None:
        self._modules: list[KernelModule] | None = None

    def __call__(
        self, program: Program, name: str | None, address: int | None, one: bool
    ) -> Sequence[Symbol]:
        if self._modules is None:
            self._modules = []  # asked in turn by what is done here: there are none yet
            with contextlib.suppress(LookupError, FaultError, ValueError):
                self._modules = [KernelModule(module) for module in for_each_module(program)]
        found: list[Symbol] = []
        for module in self._modules:
            if address is None or address in module:
                found.extend(module.symbols(program, name, address, one))
                if one and found:
                    break
        return found


def use_module_symbols(program: Program) -> None:
    """Let drgn know the modules that were loaded, and read their symbols from the dump."""
    # A list of modules that is damaged leaves stacks as they are without.
    with contextlib.suppress(LookupError, FaultError, ValueError):
        program.create_loaded_modules()
    program.register_symbol_finder(_FINDER, _ModuleSymbols(), enable_index=-1)
