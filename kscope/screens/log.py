"""Screen 2: the kernel's log, whole, with its reports at the side."""

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical

from kscope.model.base import Address
from kscope.model.log import FACILITIES, LEVELS, Log, LogQuery, Record, Report
from kscope.screens.base import DashboardScreen
from kscope.screens.links import AddressLink, CpuLink, Link, LogLink, SymbolLink, TaskLink
from kscope.widgets.filter_bar import Chip, FilterBar
from kscope.widgets.line import Line, Span, line
from kscope.widgets.line_view import LineView
from kscope.widgets.pane import Pane
from kscope.widgets.states import Empty
from kscope.widgets.text_view import TextView

_STAMPS = ("raw", "date", "since")
_STAMP_TITLES = {
    "raw": "seconds since boot", "date": "date, as log -T", "since": "since the line before",
}  # fmt: skip
_NEXT_LEVEL = {7: 4, 4: 3, 3: 7}
"""All, warnings and worse, errors and worse."""
_TRACE_START = re.compile(r"^\s*Call Trace:")
_TRACE_LINE = re.compile(
    r"^\s*(?:<[/A-Z#]+>|\??\s*[\w.]+\+0x[\da-f]+/0x[\da-f]+|\[<"
    # Registers inside a trace: those of an interrupted function, or of user space at its end.
    r"|RIP: |RSP: |R[A-D]X: |RBP: |R1[03]: |Code: )"
)
_LINKS = re.compile(
    r"(?P<symbol>\b[A-Za-z_][\w.]*\+0x[\da-f]+/0x[\da-f]+)"
    # The highest page holds no addresses: ffffffffffffffda is -ENOSYS.
    r"|(?P<address>\b(?:0x)?(?!f{13})[89a-f][\da-f]{15}\b)"
    r"|\bCPU(?::|#)? ?(?P<cpu>\d+)\b"
    r"|(?:\bPID: ?|\bpid[:=] ?|\btask \S+:|\bcomm \S+:)(?P<pid>\d+)\b"
)


class LogAsLeft(msgspec.Struct, frozen=True):
    """What is kept of the log from one run to the next."""

    query: LogQuery = LogQuery()
    stamp: str = _STAMPS[0]
    folded: bool = False
    seq: int | None = None
    """The record under the cursor; ``None`` at the end of the log."""


