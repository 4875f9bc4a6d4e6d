"""``sym``: symbols by name and by address."""

from kscope.dialect import symbols as layout
from kscope.dialect.crash.errors import CommandError
from kscope.dialect.crash.interpreter import Interpreter
from kscope.dialect.crash.line import CrashLine
from kscope.dialect.crash.options import parse_options
from kscope.dialect.crash.selecting import address_in
from kscope.dialect.crash.writing import written
from kscope.model.address import AddressQuery
from kscope.model.base import QueryError
from kscope.model.symbols import NamedSymbol, Symbols, SymbolsQuery

SUMMARY = "symbols by name and by address"
USAGE = """\
sym [-l] | [-m module] | [-p | -n] | [-q string] | [symbol | address] ...
  -l all of them  -m those of a module  -q those with that in their names
  -p, -n with the one before or after it"""

_AT_ONCE = 5_000
"""Symbols that are looked at for one answer."""


async def run(interpreter: Interpreter, line: CrashLine) -> str | None:
    """Answer ``sym``."""
    options, words = parse_options(line, "lpnm:q:", USAGE)
    if {"-l", "-m", "-q"} & options.keys():
        return await _all(interpreter, options.get("-m", ""), options.get("-q", ""))
    if not words:
        raise CommandError(f"sym: no symbol or address given\nUsage: {USAGE}")
    before, after = "-p" in options, "-n" in options
    lines, missing = [], []
    for word in words:
        address = address_in(word.text)
        try:
            if address is None:
                query = SymbolsQuery(name=word.text, before=before, after=after)
                lines.append(layout.text(query, await _ask(interpreter, query)))
            else:
                lines += await _around(interpreter, address, before=before, after=after)
        except CommandError as error:
            missing.append(str(error))
    if missing:
        raise CommandError("\n".join(missing), "\n".join(lines))
    return "\n".join(lines)


async def _all(interpreter: Interpreter, module: str, containing: str) -> str:
    """Those that fit, asked for some thousands at a time: they come without a pause."""
    texts = []
    first: int | None = 0
    while first is not None:
        query = SymbolsQuery(module=module, containing=containing, first=first, among=_AT_ONCE)
        found = await _ask(interpreter, query)
        texts.append(await written(map(layout.line, found.symbols)))
        first = found.next
    return "\n".join(filter(None, texts))


async def _ask(interpreter: Interpreter, query: SymbolsQuery) -> Symbols:
    try:
        return await interpreter.ask(query, interpreter.progress)
    except QueryError as error:
        if error.kind != "bad-query":
            raise
        raise CommandError(f"symbol not found: {query.name}") from error


async def _around(
    interpreter: Interpreter, address: int, *, before: bool, after: bool
) -> list[str]:
    """The symbol that an address lies in, with its neighbours: others may have its name."""
    neighbours = before or after
    symbol, offset = await _at(interpreter, address, only=not neighbours)
    lines = [layout.line(symbol, offset)]
    if neighbours:
        query = SymbolsQuery(name=symbol.name, before=before, after=after)
        found = (await _ask(interpreter, query)).symbols
        places = [(each.address, each.name) for each in found]
        if (symbol.address, symbol.name) not in places:
            raise CommandError(f"symbol not found: {address:x}")
        at = places.index((symbol.address, symbol.name))
        if before:
            lines[:0] = map(layout.line, found[:at][-1:])
        if after:
            lines += map(layout.line, found[at + 1 : at + 2])
    return lines


async def _at(interpreter: Interpreter, address: int, *, only: bool) -> tuple[NamedSymbol, int]:
    """The symbol that an address lies in, and how far behind it begins.

    :param only: whether that is all that is shown.
    """
    ask = interpreter.ask if only else interpreter.look_up
    found = await ask(AddressQuery(address=f"{address:#x}"), interpreter.progress)
    symbol = found.symbol
    if symbol is None:
        raise CommandError(f"symbol not found: {address:x}")
    start = type(found.address)(found.address - symbol.offset)
    named = NamedSymbol(start, symbol.name, symbol.type_letter, symbol.module, found.source)
    return named, symbol.offset
