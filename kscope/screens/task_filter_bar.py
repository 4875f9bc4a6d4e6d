"""The rows above the list of tasks: chips, a line to type a filter in, one to type CPUs in."""

from collections.abc import Callable, Iterable, Sequence

from textual import on
from textual.app import ComposeResult
from textual.widget import Widget
from textual.widgets import Input

from kscope.model.base import QueryError
from kscope.model.tasks import parse_cpus
from kscope.screens.task_filters import InForce, TaskFilters
from kscope.widgets.filter_bar import Chip, Chips, FilterBar, chip_spans
from kscope.widgets.line import Span, width
from kscope.widgets.line_view import LineView
from kscope.widgets.prompt import Prompt


class TaskFilterBar(Widget):
    """Where filters are seen and chosen."""

    DEFAULT_CSS = """
    TaskFilterBar { layout: vertical; width: 1fr; height: auto; }
    TaskFilterBar > #tasks-policies { display: none; padding: 0 1; }
    TaskFilterBar.-two-rows > #tasks-policies { display: block; }
    TaskFilterBar > #tasks-cpu { display: none; padding: 0 1; }
    TaskFilterBar.-asking-cpu > #tasks-cpu { display: block; }
    """

    def __init__(self, view: LineView, changed: Callable[[], None]) -> None:
        """
        :param view: the list that is filtered, which gets the focus back.
        :param changed: called after each change but that of the typed filter, which is a
            ``FilterBar.Changed``.
        """
        super().__init__()
        self.filters = TaskFilters(changed)
        self._view = view
        self._typed = FilterBar(view)
        self._policies = Chips(id="tasks-policies")
        self._cpus = Prompt("c", view, placeholder="CPUs, as in 0,2-3; empty for all")
        self._cpus.id = "tasks-cpu"

    def compose(self) -> ComposeResult:
        yield self._typed
        yield self._policies
        yield self._cpus

    @property
    def in_force(self) -> InForce:
        """The filters in force."""
        return InForce(self.filters.selection, self._typed.filter)

    def open(self) -> None:
        """Begin to type a filter."""
        self._typed.open()

    def apply(self, source: str) -> None:
        """Put a typed filter in force."""
        self._typed.apply(source)

    def clear(self) -> None:
        """Leave out nothing."""
        self._typed.apply("")
        self.filters.clear()

    # Chips.

    def on_resize(self) -> None:
        """There may be room for one row only, or for two."""
        if self.filters.counted:
            self._show_chips()

    def show_counts(self, shown: int, total: int) -> None:
        """How many tasks the filters leave."""
        self._show_chips()
        self._typed.show_count(shown, total)

    def _show_chips(self) -> None:
        """States and policies in one row, or in two where there is no room."""
        states, policies = self.filters.chips()
        source = self._typed.filter.source
        typed = len(source) + 6 if source else 0
        two_rows = typed + _cells([*states, *policies]) > self.size.width
        self.set_class(two_rows, "-two-rows")
        if two_rows:
            self._typed.show_chips(states)
            self._policies.show_groups(policies)
        else:
            self._typed.show_chips([*states, *policies])

    # CPUs.

    def ask_cpus(self) -> None:
        """Begin to type CPUs."""
        self.add_class("-asking-cpu")
        self._cpus.begin(self.filters.selection.cpu)

    @on(Input.Submitted, "#tasks-cpu PromptInput")
    def _cpus_given(self, message: Input.Submitted) -> None:
        message.stop()
        text = message.value.strip()
        try:
            if text:
                parse_cpus(text)
        except QueryError as error:
            self._cpus.remark.show([Span(error.sentence, "critical")])
            return
        self.leave_cpus()
        self.filters.choose(cpu=text)

    def leave_cpus(self) -> None:
        """Back to the list."""
        self._cpus.remark.show(())
        self.remove_class("-asking-cpu")
        self.screen.set_focus(self._view, scroll_visible=False)


def _cells(groups: Iterable[tuple[str, Sequence[Chip]]]) -> int:
    """How wide chips are, at most."""
    return sum(
        len(name) + 4 + sum(width(chip_spans(chip)) + 2 for chip in chips) for name, chips in groups
    )