class LogScreen(DashboardScreen):
    """The log viewer."""

    DIGIT: ClassVar[str] = "2"
    NAME: ClassVar[str] = "Log"
    OPENS: ClassVar[tuple[type[Any], ...]] = (LogLink,)
    REMEMBERS: ClassVar[LogAsLeft] = LogAsLeft()
    HELP_HEADING: ClassVar[str] = "In the log"
    DEFAULT_CSS = """
    LogScreen > Horizontal { height: 1fr; }
    LogScreen #log-main { width: 5fr; }
    LogScreen #log-reports-pane { width: 2fr; }
    LogScreen.-narrow > Horizontal { layout: vertical; }
    LogScreen.-narrow #log-main { width: 100%; height: 1fr; }
    LogScreen.-narrow #log-reports-pane { width: 100%; height: 7; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter", id="log.filter"),
        Binding("t", "stamps", "time", id="log.time",
                tooltip="time: since boot, date, since the line before"),
        Binding("v", "level", "level", id="log.level",
                tooltip="show warnings and worse, errors and worse, all"),
        Binding("u", "facility", "facility", show=False, id="log.facility",
                tooltip="show one facility after the other: the kernel's own lines, others'"),
        Binding("f", "fold", "fold traces", id="log.fold",
                tooltip="fold call traces or open them"),
        Binding("e", "next_error", "next error", id="log.next-error"),
        Binding("E", "previous_error", "previous error", show=False, id="log.previous-error"),
        Binding("r", "reports", "reports", show=False, id="log.reports",
                tooltip="go to the reports at the side, and back"),
    ]  # fmt: skip

    def compose(self) -> ComposeResult:
        self._log: Log | None = None
        self._shown: list[int] = []
        self._stamp = _STAMPS[0]
        self._worst_level = len(LEVELS) - 1
        self._facility: int | None = None
        self._folded = False
        self._wanted: int | None = None
        self._lines = TextView(id="log-lines")
        self._bar = FilterBar(self._lines)
        self._reports = TextView(id="log-reports")
        self._pane = Pane("Log", id="log-pane")
        with Horizontal():
            with Vertical(id="log-main"):
                yield self._bar
                with self._pane:
                    yield self._lines
            with Pane("Reports", id="log-reports-pane"):
                yield self._reports

    def on_mount(self) -> None:
        """Ask for the whole log once; filters are applied here."""
        self.ask(LogQuery(), self._show, into=self._lines, what="reading the log")

    def focus_first(self) -> None:
        """The log itself."""
        self._lines.focus(scroll_visible=False)

    # What is shown.

    def query_in_focus(self) -> LogQuery:
        """The log as filtered."""
        return LogQuery(
            level=LEVELS[self._worst_level] if self._worst_level < len(LEVELS) - 1 else "",
            facility=FACILITIES[self._facility] if self._facility is not None else "",
            match=self._bar.filter.source,
            human_time=self._stamp == "date",
        )

    def remembered(self) -> LogAsLeft | None:
        """Filters, time and record."""
        if self._log is None:
            return None
        at_end = self._lines.cursor >= len(self._shown) - 1
        seq = None if at_end else self._log.records[self._shown[self._lines.cursor]].seq
        return LogAsLeft(self.query_in_focus(), self._stamp, self._folded, seq)

    def restore(self, remembered: LogAsLeft) -> None:
        """Filter as the last time, and go to the record."""
        query = remembered.query
        level = LEVELS.index(query.level) if query.level in LEVELS else self._worst_level
        if level in _NEXT_LEVEL:
            self._worst_level = level
        if query.facility in FACILITIES:
            self._facility = FACILITIES.index(query.facility)
        if remembered.stamp in _STAMPS:
            self._stamp = remembered.stamp
        self._folded = remembered.folded
        self._wanted = remembered.seq
        self._bar.apply(query.match)
        if self._log is not None:
            self._show(self._log)

    def _show(self, log: Log) -> None:
        self._log = log
        if self._stamp == "date" and log.boot_time_ns is None:
            self._stamp = _STAMPS[0]
        self._reports.show_lines(
            _ReportLines(log), empty=Empty("the kernel reported nothing wrong")
        )
        self._arrange()
        if self._wanted is not None:
            self._move_to_seq(self._wanted)
        else:
            self._lines.action_last()

    def _arrange(self) -> None:
        """Show the records that the filters leave; stay on the record under the cursor."""
        log = self._log
        if log is None:
            return
        at = self._shown[self._lines.cursor] if self._shown else None
        text_filter = self._bar.filter
        traces = _traces(log.records) if self._folded else {}
        folded = {index for trace in traces.values() for index in trace}
        self._shown = [
            index
            for index, record in enumerate(log.records)
            if record.level <= self._worst_level
            and (self._facility is None or record.facility == self._facility)
            and index not in folded
            and text_filter.matches(record.text)
        ]
        lines = _LogLines(log, self._shown, self._stamp, traces)
        self._lines.show_lines(lines, empty=Empty("no line matches", "/ changes the filter"))
        if at is not None and self._shown:
            nearest = min(range(len(self._shown)), key=lambda i: abs(self._shown[i] - at))
            self._lines.move_to(nearest)
        chips = list(self._chips())
        self._bar.show_chips([("", chips)] if chips else [])
        self._bar.show_count(len(self._shown), len(log.records))
        self._pane.show_title(f"Log  {_STAMP_TITLES[self._stamp]}")
        self.equivalent_changed()

    def _chips(self) -> Iterable[Chip]:
        if self._worst_level < len(LEVELS) - 1:
            role = "critical" if self._worst_level <= 3 else "warning"
            yield Chip(f"{LEVELS[self._worst_level]} and worse", active=True, role=role)
        if self._facility is not None:
            yield Chip(f"facility {FACILITIES[self._facility]}", active=True)
        if self._folded:
            yield Chip("traces folded", active=True)

    @on(LineView.CursorMoved)
    def _moved(self, message: LineView.CursorMoved) -> None:
        if message.view is self._lines:
            overwritten = (
                f" · {self._log.overwritten:,} older lost"
                if self._log and self._log.overwritten
                else ""
            )
            self._pane.show_subtitle(self._lines.position + overwritten)

    @on(FilterBar.Changed)
    def _filter_changed(self, _message: FilterBar.Changed) -> None:
        self._arrange()

    # Keys.

    def action_filter(self) -> None:
        """Type a filter."""
        self._bar.open()

    def action_stamps(self) -> None:
        """Show the time another way."""
        known = self._log is not None and self._log.boot_time_ns is not None
        choices = [stamp for stamp in _STAMPS if stamp != "date" or known]
        self._stamp = choices[(choices.index(self._stamp) + 1) % len(choices)]
        self._arrange()

    def action_level(self) -> None:
        """All, warnings and worse, errors and worse."""
        self._worst_level = _NEXT_LEVEL[self._worst_level]
        self._arrange()

    def action_facility(self) -> None:
        """Go through the facilities that occur in the log."""
        if self._log is None:
            return
        occurring = {record.facility for record in self._log.records}
        if self._facility is not None:
            occurring.add(self._facility)
        present: list[int | None] = [None, *sorted(occurring)]
        self._facility = present[(present.index(self._facility) + 1) % len(present)]
        self._arrange()

    def action_fold(self) -> None:
        """Fold call traces to their first line, or open them."""
        self._folded = not self._folded
        self._arrange()

    def action_next_error(self) -> None:
        """The next record of level err or worse, or the next report."""
        self._move_to_error(range(self._lines.cursor + 1, len(self._shown)))

    def action_previous_error(self) -> None:
        """The one before."""
        self._move_to_error(range(self._lines.cursor - 1, -1, -1))

    def _move_to_error(self, candidates: range) -> None:
        if self._log is None:
            return
        starts = {report.first for report in self._log.reports}
        for position in candidates:
            index = self._shown[position]
            if index in starts or self._log.records[index].level <= 3:
                self._lines.move_to(position)
                return
        self.app.bell()

    def action_reports(self) -> None:
        """To the reports, or back to the log."""
        (self._lines if self._reports.has_focus else self._reports).focus(scroll_visible=False)

    # Links.

    def on_text_view_link_followed(self, message: TextView.LinkFollowed) -> None:
        """A report's link stays on this screen, all others leave it."""
        if message.view is self._reports and isinstance(message.target, LogLink):
            message.stop()
            message.prevent_default()  # or the base class's handler is called as well
            self.follow(message.target)
            self._lines.focus(scroll_visible=False)

    def follow(self, link: Link) -> None:
        """Go to a record."""
        if isinstance(link, LogLink):
            self._wanted = link.seq
            if self._log is not None:
                self._move_to_seq(link.seq)

    def place(self) -> object:
        """The record under the cursor."""
        if self._log is None or not self._shown:
            return None
        return self._log.records[self._shown[self._lines.cursor]].seq

    def go_to(self, place: object) -> None:
        """Back to a record, on a screen that was left and not made anew: that one was told where
        to be, which may be the end of a log that grows."""
        if isinstance(place, int) and self._log is not None:
            self.follow(LogLink(place))

    def _move_to_seq(self, seq: int) -> None:
        assert self._log is not None
        records = self._log.records
        if not any(records[index].seq == seq for index in self._shown):
            self._worst_level, self._facility, self._folded = len(LEVELS) - 1, None, False
            self._bar.apply("")
            self._arrange()
        for position, index in enumerate(self._shown):
            if records[index].seq >= seq:
                self._lines.move_to(position)
                return


