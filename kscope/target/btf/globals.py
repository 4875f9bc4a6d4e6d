"""Types of global variables other than per-CPU ones, from a table made of reference kernels.

``globals.txt`` is written by `kscope.target.btf.generate`. Its first line names the reference
kernels, newest first; each other line is a variable's name and its type in each of them, ``=`` if
it is the first one's, ``-`` if that kernel has no such variable. Lines are sorted by name.

For a kernel that is not in the table, three things keep a wrong type from being believed:

- the named types come from the dump, so a layout is always the dump's own;
- where the reference kernels differ, the one goes first that shares more of its own variables with
  the dump, and a type that the dump does not know passes to the next;
- the type that fills the bytes up to the next symbol goes before one that does not, and one that
  cannot lie there is not taken: too large, or a pointer where a structure must be. An array that
  is too large (its length was a matter of configuration) is shortened.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import cached_property
from pathlib import Path

from drgn import Program, Qualifiers, Type, TypeKind, sizeof

from kscope.target.btf.expressions import Reader
from kscope.target.btf.fitting import fills
from kscope.target.btf.symbols import KernelSymbols

TABLE = Path(__file__).with_name("globals.txt")

_ADDED = {
    # drgn looks for this function to learn whether there is a virtual memory map. pahole wrote only
    # functions that can be traced up to version 1.23, and this is none.
    "vmemmap_populate": ["func(unsigned long,unsigned long,int,*struct vmem_altmap)int"],
    # Without CONFIG_NUMA, and with CONFIG_FLATMEM.
    "contig_page_data": ["struct pglist_data"],
    "mem_map": ["*struct page"],
    "max_mapnr": ["unsigned long"],
    # Where a stack is smaller than a page (arm64 with pages of 64 KiB).
    "thread_stack_cache": ["*struct kmem_cache"],
    # With CONFIG_SCHED_CLASS_EXT.
    "ext_sched_class": ["const struct sched_class"],
    # In place of tk_core since Linux kernel commit 22c62b9a84b8 (in v6.17).
    "timekeeper_data": ["[]struct tk_data"],
    # In place of nr_irqs since Linux kernel commit b99dc723b12e (in v7.2).
    "total_nr_irqs": ["unsigned int"],
    # In place of init_task.fs since Linux kernel commit 9a8e29695888 (in v7.3).
    "userspace_init_fs": ["*struct fs_struct"],
}
"""What drgn's helpers ask for and no reference kernel has as a variable."""


_SCALAR = 8
_CACHE_LINE = 64


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
    def _own_column(self) -> int | None:
        """Column of the table that was made from this very kernel."""
        return self.references.index(self._release) if self._release in self.references else None

    @cached_property
    def _order(self) -> list[int]:
        """Columns of the table, the one most like this dump first."""
        shared = [0] * len(self.references)
        for line in self._lines[1:]:
            name, *columns = line.split(b"\t")
            if b"-" in columns and self._symbols.unique(name.decode()):
                for column, expression in enumerate(columns):
                    shared[column] += expression != b"-"
        return sorted(range(len(shared)), key=lambda column: -shared[column])

    def find(self, name: str) -> tuple[Type, int] | None:
        """Type and address of a variable, or None if the dump or the table cannot tell them."""
        expressions = self._expressions(name)
        symbol = self._symbols.unique_variable(name) if expressions else None
        if symbol is None:
            return None
        if self._own_column is not None and name not in _ADDED:
            drgn_type = self._read(expressions[self._own_column])
            return None if drgn_type is None else (drgn_type, symbol.address)
        if any(expression != expressions[0] for expression in expressions):
            expressions = [expressions[column] for column in self._order]
        room = self._symbols.room(symbol.address)
        fallback = None
        for expression in dict.fromkeys(expressions):
            drgn_type = self._read(expression)
            if drgn_type is None:
                continue
            if fills(drgn_type, symbol.address, room):
                return drgn_type, symbol.address
            fallback = fallback or self._fit(drgn_type, room)
        return (fallback, symbol.address) if fallback else None

    def size(self, name: str) -> int | None:
        """Size of a variable by its type, if both are known."""
        found = self.find(name)
        if found is None or found[0].kind == TypeKind.FUNCTION or not found[0].is_complete():
            return None
        size: int = sizeof(found[0])
        return size

    def _read(self, expression: str) -> Type | None:
        if expression == "-":
            return None
        try:
            return self._reader.read(expression)
        except LookupError:
            return None

    def _fit(self, drgn_type: Type, room: int) -> Type | None:
        """The type if it can lie in the bytes before the next symbol without filling them.

        A larger array than the reference kernel's is left at that length, for what lies between
        the end of a variable and the next symbol may be data without a name; but a constant string
        ends where it ends.
        """
        size = sizeof(drgn_type)
        if drgn_type.kind == TypeKind.ARRAY and size:
            element = sizeof(drgn_type.type)
            is_text = (
                element == 1
                and drgn_type.type.kind == TypeKind.INT
                and Qualifiers.CONST in drgn_type.type.qualifiers
            )
            length = room // element if is_text or size > room else drgn_type.length
            if not length:
                return None
            return self._prog.array_type(drgn_type.type, length, qualifiers=drgn_type.qualifiers)
        if size > room or (size <= _SCALAR and room - size >= _CACHE_LINE):
            return None
        return drgn_type
