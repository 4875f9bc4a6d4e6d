"""Symbols by name, as crash's ``sym``."""

import shlex

from kscope.dialect.views import Equivalent
from kscope.model.symbols import NamedSymbol, Symbols, SymbolsQuery

QUERY = SymbolsQuery


def equivalent(query: SymbolsQuery) -> Equivalent:
    """``sym`` with the option for what is asked."""
    options = (" -p" if query.before else "") + (" -n" if query.after else "")
    conditions = []
    if query.name:
        crash = f"sym{options} {query.name}"
    elif query.module:
        crash = f"sym -m {query.module}"
        if query.containing:
            crash += f" | grep -F -e {shlex.quote(query.containing)}"
    else:
        crash = f"sym -q {query.containing}" if query.containing else "sym -l"
    if query.containing:
        conditions.append(f"{query.containing!r} in symbol.name")
    if query.module:
        conditions.append(f"module_of(symbol) == {query.module!r}")
    module_of = (
        "def module_of(symbol):\n"
        "    try:\n"
        "        return prog.module(symbol.address).name\n"
        "    except LookupError:\n"
        '        return ""\n\n'
    )
    names = repr(query.name) if query.name else ""
    condition = f"    if {' and '.join(conditions)}:\n    " if conditions else ""
    drgn = (
        f"{module_of if query.module else ''}"
        f"for symbol in sorted(prog.symbols({names}), key=lambda symbol: symbol.address):\n"
        f"{condition}    print(hex(symbol.address), symbol.name)\n"
    )
    return Equivalent(crash, drgn)


def text(query: SymbolsQuery, result: Symbols) -> str:  # noqa: ARG001
    """A symbol a line, ``ffffffffbb6114f0 (T) schedule kernel/sched/core.c: 6654``."""
    return "\n".join(map(line, result.symbols))


def line(symbol: NamedSymbol, offset: int = 0) -> str:
    """One symbol.

    :param offset: of what was asked for, behind the symbol.
    """
    name = symbol.name + (f"+{offset}" if offset else "")
    module = f" [{symbol.module}]" if symbol.module else ""
    source = " " + symbol.source.replace(":", ": ") if symbol.source else ""
    return f"{symbol.address + offset:x} ({symbol.type_letter}) {name}{module}{source}"
