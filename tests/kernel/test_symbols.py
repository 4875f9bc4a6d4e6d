"""Symbols by name."""

from kscope.kernel.symbols import symbols
from kscope.model.symbols import NamedSymbol, SymbolsQuery
from kscope.session.answering import finish
from kscope.target.target import Target


def test_those_of_a_name_are_those_that_the_whole_list_has(demo_target: Target) -> None:
    every = finish(symbols(demo_target, SymbolsQuery()), None).symbols
    for name in ("schedule", "cmask_show", "runqueues", "storlab_list", "__mutex_lock.constprop.0"):
        wanted = [symbol for symbol in every if symbol.name == name]
        assert wanted
        assert list(finish(symbols(demo_target, SymbolsQuery(name=name)), None).symbols) == wanted


def test_the_list_is_by_address_and_has_each_symbol_once(demo_target: Target) -> None:
    every = finish(symbols(demo_target, SymbolsQuery()), None).symbols
    places = [(symbol.address, symbol.name) for symbol in every]
    assert places == sorted(set(places))
    assert len(places) > 80_000


def test_asked_for_some_at_a_time_they_are_the_same(demo_target: Target) -> None:
    every = finish(symbols(demo_target, SymbolsQuery(containing="mutex")), None).symbols
    found: list[NamedSymbol] = []
    first: int | None = 0
    while first is not None:
        query = SymbolsQuery(containing="mutex", first=first, among=10_000)
        answer = finish(symbols(demo_target, query), None)
        found += answer.symbols
        first = answer.next
    assert tuple(found) == every
