"""Types of global variables other than per-CPU ones, from a table made of reference kernels.

``globals.txt`` is written by `kscope.target.btf.generate`. Its first line names the reference
kernels, newest first; each other line is a variable's name and its type in each of them, ``=`` if
it is the first one's, ``-`` if that kernel has no such variable. Lines are sorted by name.

For a kernel that is not in the table, three things keep a wrong type from being believed:

- the named types come from the dump, so a layout is always the dump's own;
- where the reference kernels differ, the one goes first that shares more of its own variables with
  the dump, and a type that the dump does not know passes to the next;
- a variable must fit before the next symbol. An array that does not (its length was a matter of
  configuration) gets the length that does, if the symbols tell it.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import cached_property
from pathlib import Path

from drgn import Program, Symbol, Type, TypeKind, sizeof

from kscope.target.btf.expressions import Reader
from kscope.target.btf.symbols import KernelSymbols

TABLE = Path(__file__).with_name("globals.txt")

_ADDED = {
    # Kernels older than the references; the types are those of the releases that had the names.
    "vm_stat": ["[]atomic_long_t"],
    "contig_page_data": ["struct pglist_data"],
}
"""Variables of kernels that no reference kernel stands for."""

_MAX_PADDING = 4096
"""The widest alignment that a symbol in the kernel's data is given, apart from huge pages."""


class GlobalTypes:
    """The table, as one dump sees it."""

    def __init__(self, prog: Program, symbols: KernelSymbols, reader: Reader, release: str) -> None:
        self._prog = prog
        self._symbols = symbols
        self._reader = reader
        self._release = release

    @cached_property
    def _lines(self) -> list[bytes]:
        return TABLE.read_bytes().splitlines()

    @cached_property
    def references(self) -> list[str]:
        """Releases of the reference kernels, in the order of the table's columns."""
        return self._lines[0].decode().split("\t")[1:]

    def __contains__(self, name: str) -> bool:
        return bool(self._expressions(name))

    def __len__(self) -> int:
        return len(self._lines) - 1 + len(_ADDED)

    def _expressions(self, name: str) -> list[str]:
        """The type in each reference kernel, ``-`` where it has no such variable."""
        prefix = name.encode() + b"\t"
        # The first line is a comment, and "#" sorts before every name.
        index = bisect_left(self._lines, prefix)
        if index < len(self._lines) and self._lines[index].startswith(prefix):
            columns = self._lines[index].decode().split("\t")[1:]
            return [columns[0] if column == "=" else column for column in columns]
        return _ADDED.get(name, [])

    @cached_property
    def _order(self) -> list[int]:
        """Columns of the table, the one most like this dump first."""
        references = self.references
        if self._release in references:
            own = references.index(self._release)
            return [own, *(column for column in range(len(references)) if column != own)]
        shared = [0] * len(references)
        for line in self._lines[1:]:
            name, *columns = line.split(b"\t")
            if b"-" in columns and self._symbols.unique(name.decode()):
                for column, expression in enumerate(columns):
                    shared[column] += expression != b"-"
        return sorted(range(len(references)), key=lambda column: -shared[column])

    def find(self, name: str) -> tuple[Type, int] | None:
        """Type and address of a variable, or None if the dump or the table cannot tell them."""
        expressions = self._expressions(name)
        if not expressions:
            return None
        symbol = self._symbols.unique(name)
        if symbol is None:
            return None
        if any(expression != expressions[0] for expression in expressions):
            expressions = [expressions[column] for column in self._order]
        for expression in dict.fromkeys(expressions):
            if expression == "-":
                continue
            try:
                drgn_type = self._reader.read(expression)
            except LookupError:
                continue
            fitted = self._fit(drgn_type, symbol)
            if fitted is not None:
                return fitted, symbol.address
        return None

    def _fit(self, drgn_type: Type, symbol: Symbol) -> Type | None:
        """The type, with the length of an array corrected, or None if it is too large."""
        room = self._symbols.room(symbol.address)
        if not room:
            return drgn_type
        if drgn_type.kind == TypeKind.ARRAY:
            element = sizeof(drgn_type.type)
            if drgn_type.length is None or not element:
                return drgn_type
            size = drgn_type.length * element
            padding = room - size
            following = symbol.address + room
            # The lowest bit set in the next address bounds the alignment that made the padding.
            if 0 <= padding < min(following & -following, _MAX_PADDING):
                return drgn_type
            length = room // element
            return self._prog.array_type(drgn_type.type, length) if length else None
        if not drgn_type.is_complete():
            return drgn_type
        return drgn_type if sizeof(drgn_type) <= room else None
