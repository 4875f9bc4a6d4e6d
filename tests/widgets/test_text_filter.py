"""What is typed after a slash."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from kscope.widgets.text_filter import parse_filter

NAMES = ["kworker/0:1", "systemd", "Xorg", "sh", "[red]"]


def chosen(source: str) -> list[str]:
    return [NAMES[index] for index in parse_filter(source).select(NAMES)]


def test_nothing_typed_leaves_nothing_out() -> None:
    assert chosen("") == NAMES
    assert chosen("!") == NAMES


def test_small_letters_match_both_cases_and_a_capital_itself() -> None:
    assert chosen("xorg") == ["Xorg"]
    assert chosen("SYSTEMD") == []


def test_an_exclamation_mark_inverts() -> None:
    assert chosen("!s") == ["kworker/0:1", "Xorg", "[red]"]


def test_it_is_a_regular_expression() -> None:
    assert chosen("^s[hy]") == ["systemd", "sh"]
    assert chosen(r"\[red\]") == ["[red]"]


def test_half_a_regular_expression_says_why_and_filters_nothing() -> None:
    half = parse_filter("a(")
    assert not half.active
    assert "unterminated" in half.error
    assert chosen("a(") == NAMES


def test_ranges_are_where_it_matches() -> None:
    assert list(parse_filter("o").ranges("Xorg o")) == [(1, 2), (5, 6)]
    assert list(parse_filter("!o").ranges("Xorg")) == []
    assert list(parse_filter("x*").ranges("axxb")) == [(1, 3)]


def test_of_several_texts_one_must_match_or_if_inverted_none() -> None:
    assert parse_filter("b").matches_any(["a", "b"])
    assert not parse_filter("!b").matches_any(["a", "b"])
    assert parse_filter("!c").matches_any(["a", "b"])


@given(st.text(max_size=20), st.lists(st.text(max_size=20), max_size=10))
def test_whatever_is_typed_a_filter_and_its_inverse_share_out_the_texts(
    source: str, texts: list[str]
) -> None:
    source = source.lstrip("!")
    straight, inverse = parse_filter(source), parse_filter("!" + source)
    assert bool(straight.error) == bool(inverse.error)
    if straight.active:
        both = sorted([*straight.select(texts), *inverse.select(texts)])
        assert both == list(range(len(texts)))


def test_a_quoted_text_matches_itself() -> None:
    for name in NAMES:
        assert parse_filter(re.escape(name)).matches(name)
