"""Labels with values, bars, and rules between sections, as lines for a ``TextView``."""

from __future__ import annotations

from collections.abc import Iterable

from rich.cells import cell_len

from kscope.widgets.line import Cell, Line, Span, fit, line, width
from kscope.widgets.theme import Role


def facts(
    rows: Iterable[tuple[str, Cell]], *, label_role: Role = "dim", right: bool = False, gap: int = 1
) -> list[Line]:
    """One line for each label and value, the values below each other.

    :param right: labels end at the values, as in crash's ``sys``.
    :param gap: cells between the longest label and the values.
    """
    rows = list(rows)
    cells = max((cell_len(label) for label, _ in rows), default=0)
    return [
        (*fit(line((label, label_role)), cells, right=right), Span(" " * gap), *line(value))
        for label, value in rows
    ]


def value_column(rows: Iterable[tuple[str, Cell]], gap: int = 1) -> int:
    """The cell in which ``facts`` begins the values: a ``wrap_indent``."""
    return max((cell_len(label) for label, _ in rows), default=0) + gap


_EIGHTHS = " ▏▎▍▌▋▊▉"


def bar(fraction: float, cells: int, role: Role = "accent", *, track: bool = True) -> list[Span]:
    """A bar ``cells`` wide, filled to ``fraction``, exact to an eighth of a cell.

    What is more than nothing is never shown as nothing, and less than all never as all.

    :param track: show the unfilled part. Without it, only the filled part takes up cells.
    """
    eighths = round(max(0.0, min(fraction, 1.0)) * cells * 8)
    if fraction > 0:
        eighths = max(eighths, 1)
    if fraction < 1:
        eighths = min(eighths, cells * 8 - 1)
    full, part = divmod(eighths, 8)
    spans = [Span("█" * full, role)] if full else []
    if part:
        spans.append(Span(_EIGHTHS[part], f"{role} track" if track else role))
    rest = cells - full - bool(part)
    if track and rest:
        spans.append(Span(" " * rest, "track"))
    return spans


def rule(title: Cell, cells: int, note: Cell = "") -> Line:
    """A line across ``cells`` that begins a section: ``── title ─────── note``."""
    spans = list(line(("── ", "frame"), title, " "))
    after = line(" ", note) if note else ()
    length = cells - width(spans) - width(after)
    return [*spans, Span("─" * max(length, 2), "frame"), *after]
