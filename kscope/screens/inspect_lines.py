"""The Inspect screen's texts: the way here, memory, code, layouts, what an address is."""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain

from kscope.dialect.address import text as address_text
from kscope.dialect.code import operation
from kscope.dialect.struct import text as structure_text
from kscope.model.address import AddressQuery, AddressState
from kscope.model.base import Address
from kscope.model.code import Code
from kscope.model.list import Walk, WalkRow
from kscope.model.memory import Memory, MemoryLine
from kscope.model.search import Hit
from kscope.model.struct import StructQuery, Structure
from kscope.screens.inspect_visits import Visit
from kscope.screens.links import AddressLink
from kscope.widgets.line import Cell, Line, Span, line, width
from kscope.widgets.table import Column


def path_line(path: Sequence[Visit], cells: int) -> Line:
    """The place, behind what was followed to it; of a long way only the end."""
    labels = [visit.label or visit.name for visit in path[:-1]]
    last = path[-1]
    if last.label not in (last.name, ""):
        labels.append(last.label)
    steps = [(Span(label, "dim"), Span(" › ", "accent")) for label in labels]
    here = Span(last.name, "strong")
    room = cells - width((here,))
    dropped = 0
    while dropped < len(steps) and room < _steps_width(steps, dropped):
        dropped += 1
    return [*chain.from_iterable(_from_step(steps, dropped)), here]


def _from_step(steps: Sequence[tuple[Span, Span]], first: int) -> Sequence[tuple[Span, ...]]:
    return [(Span("… › ", "dim"),), *steps[first:]] if first else steps


def _steps_width(steps: Sequence[tuple[Span, Span]], first: int) -> int:
    return sum(map(width, _from_step(steps, first)))


def rest_of_line(spans: Line, cells: int) -> Line:
    """Whatever in a line does not fit ``cells``: names of pointers, the end of an instruction."""
    end = 0
    for position, span in enumerate(spans):
        end += width((span,))
        if end > cells:
            first = span._replace(text=span.text.lstrip())
            return [first, *spans[position + 1 :]]
    return []


def layout_lines(structure: Structure) -> list[Line]:
    """``struct -o``."""
    query = StructQuery(type=structure.type, offsets=True)
    return [line(each) for each in structure_text(query, structure).splitlines()]


def memory_lines(memory: Memory) -> list[Line]:
    """Bytes or words, what the pointers among them are, and the text."""
    return [memory_line(memory, each) for each in memory.lines]


def memory_line(memory: Memory, each: MemoryLine) -> Line:
    """Sixteen bytes."""
    digits = memory.word_bytes * 2
    notes = {note.index: note for note in each.notes}
    spans = [Span(f"{each.address:016x}  ", "dim")]
    for index, word in enumerate(each.words):
        if word is None:
            spans.append(Span("?" * digits, "critical"))
        elif index in notes:
            spans.append(Span(f"{word:0{digits}x}", "link", AddressLink(Address(word))))
        else:
            spans.append(Span(f"{word:0{digits}x}", "dim" if word == 0 else ""))
        spans.append(Span(" "))
    missing = 16 // memory.word_bytes - len(each.words)
    spans.append(Span(" " * (missing * (digits + 1) + 1)))
    spans.append(Span(each.text))
    for note in each.notes:
        role = "warning" if note.kind in ("poison", "free-slab") else "dim"
        spans.append(Span(f"  {note.text}", role))
    return spans


def code_lines(code: Code) -> list[Line]:
    """Instructions, calls and jumps as links, lines of source above what they became."""
    return [spans for spans, _ in _code(code)]


def code_position(code: Code) -> int:
    """The line of the instruction that was asked for."""
    for position, (_, address) in enumerate(_code(code)):
        if address == code.address:
            return position
    return 0


def _code(code: Code) -> Iterator[tuple[Line, int]]:
    before = None
    for each in code.instructions:
        if each.source is not None and each.source != before:
            yield line((f"{each.source.file}:{each.source.line}", "dim")), 0
            before = each.source
        here = each.address == code.address and code.address != code.start
        spans = [
            Span("> " if here else "  ", "accent strong"),
            Span(f"{each.address:x} ", "dim"),
            Span(f"+{each.offset:<5x} ", "dim"),
        ]
        text = operation(each)
        if each.target is not None and each.target_name and not text.endswith("per-CPU"):
            text, name = text.split(each.target_name)[0], each.target_name
            role = "link" if not name.startswith("per-CPU") else "dim"
            target = AddressLink(each.target) if role == "link" else None
            spans += [Span(text), Span(name, role, target), Span(">" if "<" in text else "")]
        else:
            spans.append(Span(text))
        yield spans, each.address
    if code.note:
        yield line((code.note, "warning")), 0


