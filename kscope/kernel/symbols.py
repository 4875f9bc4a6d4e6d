"""Symbols by name: crash's ``sym``."""

from collections.abc import Generator, Iterator, Sequence

from drgn import Symbol, SymbolBinding, SymbolKind

from kscope.kernel.access.symbols import Symbols, symbols_of
from kscope.model.base import Address, Progress, QueryError
from kscope.model.symbols import NamedSymbol, SymbolsQuery
from kscope.model.symbols import Symbols as SymbolsResult
from kscope.model.text import printable
from kscope.target.target import Target

_KERNEL_HALF = 1 << 63
_SLICE = 10_000
"""Symbols that are looked at in some milliseconds."""
_CACHE_KEY = "kscope symbols in order"


def symbols(target: Target, query: SymbolsQuery) -> Generator[Progress, None, SymbolsResult]:
    """Answer a SymbolsQuery."""
    index = symbols_of(target)
    if query.name and not (query.before or query.after):
        # There are 150,000 and more to put in order.
        known = yield from _in_order(index, index.named(query.name))
    else:
        known = yield from _all_in_order(target, index)
    first = max(0, query.first)
    end = first + query.among if query.among > 0 else len(known)
    chosen = list(_chosen(query, index, known[first:end]))
    if not chosen and query.name:
        raise QueryError(f"There is no symbol {query.name}.")
    return SymbolsResult(
        symbols=tuple(_named(target, index, symbol, bool(query.name)) for symbol in chosen),
        next=end if end < len(known) else None,
    )


def _all_in_order(target: Target, index: Symbols) -> Generator[Progress, None, Sequence[Symbol]]:
    cache = target.program.cache
    if _CACHE_KEY not in cache:
        cache[_CACHE_KEY] = yield from _in_order(index, index.all())
    found: Sequence[Symbol] = cache[_CACHE_KEY]
    return found


def _in_order(
    index: Symbols, found: Sequence[Symbol]
) -> Generator[Progress, None, Sequence[Symbol]]:
    """Each symbol once, by address: a module's file and its kallsyms may name the same."""
    known: dict[tuple[int, str], Symbol] = {}
    for count, symbol in enumerate(found, 1):
        if _is_place(index, symbol):
            known.setdefault((symbol.address, symbol.name), symbol)
        if count % _SLICE == 0:
            yield Progress(count, len(found), "putting symbols in order")
    return [known[key] for key in sorted(known)]


def _is_place(index: Symbols, symbol: Symbol) -> bool:
    """Whether it is one of the kernel's, not of an ELF file's sections, files or constants."""
    if symbol.kind in (SymbolKind.FILE, SymbolKind.SECTION) or not symbol.name:
        return False
    if symbol.address >= _KERNEL_HALF:
        return True
    is_constant = symbol.kind is SymbolKind.UNKNOWN and symbol.binding is SymbolBinding.LOCAL
    return index.is_per_cpu(symbol.address) and not (is_constant and not symbol.size)


def _chosen(query: SymbolsQuery, index: Symbols, known: Sequence[Symbol]) -> Iterator[Symbol]:
    last = -1
    for at, symbol in enumerate(known):
        if (
            (query.name and symbol.name != query.name)
            or query.containing not in symbol.name
            or (query.module and index.module_of(symbol.address) != query.module)
        ):
            continue
        first = at - 1 if query.before and at else at
        end = at + 1 if query.after and at + 1 < len(known) else at
        for near in range(max(first, last + 1), end + 1):
            yield known[near]
        last = end


def _named(target: Target, index: Symbols, symbol: Symbol, with_source: bool) -> NamedSymbol:
    return NamedSymbol(
        address=Address(symbol.address),
        name=printable(symbol.name),
        type_letter=index.letter_of(symbol),
        module=index.module_of(symbol.address),
        source=index.source_at(target, symbol.address) if with_source else "",
    )


ANSWERS = {SymbolsQuery: symbols}
