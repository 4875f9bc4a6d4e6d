"""Static variables of which several have the same name, told apart by what lies beside them.

kallsyms does not say which file a symbol is of. But each file's variables lie together in the
kernel, so that a static variable's neighbours are the same in one kernel as in the next.
``statics.txt`` is written by `kscope.target.btf.generate`: each line is a variable's name, its
file, the symbol before it and the symbol after it, and its type in the notation of
`kscope.target.btf.expressions`. A line is believed of the one symbol that has this name and one of
these neighbours, if the type ends where the next symbol begins.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

from drgn import Symbol, Type

from kscope.target.btf.errors import BtfError
from kscope.target.btf.expressions import Reader
from kscope.target.btf.fitting import fills
from kscope.target.btf.symbols import KernelSymbols

STATICS = Path(__file__).with_name("statics.txt")

_MOST_NAMED = 6

MADE_BY_MACROS = re.compile(
    r"__(bpf_trace|tpstrtab|tracepoint|SCK|event|setup|param|syscall_meta|p_syscall_meta|TRACE"
    r"|UNIQUE|already_done|func|addressable|initcall|kstrtab|key|warned|print_once)_?"
    r"|(TRACE_SYSTEM|event|trace_event|types|args|print_fmt|str__|_kbl_addr"
    r"|security_hook_active)_|__modver_attr$|_acpi_module_name$"
)
"""Names of variables that the kernel's macros make, which nobody reads by name."""


class AmbiguousNameError(BtfError, LookupError):
    """Several static variables have the name that was asked for.

    A LookupError, too: a helper of drgn's that tries one name after another goes on to the next.
    """


class Static(NamedTuple):
    """One of several variables of a name."""

    address: int
    file: str
    """Without its directory; empty if it is not known."""
    type: Type | None


class StaticVariables:
    """The static variables of a dump that share their names."""

    def __init__(self, symbols: KernelSymbols, reader: Reader) -> None:
        self._symbols = symbols
        self._reader = reader

    def find(self, name: str, filename: str | None) -> Static | None:
        """The one in a file; None if no two have the name.

        :param filename: What a path to it ends in, or None if it was not said.
        :raises AmbiguousNameError: if it was not said or cannot be told.
        """
        found = self._all(name)
        if len(found) < 2:
            return None
        # Of a file's directory nothing is known: one whose file is not known might be in it, too.
        if filename and all(each.file and each.type for each in found):
            in_file = [each for each in found if each.file == Path(filename).name]
            if len(in_file) == 1:
                return in_file[0]
        known = next((each for each in found if each.type), None)
        raise AmbiguousNameError(
            _sentence(name, found),
            f"By its address: *({known.type.type_name()} *){known.address:#x}."
            if known and known.type
            else "By its address: *(TYPE *)0x….",
        )

    def _all(self, name: str) -> list[Static]:
        addresses = [symbol.address for symbol in self._symbols.variables(name)]
        if len(addresses) < 2:
            return []
        matches = {address: self._matches(name, address) for address in sorted(addresses)}
        places = Counter(file for found in matches.values() for file in found)
        statics = []
        for address, found in matches.items():
            types = {drgn_type.type_name(): drgn_type for drgn_type in found.values()}
            sure = len(found) == 1 and places[next(iter(found))] == 1
            statics.append(
                Static(
                    address,
                    next(iter(found)) if sure else "",
                    next(iter(types.values())) if len(types) == 1 else None,
                )
            )
        return statics

    def _matches(self, name: str, address: int) -> dict[str, Type]:
        """The type of the variable at an address by each file whose neighbours it has."""
        here = neighbours(self._in_order, address)
        lines = _table().get(name, ())
        # Both neighbours are its own, or at least one is.
        for least in (2, 1):
            found: dict[str, Type] = {}
            unsure = set()
            for file, before, after, expression in lines:
                if (before == here[0]) + (after == here[1]) < least:
                    continue
                drgn_type = self._read(expression, address)
                if drgn_type is None:
                    continue
                if file in found and str(found[file]) != str(drgn_type):
                    unsure.add(file)
                found[file] = drgn_type
            if found:
                return {file: found[file] for file in found if file not in unsure}
        return {}

    def _read(self, expression: str, address: int) -> Type | None:
        try:
            drgn_type = self._reader.read(expression)
        except LookupError:
            return None
        return drgn_type if fills(drgn_type, address, self._symbols.room(address)) else None

    @cached_property
    def _in_order(self) -> Order:
        return in_order(self._symbols.variables())


class Order(NamedTuple):
    """Symbols by their address, those alone that can be told by their names."""

    addresses: list[int]
    names: list[str]


def in_order(variables: Sequence[Symbol]) -> Order:
    """The variables whose names no other has and no macro or compiler made."""
    counts = Counter(symbol.name for symbol in variables)
    telling = sorted(
        (symbol.address, symbol.name)
        for symbol in variables
        if counts[symbol.name] == 1
        and "." not in symbol.name
        and not MADE_BY_MACROS.match(symbol.name)
    )
    return Order([address for address, _ in telling], [name for _, name in telling])


def neighbours(order: Order, address: int) -> tuple[str, str]:
    """Names of the nearest telling symbols before and after an address."""
    index = bisect_left(order.addresses, address)
    before = order.names[index - 1] if index else ""
    return before, order.names[index] if index < len(order.names) else ""


@cache
def _table() -> dict[str, list[tuple[str, str, str, str]]]:
    found: dict[str, list[tuple[str, str, str, str]]] = {}
    for line in STATICS.read_text().splitlines():
        name, file, before, after, expression = line.split("\t")
        found.setdefault(name, []).append((file, before, after, expression))
    return found


def _sentence(name: str, found: list[Static]) -> str:
    described = [
        " ".join(
            [
                each.type.type_name() if each.type else "one of a type that is not known",
                *([f"in {each.file}"] if each.file else []),
                f"at {each.address:#x}",
            ]
        )
        for each in found[:_MOST_NAMED]
    ]
    if len(found) > _MOST_NAMED:
        described.append(f"{len(found) - _MOST_NAMED} more")
    return f"{len(found)} static variables are called {name}: {'; '.join(described)}."
