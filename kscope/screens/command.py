"""``:`` runs a crash command line and shows its output."""

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input

from kscope.dialect.crash.completion import Completion, complete
from kscope.dialect.crash.interpreter import Output
from kscope.dialect.views import Equivalent
from kscope.model.base import Progress, QueryError
from kscope.report.notebook import Block, Step
from kscope.screens.base import DashboardScreen
from kscope.screens.output_lines import OutputLines
from kscope.widgets.filter_bar import FilterBar
from kscope.widgets.line import Span, line, width
from kscope.widgets.line_view import LineView
from kscope.widgets.one_line import OneLine
from kscope.widgets.pane import Pane
from kscope.widgets.prompt import PromptInput
from kscope.widgets.states import Empty, Loading
from kscope.widgets.text_view import TextView
from kscope.widgets.work import start

_WHO = {"kscope": "kscope", "drgn": "drgn's crash mode", "shell": "your shell", "": ""}
_ERROR_LINES = 40


class CommandInput(PromptInput):
    """The line one types in; the arrows go through what was typed before."""

    HELP_HEADING: ClassVar[str] = "While typing a command"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "run", id="command.run"),
        Binding("up", "recall(-1)", "line before", show=False, id="command.older-line"),
        Binding("down", "recall(1)", "line after", show=False, id="command.newer-line"),
        Binding("tab", "complete", "complete", id="command.complete"),
        Binding("escape", "leave", "to the output; cancel", show=False, id="command.leave"),
    ]

    class Recalled(Message):
        """An arrow was pressed."""

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

    class Completing(Message):
        """Tab was pressed."""

    class Left(Message):
        """Escape was pressed."""

    def action_recall(self, by: int) -> None:
        """Another of the lines that were typed before."""
        self.post_message(self.Recalled(by))

    def action_complete(self) -> None:
        """Complete the word before the cursor."""
        self.post_message(self.Completing())

    def action_leave(self) -> None:
        """Cancel what runs, or go to the output."""
        self.post_message(self.Left())

    def show(self, text: str) -> None:
        """Put ``text`` in the line."""
        self.value = text
        self.cursor_position = len(text)


