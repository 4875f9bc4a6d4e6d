"""The grid of CPUs: one cell for each, as large as there is room for."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, NamedTuple

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.strip import Strip

from kscope.model.cpus import STATES, Cpu, lags, state_of
from kscope.model.durations import in_words
from kscope.widgets.line import Line, Span, fit, line, segments, width
from kscope.widgets.line_view import LineView
from kscope.widgets.theme import Role, role_styles


class _Size(NamedTuple):
    """Of a cell; cells share the width that is left."""

    width: int
    height: int


_LARGE = _Size(25, 4)
"""Everything, and a blank row."""
_SMALL = _Size(17, 1)
"""Number, state and task."""
_TILE = _Size(7, 1)
"""Number and state."""
_LETTER = _Size(1, 1)
"""The state alone; each row begins with the number of its first CPU."""
_SIZES = (_LARGE, _SMALL, _TILE, _LETTER)

_LETTER_ROWS = (64, 32, 16, 8)
"""How many letters a row has: as many of these as there is room for, eight in a group."""
_GROUP = 8
_LABEL = 5


@dataclass(frozen=True)
class _Layout:
    """Cells of one size in rows and columns."""

    size: _Size
    columns: int
    wide: int
    """Cells of the terminal from the beginning of one column to that of the next."""
    page: int
    """How many CPUs are seen at once."""

    def column(self, column: int) -> tuple[int, int]:
        """Where a column begins, and how wide it is."""
        if self.size is _LETTER:
            return _LABEL + column + column // _GROUP, 1
        return column * self.wide, self.wide - 1


@lru_cache(maxsize=4)
def _layout(count: int, width: int, height: int, chosen: _Size | None) -> _Layout:
    """The largest cells with which all CPUs are seen, or those that were chosen.

    :param width: of the widget; ``height`` without what is above the cells.
    """
    for size in _SIZES if chosen is None else (chosen,):
        columns = _columns(count, width, size)
        # The last row's blank line need not be seen.
        rows = max(1, (height + (size.height > 1)) // size.height)
        wide = max(size.width, min(width // columns, 2 * size.width))
        layout = _Layout(size, columns, wide, rows * columns)
        if count <= layout.page:
            break
    return layout


def _columns(count: int, width: int, size: _Size) -> int:
    if size is _LETTER:
        room = width - _LABEL
        fitting = (columns for columns in _LETTER_ROWS if columns + columns // _GROUP - 1 <= room)
        return next(fitting, _GROUP)
    # No more than are needed for as few rows: four cells are two by two, not three and one.
    most = max(1, width // size.width)
    rows = -(-count // most)
    return max(1, -(-count // rows)) if rows else most


_HISTOGRAM_FROM = 17
"""With that many CPUs the states are counted above the grid."""

_ROLES: dict[str, Role] = {
    "P": "critical", "H": "critical", "L": "critical", "S": "warning", "X": "critical",
    "T": "", "R": "accent", "B": "", "I": "dim", "O": "dim", "?": "warning",
}  # fmt: skip


def state_role(cpu: Cpu) -> Role:
    """The colour of a CPU's state; the letter says the same."""
    return _ROLES[state_of(cpu)]


def state_words(cpu: Cpu) -> str:
    """Its state in a few words."""
    letter = state_of(cpu)
    words = STATES[letter]
    if cpu.lockup is not None:
        lockup = f"{'hard ' if cpu.lockup.kind == 'hard' else ''}lockup {cpu.lockup.seconds} s"
        if letter not in "HL":
            return f"{words} · {lockup}"
        return f"{lockup} spinning" if cpu.spinning is not None else lockup
    if letter == "X" and cpu.tick_ago_ns is not None and cpu.tick_ago_ns > 10**9:
        return f"irqs off {in_words(cpu.tick_ago_ns)}"
    if letter == "T" and not cpu.interrupt:
        return "in softirq"
    return words


def irq_span(cpu: Cpu) -> Span:
    """Whether its interrupts were on."""
    if cpu.irqs_enabled is None:
        return Span("?", "dim" if cpu.offline else "warning")
    if cpu.irqs_enabled:
        return Span("on")
    return Span("off", "critical" if cpu.irqs_off else "")