def address_lines(state: AddressState) -> list[Line]:
    """What it is, in the words of ``kmem`` and ``vtop``."""
    lines = [line((state.text, "strong")), line("")] if state.text else []
    text = address_text(AddressQuery(address=f"{state.address:#x}"), state)
    # The pane's title has the address, and the first line what it is.
    text = text.removeprefix(f"{state.address}: {state.text}").lstrip("\n")
    return [*lines, *(_with_links(each, int(state.address)) for each in text.splitlines())]


_KERNEL_ADDRESS = re.compile(r"\bffff[0-9a-f]{12}\b")


def _with_links(text: str, here: int) -> Line:
    """Addresses but that of the place itself as links, headings as such."""
    if text.strip() and text.upper() == text and not any(c.isdigit() for c in text):
        return line((text, "header"))
    spans: list[Span] = []
    position = 0
    for match in _KERNEL_ADDRESS.finditer(text):
        spans.append(Span(text[position : match.start()]))
        address = int(match[0], 16)
        link = None if address == here else AddressLink(Address(address))
        spans.append(Span(match[0], "" if link is None else "link", link))
        position = match.end()
    return [*spans, Span(text[position:])]


def walk_columns(walk: Walk) -> list[Column[WalkRow]]:
    """The element's address, its key where it has one, and the chosen members."""
    found: list[Column[WalkRow]] = []
    if walk.kind in ("array", "per-cpu", "xarray", "radix"):
        title = "CPU" if walk.kind == "per-cpu" else "INDEX"
        found.append(Column(title, lambda row: f"{row.key}", width=8, right=True))
    elif walk.kind == "maple":
        found.append(Column("INDEX", _range, width=27, right=True))
    found.append(Column("ADDRESS", lambda row: (f"{row.entry:x}", "link"), width=16))
    for index, name in enumerate(walk.columns):
        title = name.rpartition(".")[2].upper()
        found.append(Column(title, _cell(index, name), minimum=10))
    if not walk.columns:
        found.append(Column("WHAT", lambda row: row.what, role="dim"))
    return found


def _range(row: WalkRow) -> str:
    last = "" if row.last in (None, row.key) else f"-{row.last:x}"
    return f"{row.key or 0:x}{last}"


_POINTED_TEXT = re.compile(r'0x[0-9a-f]+ "(.*)"')
"""A ``char *`` with what it points at."""
_LARGEST_NUMBER = 1 << 16
_ADDRESSES = re.compile(r"(?:^|_|\.)(?:start|end|addr|address|base|sp|ip|brk|stack)$")
"""Members that have addresses, though their type is ``unsigned long``."""


def _cell(index: int, name: str) -> Callable[[WalkRow], Cell]:
    is_address = _ADDRESSES.search(name) is not None

    def cell(row: WalkRow) -> Cell:
        value = row.values[index]
        if value is None:
            return ("unreadable", "critical")
        if isinstance(value, int) and value > _LARGEST_NUMBER and is_address:
            return f"{value:x}"
        text = _POINTED_TEXT.fullmatch(str(value))
        return str(value).removeprefix("0x") if text is None else text[1]

    return cell


def hit_columns(*, stacks: bool) -> list[Column[Hit]]:
    """Where, and what that is."""
    if stacks:
        return [
            Column("ADDRESS", lambda hit: (f"{hit.address:x}", "link"), width=16),
            Column("PID", lambda hit: "" if hit.pid is None else str(hit.pid), width=7, right=True),
            Column("COMMAND", lambda hit: hit.comm, width=16),
            Column("FRAME", lambda hit: hit.frame or ("none", "dim")),
        ]
    return [
        Column("ADDRESS", lambda hit: (f"{hit.address:x}", "link"), width=16),
        Column("IN", lambda hit: hit.what, minimum=24),
        Column("MEMBER", lambda hit: hit.member.replace("struct ", "", 1) or hit.frame, role="dim"),
    ]