class _LogLines(Sequence[Line]):
    """The shown records as lines, each made when it is painted."""

    def __init__(
        self, log: Log, shown: Sequence[int], stamp: str, folded: Mapping[int, Sequence[int]]
    ) -> None:
        self._log = log
        self._folded = folded
        self._shown = shown
        self._stamp = stamp
        self._starts = {report.first: report for report in log.reports}

    def __len__(self) -> int:
        return len(self._shown)

    def __getitem__(self, position: Any) -> Any:
        index = self._shown[position]
        record = self._log.records[index]
        before = self._log.records[self._shown[position - 1]] if position else None
        role = ""
        if index in self._starts:
            role = "critical strong" if _is_fatal(self._starts[index]) else "warning strong"
        elif record.level <= 3:
            role = "critical"
        elif record.level == 4:
            role = "warning"
        folded = self._folded.get(index, ())
        facility = FACILITIES[record.facility] if record.facility < len(FACILITIES) else "?"
        return (
            Span(self._time(record, before), "dim"),
            Span(_level_letter(record), role or "dim"),
            # Only what the kernel did not say itself is marked: a line of systemd's is not news.
            Span(f" {facility}: " if record.facility else " ", "dim"),
            *linked(on_one_line(record.text), role),
            *([Span(f"  {len(folded)} lines folded", "dim")] if folded else []),
        )

    def _time(self, record: Record, before: Record | None) -> str:
        nanoseconds = record.timestamp_ns
        if self._stamp == "date" and self._log.boot_time_ns is not None:
            seconds = (self._log.boot_time_ns + nanoseconds) / 1_000_000_000
            moment = datetime.datetime.fromtimestamp(seconds).astimezone()
            return moment.strftime("%b %d %H:%M:%S ")
        if self._stamp == "since":
            since = nanoseconds - before.timestamp_ns if before else 0
            return f"{since / 1_000_000_000:+12.6f} "
        return f"{nanoseconds / 1_000_000_000:12.6f} "


