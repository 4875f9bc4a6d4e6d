"""What a pane shows when it has no content to show: three different things, never a blank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from kscope.widgets.line import Line, line, wrap


@dataclass(frozen=True)
class Loading:
    """The answer is on its way."""

    what: str
    """As in "reading tasks"."""

    done: int = 0
    total: int = 0
    """Zero while nobody knows."""


@dataclass(frozen=True)
class Empty:
    """The answer is that there is nothing."""

    why: str
    hint: str = ""


@dataclass(frozen=True)
class Failed:
    """There is no answer."""

    sentence: str
    hint: str = ""
    """What to do next."""


State: TypeAlias = Loading | Empty | Failed

PROGRESS_CELLS = 24


def state_lines(state: State, cells: int) -> Sequence[Line]:
    """The state as lines for a pane ``cells`` wide."""
    match state:
        case Loading(what, done, total):
            lines = _paragraph("…", "accent", what, "", cells)
            if total > 0:
                filled = min(PROGRESS_CELLS, PROGRESS_CELLS * done // total)
                lines.append(
                    line(
                        "   ",
                        ("━" * filled, "accent"),
                        ("─" * (PROGRESS_CELLS - filled), "dim"),
                        (f"  {done:,} of {total:,}", "dim"),
                    )
                )
            return lines
        case Empty(why, hint):
            return _paragraph("·", "dim", why, "", cells) + _hint(hint, cells)
        case Failed(sentence, hint):
            return _paragraph("!", "critical strong", sentence, "critical", cells) + _hint(
                hint, cells
            )


def _paragraph(sign: str, sign_role: str, text: str, role: str, cells: int) -> list[Line]:
    spans = line(" ", (sign, sign_role), " ", (text, role))
    return list(wrap(spans, cells, indent=3))


def _hint(hint: str, cells: int) -> list[Line]:
    if not hint:
        return []
    return list(wrap(line("   ", (hint, "dim")), cells, indent=3))
