"""Symbols by address and by name, looked up fast, those of modules included."""

from collections.abc import Sequence

from drgn import Program, Symbol, SymbolBinding, SymbolIndex, SymbolKind
from drgn.helpers.linux.kallsyms import load_module_kallsyms

from kscope.kernel.access.reading import READ_ERRORS
from kscope.model.text import printable
from kscope.target.target import Target


class Symbols:
    """The symbols of a target, in an index."""

    def __init__(self, target: Target) -> None:
        self._program = target.program
        self._modules: dict[int, str] = {}
        self._per_cpu = _range(self._program, "__per_cpu_start", "__per_cpu_end")
        """Where per-CPU variables are linked. On x86-64 that is at 0 up to Linux kernel commit
        9d7de2aa8b41 ("x86/percpu/64: Use relative percpu offsets") (in v6.15)."""
        self._text = _range(self._program, "_stext", "_etext")
        self._data = _range(self._program, "_sdata", "_edata")
        self._main = _range(self._program, "_text", "_end")
        self._per_cpu_index: SymbolIndex | None = None
        self._index: SymbolIndex | None = None
        if target.debug_info.types == "dwarf":
            # drgn's finder goes through an ELF file's whole table for each address, a millisecond
            # each, and knows modules only where their files are at hand. That of a dump's own
            # kallsyms is an index already.
            self._index = SymbolIndex([*self._program.symbols(), *_module_symbols(self._program)])

    def at(self, address: int) -> Symbol | None:
        """The symbol that ``address`` lies in."""
        # A range looks for anything but a plain int, such as an Address, one element at a time.
        if int(address) in self._per_cpu:
            return None
        return self._find(address)

    def per_cpu_at(self, offset: int) -> Symbol | None:
        """The per-CPU variable at an ``offset`` as ``&runqueues`` is one."""
        if int(offset) not in self._per_cpu:
            return None
        if self._per_cpu_index is None:
            self.all()
            assert self._per_cpu_index is not None
        found = self._per_cpu_index(self._program, None, offset, True)
        return found[0] if found else None

    def _find(self, address: int) -> Symbol | None:
        if self._index is None:
            try:
                return self._program.symbol(address)
            except LookupError:
                return None
        found = self._index(self._program, None, address, True)
        return found[0] if found else None

    def named(self, name: str) -> Sequence[Symbol]:
        """All symbols of that name."""
        if self._index is None:
            found: Sequence[Symbol] = self._program.symbols(name)
            return found
        return list(self._index(self._program, name, None, False))

    def all(self) -> Sequence[Symbol]:
        """Every symbol."""
        if self._index is None:
            found: Sequence[Symbol] = self._program.symbols()
        else:
            found = list(self._index(self._program, None, None, False))
        if self._per_cpu_index is None:
            # The finder of a dump's own kallsyms answers for no address that is not mapped.
            per_cpu = [symbol for symbol in found if symbol.address in self._per_cpu]
            self._per_cpu_index = SymbolIndex(per_cpu)
        return found

    def is_code(self, symbol: Symbol) -> bool:
        """Whether the symbol is a function's or lies in the kernel's text."""
        if symbol.address in self._data:
            return False  # kallsyms takes it for text in Linux 7.2
        if symbol.kind in (SymbolKind.FUNC, SymbolKind.IFUNC):
            return True
        return symbol.address in self._text

    def is_per_cpu(self, address: int) -> bool:
        """Whether it is where a per-CPU variable is linked, not an address of memory."""
        return int(address) in self._per_cpu

    def letter_of(self, symbol: Symbol) -> str:
        """As in ``nm``: T for code, D for data, small for a local symbol."""
        letter = "T" if self.is_code(symbol) else "D"
        return letter.lower() if symbol.binding is SymbolBinding.LOCAL else letter

    def source_at(self, target: Target, address: int) -> str:
        """File and line of code, ``kernel/sched/core.c:6654``; empty where that is not known."""
        symbol = self.at(address)
        if symbol is None or not self.is_code(symbol) or target.debug_info.types != "dwarf":
            return ""
        try:
            found = self._program.source_location(address)
        except LookupError:
            return ""
        return f"{printable(found[0].filename)}:{found[0].line}" if found else ""

    def module_of(self, address: int) -> str:
        """The name of the module that ``address`` lies in; empty for vmlinux."""
        if int(address) in self._main:
            return ""
        page = address >> 12
        if page not in self._modules:
            try:
                self._modules[page] = printable(self._program.module(address).name)
            except LookupError:
                self._modules[page] = ""
        return self._modules[page]

    def text(self, address: int) -> str:
        """``schedule+0x5``, ``storlab_list [storlab]``; empty where there is no symbol."""
        symbol = self.at(address)
        return "" if symbol is None else self.text_of(symbol, address)

    def text_of(self, symbol: Symbol, address: int) -> str:
        """``symbol`` with the offset of ``address`` into it, and its module."""
        offset = address - symbol.address
        module = self.module_of(address)
        return (
            printable(symbol.name)
            + (f"+{offset:#x}" if offset else "")
            + (f" [{module}]" if module else "")
        )


def symbols_of(target: Target) -> Symbols:
    """The index of ``target``'s symbols, made when it is first asked for."""
    cache = target.program.cache
    if "kscope symbols" not in cache:
        cache["kscope symbols"] = Symbols(target)
    found: Symbols = cache["kscope symbols"]
    return found


def _range(program: Program, first: str, last: str) -> range:
    try:
        return range(program.symbol(first).address, program.symbol(last).address)
    except READ_ERRORS:
        return range(0)


def _module_symbols(program: Program) -> Sequence[Symbol]:
    try:
        found: Sequence[Symbol] = load_module_kallsyms(program)(program, None, None, False)
    except READ_ERRORS:
        return ()
    return found
