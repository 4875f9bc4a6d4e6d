"""Output of crash commands as lines with links."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from kscope.model.base import Address
from kscope.screens.links import AddressLink, CpuLink, Link, SymbolLink, TaskLink
from kscope.screens.log import linked
from kscope.widgets.line import Line, Span

_ADDRESS = r"(?!f{13})[89a-f][0-9a-f]{15}"
_PS_ROW = re.compile(
    rf"([> ]\s+)(?P<pid>\d+)(\s+)(?P<ppid>\d+)(\s+)(?P<cpu>\d+)(  )(?P<task>{_ADDRESS})\b"
)
_TITLE = re.compile(rf"PID: (?P<pid>\d+)\s+TASK: (?P<task>{_ADDRESS})(?:\s+CPU: (?P<cpu>\d+))?")
_FRAME = re.compile(
    rf"\[(?P<sp>{_ADDRESS})\] (?P<function>[\w.]+)(?:\+\w+)? at (?P<at>[0-9a-f]{{16}})"
)
_SYMBOL = re.compile(r"<(?P<function>[A-Za-z_][\w.]*)(?:\+(?P<offset>\d+|0x[0-9a-f]+))?>")


class OutputLines(Sequence[Line]):
    """The lines of an output, each made when it is painted."""

    def __init__(self, lines: Sequence[str], role: str = "") -> None:
        self._lines = lines
        self._role = role

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: Any) -> Any:
        return linked_output(self._lines[index].expandtabs(8), self._role)


def linked_output(text: str, role: str = "") -> list[Span]:
    """A line with tasks, CPUs, functions and addresses as links."""
    spans: list[Span] = []
    position = 0
    for start, end, target in sorted(_links(text), key=lambda found: found[0]):
        if start < position:
            continue
        spans += linked(text[position:start], role) if start > position else []
        spans.append(Span(text[start:end], f"link {role}".strip(), target))
        position = end
    if position < len(text) or not spans:
        spans += linked(text[position:], role)
    return [_calm(span, role) for span in spans]


def _calm(span: Span, role: str) -> Span:
    """An address less loud than names: every other word of an output is one."""
    return span._replace(role=role or "dim") if isinstance(span.target, AddressLink) else span


def _links(text: str) -> Iterator[tuple[int, int, Link]]:
    if (row := _PS_ROW.match(text)) is not None:
        task = Address(row["task"], 16)
        yield (*row.span("pid"), TaskLink(int(row["pid"]), task))
        yield (*row.span("ppid"), TaskLink(int(row["ppid"])))
        yield (*row.span("cpu"), CpuLink(int(row["cpu"])))
        yield (*row.span("task"), AddressLink(task, "struct task_struct"))
    for title in _TITLE.finditer(text):
        task = Address(title["task"], 16)
        yield (*title.span("pid"), TaskLink(int(title["pid"]), task))
        yield (*title.span("task"), AddressLink(task, "struct task_struct"))
        if title["cpu"] is not None:
            yield (*title.span("cpu"), CpuLink(int(title["cpu"])))
    for frame in _FRAME.finditer(text):
        yield (*frame.span("sp"), AddressLink(Address(frame["sp"], 16)))
        yield (*frame.span("function"), SymbolLink(frame["function"]))
        yield (*frame.span("at"), AddressLink(Address(frame["at"], 16)))
    for symbol in _SYMBOL.finditer(text):
        offset = int(symbol["offset"] or "0", 0)
        yield (*symbol.span("function"), SymbolLink(symbol["function"], offset))
