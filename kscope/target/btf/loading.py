"""Loading a dump's own types and symbols into a `drgn.Program`."""

from __future__ import annotations

from dataclasses import dataclass, field

from drgn import Program

from kscope.target.btf.finders import ObjectFinder, TypeFinder
from kscope.target.btf.kernel_btf import KernelBtf
from kscope.target.btf.modules import KernelModules, ModuleDebugInfo
from kscope.target.btf.symbols import KernelSymbols
from kscope.target.btf.types import TypeBuilder
from kscope.target.btf.unwinding import enable_unwinding

FINDER = "kscope-btf"
"""Name under which all finders are registered with drgn."""


@dataclass(frozen=True)
class BtfDebugInfo:
    """What was found in the dump, and what was not."""

    release: str
    types: int
    """Types in vmlinux's BTF."""
    globals: int
    """Global variables in the table of reference kernels."""
    references: list[str]
    """Releases of the reference kernels."""
    missing: list[str]
    """What cannot be had from this dump and why, a sentence each; the same for every dump apart."""
    _symbols: KernelSymbols = field(repr=False)
    _modules: KernelModules = field(repr=False)
    _vmlinux: TypeBuilder = field(repr=False)

    @property
    def symbols(self) -> int:
        """Symbols in vmlinux's kallsyms."""
        return len(self._symbols.index(None, None, None, False))

    def modules(self) -> list[ModuleDebugInfo]:
        """What each module carries. Opens all of them, which `load()` left for later."""
        return self._modules.describe(self._vmlinux)


def load(prog: Program) -> BtfDebugInfo:
    """Make types, symbols and stacks work from what the dump itself holds.

    :param prog: A program with a Linux kernel vmcore set and no debugging information loaded.
    :raises BtfError: if the dump does not hold what is needed; the program is then unchanged.
    """
    symbols = KernelSymbols(prog)
    btf = KernelBtf(prog, symbols.unique_address).read()
    release = prog["UTS_RELEASE"].string_().decode("ascii", "backslashreplace")

    modules = KernelModules(prog, symbols.unique_address)
    types = TypeFinder(prog, btf, modules)
    objects = ObjectFinder(prog, types, modules, symbols, release)
    symbols.size_of = objects.globals.size
    prog.register_symbol_finder(FINDER, modules.find_symbols, enable_index=0)
    prog.register_symbol_finder(FINDER + "-kernel", symbols.find, enable_index=0)
    prog.register_type_finder(FINDER, types, enable_index=-1)
    prog.register_object_finder(FINDER, objects, enable_index=-1)

    return BtfDebugInfo(
        release=release,
        types=btf.end_id - btf.first_id,
        globals=len(objects.globals),
        references=objects.globals.references,
        missing=enable_unwinding(prog, symbols),
        _symbols=symbols,
        _modules=modules,
        _vmlinux=types.vmlinux,
    )
