"""Lines of spans: measured in cells, never markup."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.style import Style
from rich.text import Text

from kscope.widgets.line import Span, crop, fit, highlight, line, plain, segments, width, wrap
from kscope.widgets.theme import DARK, RoleStyles

STYLES = RoleStyles(DARK.to_color_system().generate(), no_color=False, sixteen=False)
BASE = Style(color="white", bgcolor="black")

# Wide, narrow and combining characters, and blanks to break at.
texts = st.text(alphabet="ab cd日本é‐e\u0301←", max_size=40)
lines = st.lists(st.builds(Span, texts, st.sampled_from(["", "dim", "critical"])), max_size=6)


def test_a_line_is_made_of_strings_pairs_spans_texts_and_lists_of_them() -> None:
    spans = line("a", ("b", "dim"), Span("c", "link", 7), Text("d"), ["e", ("f", "good")])
    assert plain(spans) == "abcdef"
    assert [span.role for span in spans][:3] == ["", "dim", "link"]
    assert spans[2].target == 7


def test_control_characters_that_got_this_far_are_escaped() -> None:
    assert plain(line("a\x1b[31mb\x00", Text("\x9b\u202e"))) == r"a\x1b[31mb\x00\x9b\u202e"


def test_overlapping_styles_of_rich_text_add_up() -> None:
    text = Text("abc", style="red")
    text.stylize("bold", 1, 3)
    text.stylize("underline", 2, 3)
    last = line(text)[-1].role
    assert isinstance(last, Style)
    assert (last.bold, last.underline, last.color and last.color.name) == (True, True, "red")


@given(lines, st.integers(0, 60), st.booleans())
def test_fitting_gives_exactly_the_cells_asked_for(
    spans: list[Span], cells: int, right: bool
) -> None:
    assert width(fit(spans, cells, right=right)) == cells


@given(lines, st.integers(0, 60), st.integers(0, 60))
def test_cropping_gives_what_lies_between_two_cells(
    spans: list[Span], start: int, length: int
) -> None:
    end = start + length
    assert width(crop(spans, start, end)) == max(0, min(end, width(spans)) - start)


@given(lines, st.integers(2, 60), st.integers(0, 4))
def test_wrapping_loses_nothing_and_fits(spans: list[Span], cells: int, indent: int) -> None:
    pieces = wrap(spans, cells, indent)
    assert all(width(piece) <= max(cells, 2) for piece in pieces)
    kept = "".join(plain(piece) for piece in pieces).replace(" ", "")
    assert kept == plain(spans).replace(" ", "")


def test_wrapping_breaks_at_blanks_and_indents_what_follows() -> None:
    pieces = wrap(line("the quick brown fox jumps"), 12, indent=2)
    assert [plain(piece) for piece in pieces] == ["the quick ", "  brown fox ", "  jumps"]


def test_a_word_longer_than_the_line_is_broken() -> None:
    pieces = wrap(line("ffffffff81234567"), 10)
    assert [plain(piece) for piece in pieces] == ["ffffffff81", "234567"]


def test_a_combining_mark_in_a_span_of_its_own_is_kept() -> None:
    assert plain(crop([Span("\u0301"), Span("aaa")], 0, 2)) == "\u0301aa"
    assert plain(crop([Span("aaa"), Span("\u0301")], 2, 3)) == "a\u0301"


def test_half_of_a_wide_character_becomes_a_blank() -> None:
    assert plain(crop(line("日本"), 1, 4)) == " 本"
    assert plain(crop(line("日本"), 0, 3)) == "日 "


def test_what_is_cut_ends_with_an_ellipsis() -> None:
    assert plain(fit(line("mutex_lock"), 6)) == "mutex…"


def test_highlighting_keeps_the_text_and_the_links() -> None:
    spans = highlight([Span("abc", "dim", 1), Span("def", "good")], [(2, 4)], "match")
    assert [(s.text, s.role, s.target) for s in spans] == [
        ("ab", "dim", 1),
        ("c", "match", 1),
        ("d", "match", None),
        ("ef", "good", None),
    ]


def test_neighbours_that_look_the_same_are_one_segment() -> None:
    made = segments(line("a", ("b", ""), ("c", "dim"), " ", ("d", "dim")), STYLES, BASE)
    assert [segment.text for segment in made] == ["ab", "c d"]


def test_a_blank_in_a_link_is_not_given_to_its_neighbour() -> None:
    made = segments([Span("a"), Span(" ", "link"), Span("b")], STYLES, BASE)
    assert [segment.text for segment in made] == ["a", " ", "b"]