class CommandScreen(DashboardScreen):
    """The command line and its outputs."""

    DIGIT: ClassVar[str] = "0"
    NAME: ClassVar[str] = "Command"
    HELP_HEADING: ClassVar[str] = "At the command line"
    DEFAULT_CSS = """
    CommandScreen > #command-line { height: 1; padding: 0 1; }
    CommandScreen #command-sign { width: 7; }
    CommandScreen > #command-candidates { height: 1; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("i", "type", "type", id="command.type", tooltip="type a command"),
        Binding("slash", "filter", "filter", id="command.filter"),
        Binding("left_square_bracket", "output(-1)", "output before", id="command.older"),
        Binding("right_square_bracket", "output(1)", "next output", show=False,
                id="command.newer"),
        Binding("r", "again", "run again", show=False, id="command.again"),
        Binding("e", "edit", "edit it", id="command.edit",
                tooltip="put this output's command in the line"),
        Binding("escape", "cancel", "cancel", show=False, id="command.cancel",
                tooltip="cancel the command that runs"),
    ]  # fmt: skip

    def compose(self) -> ComposeResult:
        self._shown: Output | None = None
        self._lines: list[str] = []
        self._recalled: int | None = None
        self._draft = ""
        self._completion: Completion | None = None
        self._chosen = -1
        self._context_text = ""
        self._view = TextView(id="command-output")
        self._bar = FilterBar(self._view)
        self._pane = Pane("Command", id="command-pane")
        self._sign = OneLine(id="command-sign")
        self._input = CommandInput(None, "a crash command · tab completes · ↑ goes back")
        self._candidates = OneLine(id="command-candidates")
        yield self._bar
        with self._pane:
            yield self._view
        yield self._candidates
        with Horizontal(id="command-line"):
            yield self._sign
            yield self._input

    def on_mount(self) -> None:
        """Show the last output, if there is one."""
        self._sign.show(line(("crash>", "accent strong")))
        self._list(())
        outputs = self.dashboard.commands.outputs
        self._show(outputs[-1] if outputs else None)
        start(self, self._show_context)

    def focus_first(self) -> None:
        """The line to type in."""
        self._input.focus(scroll_visible=False)

    def place(self) -> object:
        """Whether the reader is in the output and not at the line."""
        return self._view.has_focus

    def go_to(self, place: object) -> None:
        """Back into the output: at the line, the next key of the way back would be typed."""
        if place:
            self._view.focus(scroll_visible=False)

    # Running.

    def run_line(self, text: str) -> None:
        """Run a line as if it had been typed."""
        self._input.show("")
        self._recalled = None
        self._list(())
        self.dashboard.commands.interpreter.columns = max(40, self._view.size.width)
        start(self, partial(self._run, text), group="command", exclusive=True)

    def prefill(self, text: str) -> None:
        """Put a line there to be completed."""
        self._input.show(text)
        self._input.focus(scroll_visible=False)

    async def _run(self, text: str) -> None:
        self._pane.show_title(line("Command  ", (text, "strong")))
        self._bar.apply("")

        def progress(step: Progress) -> None:
            self._view.show_state(Loading(step.what, step.done, step.total))

        self._view.show_state(Loading("running it · escape cancels"))
        output = await self.dashboard.commands.run(text, progress)
        if output is None:
            self._view.show_state(Empty("cancelled", "r runs it again"))
            self._shown = Output(line=text, text="", error="cancelled")
            return
        if output.ends:
            await self.app.run_action("app.back")
            return
        self._show(output)
        await self._show_context()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        if event.input is self._input:
            event.stop()
            if event.value.strip():
                self.run_line(event.value.strip())

    @on(CommandInput.Left)
    def _left(self) -> None:
        if not self.dashboard.commands.cancel():
            self._view.focus(scroll_visible=False)

    def action_cancel(self) -> None:
        """Cancel what runs."""
        self.dashboard.commands.cancel()

    # Output.

    def _show(self, output: Output | None) -> None:
        self._shown = output
        self._lines = [] if output is None else output.text.splitlines()
        if output is None:
            self._view.show_state(
                Empty("no command has been run", "type one below; help lists them")
            )
            return
        number = 1 + next(
            (i for i, each in enumerate(self.dashboard.commands.outputs) if each is output), -1
        )
        many = len(self.dashboard.commands.outputs)
        who = _WHO[output.answered_by]
        self._pane.show_title(
            line(
                (f"{number}/{many}  ", "dim"), (output.line, "strong"),
                (f"  answered by {who}" if who else "", "dim"),
            )
        )  # fmt: skip
        self._arrange()
        self.equivalent_changed()

    def _arrange(self) -> None:
        output = self._shown
        if output is None:
            return
        lines, filtered = self._lines, self._bar.filter
        shown = [text for text in lines if filtered.matches(text)] if filtered.active else lines
        errors = output.error.splitlines()[:_ERROR_LINES]
        both = _Joined(OutputLines(shown), OutputLines(errors, "critical"))
        nothing = "no line matches" if lines else output.note or "it printed nothing"
        self._view.show_lines(both, empty=Empty(nothing))
        self._bar.show_count(len(shown), len(lines))

    @on(FilterBar.Changed)
    def _filter_changed(self, _message: FilterBar.Changed) -> None:
        self._arrange()

    @on(LineView.CursorMoved)
    def _moved(self, message: LineView.CursorMoved) -> None:
        if message.view is self._view:
            self._show_subtitle()

    def _show_subtitle(self) -> None:
        parts = [part for part in (self._context_text, self._view.position) if part]
        self._pane.show_subtitle(" · ".join(parts))

    async def _show_context(self) -> None:
        try:
            context = await self.dashboard.commands.context()
        except QueryError:
            return
        self._context_text = (
            f"set {context.pid} {context.comm}" if context.task is not None else "no current task"
        )
        self._show_subtitle()

    def action_filter(self) -> None:
        """Filter the output's lines."""
        self._bar.open()

    def action_output(self, by: int) -> None:
        """Another of the outputs."""
        outputs = self.dashboard.commands.outputs
        at = next((i for i, each in enumerate(outputs) if each is self._shown), len(outputs))
        if 0 <= at + by < len(outputs):
            self._bar.apply("")
            self._show(outputs[at + by])

    def action_again(self) -> None:
        """Run this output's command again."""
        if self._shown is not None:
            self.run_line(self._shown.line)

    def action_edit(self) -> None:
        """Change this output's command."""
        if self._shown is not None:
            self.prefill(self._shown.line)

    def action_type(self) -> None:
        """Type a command."""
        self._input.focus(scroll_visible=False)

    def equivalent(self) -> Equivalent | None:
        """The line itself, and the code that runs it in drgn."""
        if self._shown is None:
            return None
        return Equivalent(self._shown.crash or self._shown.line, self._shown.drgn)

    def draft_in_focus(self) -> Block | None:
        """The command that is shown and its output, unchanged."""
        output = self._shown
        if output is None:
            return None
        text = "\n".join(filter(None, (output.text, output.error)))
        step = Step(
            command=output.crash or output.line, output=text, drgn=output.drgn,
            answered_by=output.answered_by or "kscope",
        )  # fmt: skip
        return Block(steps=(step,))

    # Typing.

    @on(CommandInput.Recalled)
    def _recall(self, message: CommandInput.Recalled) -> None:
        lines = self.dashboard.commands.lines
        if self._recalled is None:
            self._draft = self._input.value
            at = len(lines)
        else:
            at = self._recalled
        at = max(0, min(len(lines), at + message.by))
        self._recalled = at if at < len(lines) else None
        self._input.show(lines[at] if at < len(lines) else self._draft)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        if event.input is not self._input:
            return
        event.stop()
        if event.value == ":":
            # What opens this line on every other screen; no command begins with it.
            self._input.show("")
            return
        if self._completion is None or event.value not in self._completion.lines:
            self._completion, self._chosen = None, -1
            self._list(())

    @on(CommandInput.Completing)
    def _complete(self) -> None:
        if self._completion is not None and self._completion.lines:
            self._chosen = (self._chosen + 1) % len(self._completion.lines)
            self._input.show(self._completion.lines[self._chosen])
            self._show_candidates()
            return
        text = self._input.value
        start(self, partial(self._ask_completion, text), group="completion", exclusive=True)

    async def _ask_completion(self, text: str) -> None:
        try:
            found = await complete(self.dashboard.commands.interpreter, text)
        except QueryError:
            return
        if self._input.value != text or not found.lines:
            self.app.bell()
            return
        if found.common != text:
            self._input.show(found.common)
        self._completion, self._chosen = found, -1
        if len(found.lines) == 1:
            self._completion = None
        else:
            self._show_candidates()

    def _show_candidates(self) -> None:
        assert self._completion is not None
        names = self._completion.names
        room = self.size.width - 2
        first = 0
        # Keep the chosen one in sight.
        while first < self._chosen and width(_candidate_spans(names, first, self._chosen)) > room:
            first += 1
        self._list(_candidate_spans(names, first, self._chosen))

    def _list(self, candidates: Sequence[Span]) -> None:
        """Show what the line may become, in a row that is there only while there is something."""
        self._candidates.show(candidates)
        self._candidates.display = bool(candidates)


def _candidate_spans(names: Sequence[str], first: int, chosen: int) -> list[Span]:
    spans: list[Span] = []
    for index, name in enumerate(names[first:], first):
        if spans:
            spans.append(Span("  "))
        spans.append(Span(name, "here" if index == chosen else "dim"))
        if index > chosen + 30:
            break
    return spans


class _Joined(Sequence[Any]):
    """One sequence of lines after another."""

    def __init__(self, first: Sequence[Any], second: Sequence[Any]) -> None:
        self._first = first
        self._second = second

    def __len__(self) -> int:
        return len(self._first) + len(self._second)

    def __getitem__(self, index: Any) -> Any:
        if index < len(self._first):
            return self._first[index]
        return self._second[index - len(self._first)]
