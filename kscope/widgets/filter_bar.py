"""The row above a list: chips for the filters in force, and ``/`` to type one.

::

    bar = FilterBar(table)
    bar.show_chips([("", [Chip("UN", 14, active=True, role="critical"), Chip("RU", 7)])])
    bar.show_count(14, 112)

The filter applies to every key as it is typed. ``enter`` keeps it, ``escape`` gives it up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input

from kscope.widgets.line import Line, Span, line
from kscope.widgets.line_view import LineView
from kscope.widgets.one_line import OneLine
from kscope.widgets.prompt import Prompt
from kscope.widgets.text_filter import TextFilter, parse_filter
from kscope.widgets.theme import Role


@dataclass(frozen=True)
class Chip:
    """Something that can be filtered by, with how many there are."""

    label: str
    count: int | None = None
    active: bool = False
    """Whether the filter is in force."""
    role: Role = "accent"
    """Its colour while it is in force."""
    target: object = None
    """Sent with ``OneLine.Clicked`` when the chip is clicked."""


class Chips(OneLine):
    """Chips in groups, each group with a name or none."""

    def show_groups(self, groups: Iterable[tuple[str, Iterable[Chip]]]) -> None:
        spans: list[Span] = []
        for name, chips in groups:
            if spans:
                spans.append(Span("   "))
            if name:
                spans += [Span(name, "dim"), Span(" ")]
            before: Chip | None = None
            for chip in chips:
                if before is not None:
                    # A chip in force brings one blank of its own.
                    spans.append(Span(" " if before.active or chip.active else "  "))
                spans += chip_spans(chip)
                before = chip
        self.show(spans)


def chip_spans(chip: Chip) -> Line:
    """A chip: a block of colour while in force, dim text otherwise."""
    count = "" if chip.count is None else f" {chip.count:,}"
    label = line(chip.label)[0].text
    if chip.active:
        return (Span(f" {label}{count} ", f"chip {chip.role}", chip.target),)
    return (Span(label, "dim", chip.target), Span(count, "" if chip.count else "dim", chip.target))


class FilterBar(Widget):
    """Chips, or the line one types in."""

    DEFAULT_CSS = """
    FilterBar { layout: horizontal; height: 1; width: 1fr; padding: 0 1; }
    FilterBar > Prompt { display: none; }
    FilterBar.-typing > Prompt { display: block; }
    FilterBar.-typing > Chips { display: none; }
    FilterBar.-bare { display: none; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "give_up", "no filter", id="filter.give-up"),
    ]

    HELP_HEADING: ClassVar[str] = "While typing a filter"

    class Changed(Message):
        """Another filter is in force."""

        def __init__(self, bar: FilterBar, text_filter: TextFilter) -> None:
            super().__init__()
            self.bar = bar
            self.filter = text_filter

        @property
        def control(self) -> FilterBar:
            return self.bar

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, FilterBar.Changed) and message.bar is self.bar

    def __init__(self, view: LineView, *, id: str | None = None) -> None:
        """:param view: the list that is filtered: it gets the focus back, and its matches shown."""
        super().__init__(id=id, classes="-bare")
        self._view = view
        self._filter = TextFilter()
        self._groups: Sequence[tuple[str, Sequence[Chip]]] = ()
        self._chips = Chips()
        self._prompt = Prompt("/", view, placeholder="text or regular expression, ! inverts")

    def compose(self) -> ComposeResult:
        yield self._chips
        yield self._prompt

    def filters(self, view: LineView) -> None:
        """Filter another list from now on."""
        self._view = view
        self._prompt.input.moves = view

    @property
    def filter(self) -> TextFilter:
        """The filter in force: the last one typed that was a regular expression."""
        return self._filter

    def show_chips(self, groups: Iterable[tuple[str, Iterable[Chip]]]) -> None:
        """Show these chips; the typed filter gets one of its own."""
        self._groups = [(name, list(chips)) for name, chips in groups]
        self._show_all_chips()

    def show_count(self, shown: int, total: int) -> None:
        """How many lines the filter leaves."""
        if not self._prompt_says_error:
            self._prompt.remark.show(line((f"{shown:,} of {total:,}", "dim")))

    def open(self) -> None:
        """Begin to type, with the filter that is in force."""
        self.remove_class("-bare")
        self.add_class("-typing")
        self._prompt.begin(self._filter.source)

    def apply(self, source: str) -> None:
        """Put a filter in force as if it had been typed and kept."""
        self._apply(parse_filter(source))
        self._show_all_chips()

    @property
    def _prompt_says_error(self) -> bool:
        return bool(parse_filter(self._prompt.input.value).error)

    def _show_all_chips(self) -> None:
        groups = list(self._groups)
        if self._filter.source:
            groups.insert(0, ("", [Chip(f"/{self._filter.source}", active=True)]))
        self._chips.show_groups(groups)
        self.set_class(not groups and not self.has_class("-typing"), "-bare")

    def _apply(self, text_filter: TextFilter) -> None:
        if text_filter != self._filter:
            self._filter = text_filter
            self._view.search = text_filter
            self.post_message(self.Changed(self, text_filter))

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        text_filter = parse_filter(event.value)
        if text_filter.error:
            self._prompt.remark.show(line((f"bad expression: {text_filter.error}", "critical")))
        else:
            self._prompt.remark.show(())
            self._apply(text_filter)

    @on(Input.Submitted)
    def _kept(self, event: Input.Submitted) -> None:
        event.stop()
        self._close()

    def action_give_up(self) -> None:
        self.give_up()

    def give_up(self) -> None:
        """No filter any more."""
        self._apply(TextFilter())
        self._close()

    def _close(self) -> None:
        self.remove_class("-typing")
        self._show_all_chips()
        self._view.focus(scroll_visible=False)