class _ReportLines(Sequence[Line]):
    """The reports at the side."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def __len__(self) -> int:
        return len(self._log.reports)

    def __getitem__(self, position: Any) -> Any:
        report = self._log.reports[position]
        record = self._log.records[report.first]
        role = "critical" if _is_fatal(report) else "warning"
        stamp = f"{record.timestamp_ns / 1_000_000_000:9.3f} "
        return line((stamp, "dim"), Span(short_title(report), f"link {role}", LogLink(record.seq)))


_TELLING = {
    "hung-task": re.compile(r"task (.*) blocked for more"),
    "soft-lockup": re.compile(r"soft lockup - (.*)"),
    "panic": re.compile(r"not syncing: (.*)"),
    "null-deref": re.compile(r"address: (.*)"),
    "bad-page-fault": re.compile(r"address: (.*)"),
    "bug": re.compile(r"BUG at (.*)"),
    "warning": re.compile(r" at (.*)"),
    "oom": re.compile(r"(.*) invoked oom-killer"),
}


def short_title(report: Report) -> str:
    """A report's kind, and what of its title tells it from the others of its kind."""
    pattern = _TELLING.get(report.kind)
    match = pattern.search(report.title) if pattern else None
    return f"{report.kind} {match.group(1)}" if match else report.title


def _is_fatal(report: Report) -> bool:
    return report.kind in ("panic", "null-deref", "bad-page-fault", "general-protection", "bug")


def _level_letter(record: Record) -> str:
    """The level as one letter, so that it is not shown by colour alone."""
    return "!ACEW  "[record.level] if record.level < 7 else "d"


def on_one_line(text: str) -> str:
    """A record's text, whose lines and tabs a terminal would lay out in its own way."""
    return " ⏎ ".join(part.expandtabs(8) for part in text.split("\n"))


def linked(text: str, role: str = "") -> list[Span]:
    """``text`` with addresses, PIDs, CPUs and symbols as links."""
    spans: list[Span] = []
    position = 0
    for match in _LINKS.finditer(text):
        kind = match.lastgroup
        assert kind is not None
        start, end = match.span(kind)
        if start > position:
            spans.append(Span(text[position:start], role))
        spans.append(Span(text[start:end], f"link {role}".strip(), _target(kind, text[start:end])))
        position = end
    if position < len(text):
        spans.append(Span(text[position:], role))
    return spans


def _target(kind: str, text: str) -> Link:
    if kind == "symbol":
        name, _, rest = text.partition("+")
        return SymbolLink(name, int(rest.partition("/")[0], 16))
    if kind == "address":
        return AddressLink(Address(text, 16))
    if kind == "cpu":
        return CpuLink(int(text))
    return TaskLink(int(text))


def _traces(records: Sequence[Record]) -> dict[int, list[int]]:
    """The records inside call traces, by the record that each trace begins with."""
    traces: dict[int, list[int]] = {}
    # Several CPUs may print at a time.
    inside: dict[str, list[int]] = {}
    for index, record in enumerate(records):
        if _TRACE_START.match(record.text):
            inside[record.caller] = traces[index] = []
        elif (trace := inside.get(record.caller)) is not None:
            if _TRACE_LINE.match(record.text):
                trace.append(index)
            else:
                del inside[record.caller]
    return traces
