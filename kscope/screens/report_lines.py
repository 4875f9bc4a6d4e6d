"""A notebook as lines, each with what it is a line of."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from kscope.report.notebook import TRIMMED, Block, Notebook
from kscope.screens.output_lines import linked_output
from kscope.widgets.facts import rule
from kscope.widgets.line import Line, Span, line, wrap

Part = Literal["heading", "question", "command", "output", "relevant", "gap"]

_INDENT = "  "
_QUESTION = "what I want to learn …"
_RELEVANT = "what is relevant …"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What a line is."""

    block: str
    """The block's name."""
    part: Part
    step: int = 0
    row: int = 0
    """Of an output: which of its lines, as shown."""


class ReportLines(Sequence[Line]):
    """Lines and their places."""

    def __init__(self) -> None:
        self.places: list[Place] = []
        self._lines: list[Line | str] = []

    def add(self, content: Line | str, place: Place) -> None:
        """:param content: a text is made a line when it is painted."""
        self._lines.append(content)
        self.places.append(place)

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: Any) -> Any:
        content = self._lines[index]
        if isinstance(content, str):
            role = "dim" if content.endswith(TRIMMED) else ""
            return [Span(_INDENT), *linked_output(content, role)]
        return content

    def find(self, block: str, part: Part) -> int:
        """Where a part of a block begins, -1 if it is not there."""
        for index, place in enumerate(self.places):
            if place.block == block and place.part == part:
                return index
        return -1


def report_lines(
    notebook: Notebook, cells: int, *, editing: tuple[str, Part, int] | None = None,
    marked: Place | None = None,
) -> ReportLines:  # fmt: skip
    """The whole report.

    :param editing: block and part that are being written, and how many rows to leave for it.
    :param marked: where the reader began to choose lines to trim.
    """
    lines = ReportLines()
    for number, block in enumerate(notebook.blocks, start=1):
        _block(lines, number, block, cells=cells, editing=editing, marked=marked)
    return lines


def _block(
    lines: ReportLines,
    number: int,
    block: Block,
    *,
    cells: int,
    editing: tuple[str, Part, int] | None,
    marked: Place | None,
) -> None:
    def place(part: Part, **more: int) -> Place:
        return Place(block=block.id, part=part, **more)

    who = {step.answered_by for step in block.steps} - {""}
    notes = [f"answered by {' and '.join(sorted(who))}"] if who else []
    if block.folded:
        notes.append("folded")
    note = line((" · ".join(notes), "dim")) if notes else ""
    lines.add(rule(str(number), cells, note=note), place("heading"))
    _commentary(lines, block, "question", cells, editing)
    if block.folded:
        for step in block.steps:
            count = len(step.output.splitlines())
            lines.add(
                line(_INDENT, ("crash> ", "dim"), (step.command, "strong"),
                     (f"   {count} lines", "dim")),
                place("command"),
            )  # fmt: skip
        lines.add((), place("gap"))
        return
    for index, step in enumerate(block.steps):
        lines.add((), place("gap", step=index))
        shown: list[Line] = []
        note = "" if step.answered_by else "   not run: r runs it"
        command = step.command or "(no crash command shows this)"
        shown.append(line(_INDENT, ("crash> ", "accent"), (command, "strong"), (note, "warning")))
        lines.add(shown[0], place("command", step=index))
        for row, text in enumerate(step.lines):
            here = place("output", step=index, row=row)
            if here == marked:
                lines.add([Span("▸ ", "accent strong"), *linked_output(text)], here)
            else:
                lines.add(text, here)
        if step.note:
            lines.add(line(_INDENT, (f"({step.note})", "dim")), place("command", step=index))
    if block.steps:
        lines.add((), place("gap", step=len(block.steps)))
    _commentary(lines, block, "relevant", cells, editing)
    lines.add((), place("gap", step=len(block.steps)))


def _commentary(
    lines: ReportLines,
    block: Block,
    part: Literal["question", "relevant"],
    cells: int,
    editing: tuple[str, Part, int] | None,
) -> None:
    here = Place(block=block.id, part=part)
    if editing is not None and editing[:2] == (block.id, part):
        for _ in range(editing[2]):
            lines.add((), here)
        return
    text = block.question if part == "question" else block.relevant
    if not text.strip():
        lines.add(line((_QUESTION if part == "question" else _RELEVANT, "dim")), here)
        return
    for index, paragraph in enumerate(text.strip("\n").split("\n")):
        role = "strong" if part == "question" and index == 0 else ""
        for piece in wrap(line((paragraph, role)), max(20, cells)):
            lines.add(piece, here)