def lag_span(cpu: Cpu, threshold_seconds: int | None) -> Span:
    """How far its clock is behind."""
    if cpu.lag_ns is None:
        return Span("?", "warning")
    role = "critical" if lags(cpu, threshold_seconds) else ""
    return Span(f"{cpu.lag_ns / 10**9:.1f} s", role)


class CpuGrid(LineView):
    """CPUs in rows and columns; the cursor is on one of them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,l", "right", "next CPU", show=False, id="grid.right"),
        Binding("left,h", "left", "previous CPU", show=False, id="grid.left"),
        Binding("down,j", "down", "CPU below", show=False, id="grid.down"),
        Binding("up,k", "up", "CPU above", show=False, id="grid.up"),
        Binding("z", "zoom", "size of the cells", show=False, id="grid.zoom"),
    ]
    HELP_HEADING: ClassVar[str] = "In the grid"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._cpus: Sequence[Cpu] = ()
        self._counts: list[tuple[str, int]] = []
        """Of each state, in the order of ``STATES``."""
        self._threshold: int | None = None
        self._chosen_size: _Size | None = None

    def show_cpus(
        self, cpus: Sequence[Cpu], threshold_seconds: int | None, cursor: int | None = None
    ) -> None:
        """Show these CPUs in this order.

        :param cursor: which of them the cursor is on.
        """
        self._cpus = cpus
        self._threshold = threshold_seconds
        counts = Counter(map(state_of, cpus))
        self._counts = [(letter, counts[letter]) for letter in STATES if letter in counts]
        self.lines_changed(cursor=cursor)

    @property
    def selected(self) -> Cpu | None:
        """The CPU under the cursor."""
        return self._cpus[self.cursor] if self._cpus else None

    @property
    def numbers(self) -> list[int]:
        """The numbers of the CPUs that are shown, in their order."""
        return [cpu.cpu for cpu in self._cpus]

    # One CPU is one line, as far as copying and searching go.

    def line_count(self) -> int:
        return len(self._cpus)

    def line_at(self, index: int, cells: int) -> Line:  # noqa: ARG002
        cpu = self._cpus[index]
        return [span for row in self._cell(cpu, _LARGE) for span in (*row, Span("  "))]

    # Places.

    @property
    def _layout(self) -> _Layout:
        height = self.size.height - self._header_height()
        return _layout(len(self._cpus), self.size.width, height, self._chosen_size)

    def _page(self) -> int:
        return self._layout.page

    def _scroll_to_cursor(self) -> bool:
        before = self._top
        columns, page = self._layout.columns, self._layout.page
        row = self.cursor - self.cursor % columns
        if row < self._top:
            self._top = row
        elif row >= self._top + page:
            self._top = row - page + columns
        last = max(0, -(-len(self._cpus) // columns) * columns - page)
        self._top = min(self._top, last)
        self._top -= self._top % columns
        return self._top != before

    def _refresh_line(self, index: int) -> None:
        layout = self._layout
        row, column = divmod(index - self._top, layout.columns)
        y = self._header_height() + row * layout.size.height
        if 0 <= y < self.size.height:
            x, wide = layout.column(column)
            self.refresh(Region(x, y, wide, layout.size.height))

    # Keys.

    def action_right(self) -> None:
        self.move_to(self.cursor + 1)

    def action_left(self) -> None:
        self.move_to(self.cursor - 1)

    def action_down(self) -> None:
        below = self.cursor + self._layout.columns
        if below < len(self._cpus):
            self.move_to(below)

    def action_up(self) -> None:
        above = self.cursor - self._layout.columns
        if above >= 0:
            self.move_to(above)

    def action_page_down(self) -> None:
        self.move_to(self.cursor + self._page())

    def action_page_up(self) -> None:
        self.move_to(self.cursor - self._page())

    def action_zoom(self) -> None:
        """The next smaller cells, then the largest again."""
        position = _SIZES.index(self._layout.size)
        self._chosen_size = _SIZES[(position + 1) % len(_SIZES)]
        self._scroll_to_cursor()
        self.refresh()

    # Painting.

    def header_lines(self, cells: int) -> Sequence[Line]:
        """How many CPUs there are of each state, when there are many."""
        if len(self._cpus) < _HISTOGRAM_FROM:
            return ()
        return (_stacked_bar(self._counts, cells), *_legend(self._counts, cells))

    def render_line(self, y: int) -> Strip:
        header = self._header_height()
        if self.state is not None or y < header:
            return super().render_line(y)
        layout = self._layout
        size = layout.size
        row, part = divmod(y - header, size.height)
        first = self._top + row * layout.columns
        styles = role_styles(self.app)
        parts: list[Segment] = []
        end = 0
        if size is _LETTER and first < len(self._cpus):
            label = line((f"{self._cpus[first].cpu:>{_LABEL - 1}} ", "dim"))
            parts += segments(label, styles, self.rich_style)
            end = _LABEL
        for index in range(first, min(first + layout.columns, len(self._cpus))):
            content = self._cell(self._cpus[index], size)
            spans = content[part] if part < len(content) else ()
            here = index == self.cursor and part < max(len(content), 1)
            x, wide = layout.column(index - first)
            parts.append(Segment(" " * (x - end), self.rich_style))
            parts += segments(fit(spans, wide), styles, self.rich_style, under_cursor=here)
            end = x + wide
        return Strip(parts).adjust_cell_length(self.size.width, self.rich_style)

    def _cell(self, cpu: Cpu, size: _Size) -> tuple[Line, ...]:
        letter, role = state_of(cpu), state_role(cpu)
        current = cpu.current
        who = "?" if current is None else current.comm
        if size is _LETTER:
            return (line((letter, f"{role} strong")),)
        if size is _TILE:
            return (line((f"{cpu.cpu:>3}", "strong"), " ", (letter, f"{role} strong")),)
        if size is _SMALL:
            name = "" if letter == "O" else who
            name_role = "dim" if cpu.idle else ""
            return (
                line((f"{cpu.cpu:>3}", "strong"), " ", (letter, f"{role} strong"),
                     " ", (name, name_role)),
            )  # fmt: skip
        head = line((str(cpu.cpu), "strong"), " ", (f"{letter} {state_words(cpu)}", role))
        if letter == "O":
            return head, line(("was never online" if not cpu.clock_ns else who, "dim")), ()
        task = line(who) if current is None or cpu.idle else line(f"{who} {current.pid}")
        numbers = line(
            ("run ", "dim"), "?" if cpu.nr_running is None else str(cpu.nr_running),
            (" irq ", "dim"), irq_span(cpu),
            *(
                [Span("  stopped", "dim")]
                if cpu.stopped
                else [Span(" lag ", "dim"), lag_span(cpu, self._threshold)]
            ),
        )  # fmt: skip
        return head, task, numbers

    # Mouse, for those who turn it on.

    def line_under(self, event: events.MouseEvent) -> int | None:
        """The index of the CPU that the mouse is on."""
        offset = event.get_content_offset(self)
        if offset is None or self.state is not None:
            return None
        layout = self._layout
        row = (offset.y - self._header_height()) // layout.size.height
        for column in range(layout.columns):
            x, wide = layout.column(column)
            if x <= offset.x < x + wide and row >= 0:
                index = self._top + row * layout.columns + column
                return index if index < len(self._cpus) else None
        return None


def _legend(counts: Sequence[tuple[str, int]], cells: int) -> list[Line]:
    """What each letter stands for and how many there are of it, in as many lines as that takes."""
    lines: list[list[Span]] = [[]]
    for letter, count in counts:
        entry = line(
            (letter, f"{_ROLES[letter]} strong"), (f" {STATES[letter]} ", "dim"), f"{count}  "
        )
        if lines[-1] and width(lines[-1]) + width(entry) - 2 > cells:
            lines.append([])
        lines[-1] += entry
    return list(lines)


def _stacked_bar(counts: Sequence[tuple[str, int]], cells: int) -> Line:
    """The states' shares side by side; what there is of gets a cell at least."""
    total = sum(count for _, count in counts)
    spans: list[Span] = []
    room = max(cells, len(counts))
    for letter, count in counts:
        share = min(max(1, round(cells * count / total)), room)
        room -= share
        spans.append(Span(letter * share, _ROLES[letter]))
    return spans
