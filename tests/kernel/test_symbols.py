"""Symbols by name."""

from kscope.kernel.symbols import symbols
from kscope.model.symbols import SymbolsQuery
from kscope.target.target import Target


def test_those_of_a_name_are_those_that_the_whole_list_has(demo_target: Target) -> None:
    every = symbols(demo_target, SymbolsQuery()).symbols
    for name in ("schedule", "cmask_show", "runqueues", "storlab_list", "__mutex_lock.constprop.0"):
        wanted = [symbol for symbol in every if symbol.name == name]
        assert wanted
        assert list(symbols(demo_target, SymbolsQuery(name=name)).symbols) == wanted


def test_the_list_is_by_address_and_has_each_symbol_once(demo_target: Target) -> None:
    every = symbols(demo_target, SymbolsQuery()).symbols
    places = [(symbol.address, symbol.name) for symbol in every]
    assert places == sorted(set(places))
    assert len(places) > 80_000
