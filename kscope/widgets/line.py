"""One line of a screen as spans of text, each with a role and perhaps somewhere to go.

Everything a widget shows of a dump is made of these, never of markup: a task may be called
``[red]`` or ``[/0]``. All widths are terminal cells, not characters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from kscope.model.text import printable
from kscope.widgets.theme import Role, RoleStyles


class Span(NamedTuple):
    """A run of text that looks the same."""

    text: str
    role: Role | Style = ""
    target: object = None
    """What the span leads to when it is a link, in terms of whoever shows it."""


Line: TypeAlias = Sequence[Span]

Cell: TypeAlias = "str | Span | tuple[str, Role] | Text | Sequence[Span | str | tuple[str, Role]]"
"""What may be given where a line or a table cell is wanted."""

ELLIPSIS = "…"


def line(*parts: Cell) -> tuple[Span, ...]:
    """A line of these parts, one after the other."""
    return tuple(span for part in parts for span in _spans(part) if span.text)


def _spans(part: Cell) -> Iterable[Span]:
    if isinstance(part, str):
        return (_span(part),)
    if isinstance(part, Span):
        return (_span(*part),)
    if isinstance(part, Text):
        return _spans_of_text(part)
    if isinstance(part, tuple) and len(part) == 2 and all(isinstance(p, str) for p in part):
        text, role = part
        return (_span(str(text), str(role)),)
    return (span for piece in part for span in _spans(piece))


def _span(text: str, role: Role | Style = "", target: object = None) -> Span:
    # What comes from a dump was made printable long before. This is the last place where
    # something that was not can be kept from the terminal.
    return Span(text if text.isprintable() else printable(text), role, target)


def _spans_of_text(text: Text) -> Iterable[Span]:
    """A rich ``Text``: its styles are rich's, the last one given wins where they overlap."""
    edges = sorted({0, len(text), *(e for s in text.spans for e in (s.start, s.end))})
    base = text.style if isinstance(text.style, Style) else Style.parse(text.style or "none")
    for start, end in pairwise(edges):
        style = base
        for span in text.spans:
            if span.start <= start and end <= span.end:
                own = span.style
                style += own if isinstance(own, Style) else Style.parse(str(own))
        yield _span(text.plain[start:end], style)


def plain(spans: Line) -> str:
    """The text alone, as it is copied and searched."""
    return "".join(span.text for span in spans)


def width(spans: Line) -> int:
    """How many terminal cells the line takes."""
    return sum(cell_len(span.text) for span in spans)


def crop(spans: Line, start: int, end: int) -> list[Span]:
    """The part between two cells. Half of a wide character becomes a blank."""
    result: list[Span] = []
    x = 0
    for span in spans:
        length = cell_len(span.text)
        if not length:
            # A combining mark in a span of its own belongs to what is before it.
            if start < x <= end or x == start == 0:
                result.append(span)
        elif x >= end:
            break
        elif x + length > start:
            first, last = max(start - x, 0), min(end - x, length)
            if (first, last) == (0, length):
                result.append(span)
            else:
                result.append(span._replace(text=_crop_text(span.text, first, last)))
        x += length
    return result


def _crop_text(text: str, start: int, end: int) -> str:
    if text.isascii():
        return text[start:end]
    head = set_cell_size(text, end)
    if not start:
        return head
    skipped = 0
    for index, character in enumerate(head):
        cells = cell_len(character)
        # A combining character belongs to what is before it.
        if skipped >= start and cells:
            return " " * (skipped - start) + head[index:]
        skipped += cells
    return " " * (skipped - start)


def fit(spans: Line, cells: int, *, right: bool = False) -> list[Span]:
    """The line in exactly ``cells`` cells: padded, or cut with an ellipsis."""
    length = width(spans)
    if length > cells:
        if cells <= 0:
            return []
        kept = crop(spans, 0, cells - 1)
        last = kept[-1].role if kept else ""
        return [*kept, Span(ELLIPSIS, last)]
    if length == cells:
        return list(spans)
    padding = Span(" " * (cells - length))
    return [padding, *spans] if right else [*spans, padding]


def wrap(spans: Line, cells: int, indent: int = 0) -> list[list[Span]]:
    """The line in pieces no wider than ``cells``, broken at blanks where there are any.

    :param indent: cells left empty before every piece but the first.
    """
    if cells <= 0 or width(spans) <= cells:
        return [list(spans)]
    indent = max(0, min(indent, cells // 2, cells - 2))
    pieces: list[list[Span]] = []
    rest = list(spans)
    while True:
        room = cells - (indent if pieces else 0)
        margin = [Span(" " * indent)] if pieces and indent else []
        total = width(rest)
        if total <= room:
            pieces.append(margin + rest)
            return pieces
        cut = _break_before(plain(rest), room)
        pieces.append(margin + crop(rest, 0, cut))
        rest = crop(rest, cut, total)


def _break_before(text: str, room: int) -> int:
    """Where to break ``text`` so that what comes before fits in ``room`` cells."""
    x = 0
    after_blank = 0
    for character in text:
        length = cell_len(character)
        if x + length > room:
            break
        x += length
        if character == " ":
            after_blank = x
    # A break that wastes more than half of the line is worse than a broken word.
    return after_blank if after_blank * 2 > room else max(x, 1)


def highlight(spans: Line, ranges: Iterable[tuple[int, int]], role: Role) -> list[Span]:
    """The line with the characters of ``ranges`` (start, end) given another role."""
    result = list(spans)
    for start, end in ranges:
        marked: list[Span] = []
        index = 0
        for span in result:
            stop = index + len(span.text)
            first, last = max(start, index), min(end, stop)
            if first >= last:
                marked.append(span)
            else:
                text = span.text
                for piece, piece_role in (
                    (text[: first - index], span.role),
                    (text[first - index : last - index], role),
                    (text[last - index :], span.role),
                ):
                    if piece:
                        marked.append(Span(piece, piece_role, span.target))
            index = stop
        result = marked
    return result


def segments(
    spans: Line, styles: RoleStyles, base: Style, *, under_cursor: bool = False
) -> list[Segment]:
    """The line as Textual wants it.

    Neighbours that look the same are joined, and blanks join what precedes them if nobody can
    tell: every change of style costs some forty bytes on the way to the terminal.
    """
    result: list[Segment] = []
    for text, role, _ in spans:
        if not text:
            continue
        if isinstance(role, Style):
            style = base + role + (styles.cursor if under_cursor else Style.null())
        else:
            style = base + styles.style(role, under_cursor=under_cursor)
        if result:
            before = result[-1].style
            assert before is not None
            if style == before or (text.isspace() and _blanks_look_alike(style, before)):
                result[-1] = Segment(result[-1].text + text, before)
                continue
        result.append(Segment(text, style))
    return result


def _blanks_look_alike(one: Style, other: Style) -> bool:
    return (
        one.bgcolor == other.bgcolor
        and not one.underline
        and not other.underline
        and bool(one.reverse) == bool(other.reverse)
        and (not one.reverse or one.color == other.color)
    )
