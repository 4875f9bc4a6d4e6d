"""Facts, bars and rules."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kscope.widgets.facts import bar, facts, rule, value_column
from kscope.widgets.line import plain, width

ROWS = [("DATE", "Mon"), ("UPTIME", "17 d"), ("日本", "x")]


def test_values_stand_below_each_other() -> None:
    assert [plain(each) for each in facts(ROWS)] == ["DATE   Mon", "UPTIME 17 d", "日本   x"]
    assert value_column(ROWS) == 7


def test_labels_can_end_at_the_values_as_in_crash() -> None:
    lines = [plain(each) for each in facts(ROWS, right=True)]
    assert lines == ["  DATE Mon", "UPTIME 17 d", "  日本 x"]


@given(st.floats(0, 1), st.integers(1, 40))
def test_a_bar_is_as_wide_as_asked(fraction: float, cells: int) -> None:
    assert width(bar(fraction, cells)) == cells


def test_a_bar_is_exact_to_an_eighth_of_a_cell() -> None:
    assert plain(bar(0.5, 4)) == "██  "
    assert plain(bar(0.40625, 4)) == "█▋  "
    assert plain(bar(0.5, 4, track=False)) == "██"


def test_a_bar_tells_little_from_nothing_and_almost_all_from_all() -> None:
    assert plain(bar(0, 4)) == "    "
    assert plain(bar(1e-6, 4)) == "▏   "
    assert plain(bar(1 - 1e-6, 4)) == "███▉"
    assert plain(bar(1, 4)) == "████"


def test_a_rule_fills_the_line() -> None:
    assert plain(rule("NMI", 30, "stopped here")) == "── NMI ────────── stopped here"
