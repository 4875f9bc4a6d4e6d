"""Screen 9: the report, thought blocks in the order in which they will be read."""

from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea

from kscope.dialect.views import Equivalent
from kscope.files import replace_file
from kscope.model.base import QueryError
from kscope.model.system import System, SystemQuery
from kscope.model.target import DebugInfo
from kscope.model.tasks import Tasks, TasksQuery
from kscope.model.text import printable
from kscope.report.export import Form, Header, drgn_version, export
from kscope.report.notebook import TRIMMED, Block, Step
from kscope.report.redaction import Redactor
from kscope.screens.base import DashboardScreen
from kscope.screens.report_lines import Part, Place, ReportLines, report_lines
from kscope.widgets.line import line
from kscope.widgets.line_view import LineView
from kscope.widgets.pane import Pane
from kscope.widgets.states import Empty
from kscope.widgets.text_view import TextView
from kscope.widgets.work import start

_FEWEST_ROWS = 3
_MOST_ROWS = 14
Commentary = Literal["question", "relevant"]


class Editor(TextArea):
    """Commentary while it is written, over the lines where it stands."""

    HELP_HEADING: ClassVar[str] = "While writing"
    DEFAULT_CSS = """
    Editor {
        position: absolute; overlay: screen; display: none;
        border: none; padding: 0; background: $surface;
    }
    Editor:focus { border: none; }
    Editor.-open { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "done", "done", id="report.done", tooltip="done writing"),
    ]

    class Done(Message):
        """Escape was pressed."""

    def action_done(self) -> None:
        """Stop writing; everything is kept."""
        self.post_message(self.Done())


class ReportScreen(DashboardScreen):
    """The report of this dump."""

    DIGIT: ClassVar[str] = "9"
    NAME: ClassVar[str] = "Report"
    HELP_HEADING: ClassVar[str] = "In the report"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "edit", "write", id="report.edit",
                tooltip="write what I want to learn, or below the output what is relevant"),
        Binding("b", "new_block", "new block", id="report.new"),
        Binding("J", "move(1)", "move down", show=False, id="report.move-down"),
        Binding("K", "move(-1)", "move up", show=False, id="report.move-up"),
        Binding("space", "fold", "fold", show=False, id="report.fold"),
        Binding("d", "delete", "delete", id="report.delete", tooltip="delete the block"),
        Binding("m", "mark", "mark", show=False, id="report.mark",
                tooltip="mark where lines to trim begin"),
        Binding("t", "trim", "trim", id="report.trim",
                tooltip="trim lines from the mark to here; on a trim, bring them back"),
        Binding("u", "undo", "undo", id="report.undo"),
        Binding("U", "redo", "redo", show=False, id="report.redo"),
        Binding("r", "run", "run", show=False, id="report.run",
                tooltip="run the block's commands that were not run"),
        Binding("x", "export('markdown')", "export", id="report.export",
                tooltip="export as Markdown"),
        Binding("X", "export('text')", "export text", show=False, id="report.export-text"),
        Binding("z", "redact", "names", show=False, id="report.redact",
                tooltip="replace host names, network addresses, commands and arguments in exports"),
    ]  # fmt: skip

    def compose(self) -> ComposeResult:
        self._lines = ReportLines()
        self._marked: Place | None = None
        self._editing: tuple[str, Commentary] | None = None
        self._redacts = False
        self._runs_commands = False
        self._view = TextView(id="report-view")
        self._editor = Editor(id="report-editor", compact=True, highlight_cursor_line=False)
        self._editor.cursor_blink = False
        self._pane = Pane("Report", id="report-pane")
        with self._pane:
            yield self._view
        yield self._editor

    def on_mount(self) -> None:
        """Load the report."""
        self.dashboard.reports.on_change = self._changed
        start(self, self._open)

    async def _open(self) -> None:
        reports = self.dashboard.reports
        await reports.open()
        await reports.refresh()
        self._arrange()

    def on_show(self) -> None:
        start(self, self.dashboard.reports.refresh)
        self._arrange()

    def on_resize(self) -> None:
        self._arrange()

    # What is shown.

    def _changed(self) -> None:
        if self.is_attached:
            self._arrange()

    def _arrange(self) -> None:
        notebook = self.dashboard.reports.notebook
        here = self._place
        editing: tuple[str, Part, int] | None = None
        if self._editing is not None:
            editing = (*self._editing, self._rows_wanted())
        cells = max(20, self._view.size.width)
        self._lines = report_lines(notebook, cells, editing=editing, marked=self._marked)
        self._view.show_lines(
            self._lines,
            empty=Empty("nothing is written yet", "a on any screen adds what it shows; b begins"),
            keep_place=True,
        )
        if here is not None:
            self._return_to(here)
        self._show_title()
        self._place_editor()

    def _return_to(self, here: Place) -> None:
        """Keep the cursor where it was, though lines came and went above it."""
        if self._place == here:
            return
        for index, place in enumerate(self._lines.places):
            if place == here:
                self._view.move_to(index)
                return
        start = self._lines.find(here.block, "heading")
        if start >= 0:
            self._view.move_to(start)

    def _show_title(self) -> None:
        reports = self.dashboard.reports
        count = len(reports.notebook.blocks)
        parts = [f"{count} block{'s' if count != 1 else ''}"] if count else []
        if self._redacts:
            parts.append("exports without names")
        said = (f"  {reports.said}", "warning") if reports.said else ""
        self._pane.show_title(line("Report  ", (" · ".join(parts), "dim"), said))
        if reports.problem:
            self._pane.show_subtitle(line((f"{reports.problem}; trying again", "critical")))
        else:
            saved = "saved" if reports.is_saved else "saving"
            self._pane.show_subtitle(saved if count else "")

    @property
    def _place(self) -> Place | None:
        """What the cursor is on."""
        places = self._lines.places
        return places[self._view.cursor] if 0 <= self._view.cursor < len(places) else None

    @property
    def _block(self) -> Block | None:
        """The block under the cursor."""
        place = self._place
        return self.dashboard.reports.notebook.find(place.block) if place else None

    def equivalent(self) -> Equivalent | None:
        """The command under the cursor."""
        step = self._step
        return Equivalent(step.command, step.drgn) if step and step.command else None

    @property
    def _step(self) -> Step | None:
        place, block = self._place, self._block
        if place is None or block is None or not block.steps:
            return None
        return block.steps[min(place.step, len(block.steps) - 1)]

    @on(LineView.CursorMoved)
    def _moved(self) -> None:
        self.equivalent_changed()

    @on(LineView.Chosen)
    def _chosen(self) -> None:
        place = self._place
        if place is not None and place.part in ("heading", "question", "relevant"):
            self.action_edit()

    # Writing.

    def _text(self, block: Block, part: Commentary) -> str:
        return block.question if part == "question" else block.relevant

    def action_edit(self) -> None:
        """Write the commentary that the cursor is on, or nearest to."""
        place, block = self._place, self._block
        if place is None or block is None:
            self.action_new_block()
            return
        above = place.part in ("heading", "question") or (place.part == "gap" and place.step == 0)
        self._edit(block, "question" if above or block.folded else "relevant")

    def _edit(self, block: Block, part: Commentary) -> None:
        self._editing = (block.id, part)
        text = self._text(block, part)
        self._editor.load_text(text)
        self._editor.move_cursor(self._editor.document.end)
        self._editor.add_class("-open")
        self._arrange()
        self._editor.focus(scroll_visible=False)

    def _rows_wanted(self) -> int:
        rows = self._editor.wrapped_document.height if self._editor.size.width else 1
        most = max(_FEWEST_ROWS, min(_MOST_ROWS, self._view.size.height - 2))
        return max(_FEWEST_ROWS, min(most, rows + 1))

    def _place_editor(self) -> None:
        if self._editing is None:
            return
        start = self._lines.find(*self._editing)
        rows = self._rows_wanted()
        if start < 0:
            return
        # Both ends must be in sight for the writing to stand in its place.
        self._view.move_to(start + rows - 1)
        self._view.move_to(start)
        row = self._view.row_of(start)
        region, origin = self._view.region, self.region
        self._editor.styles.width = region.width
        self._editor.styles.height = rows
        self._editor.styles.offset = (region.x - origin.x, region.y - origin.y + row)

    @on(TextArea.Changed)
    def _typed(self, event: TextArea.Changed) -> None:
        event.stop()
        if self._editing is None:
            return
        block = self.dashboard.reports.notebook.find(self._editing[0])
        if block is not None and self._text(block, self._editing[1]) != self._editor.text:
            changed = msgspec.structs.replace(block, **{self._editing[1]: self._editor.text})
            self._change(changed, "wrote")

    @on(Editor.Done)
    def _written(self) -> None:
        self._editing = None
        self._editor.remove_class("-open")
        self._view.focus(scroll_visible=False)
        self._arrange()

    # Blocks.

    def _change(self, block: Block, what: str) -> None:
        reports = self.dashboard.reports
        reports.change(reports.notebook.changed(block), what)

    def action_new_block(self) -> None:
        """Begin a thought after this one."""
        block = Block()
        here = self._block
        self.dashboard.reports.add(block, after=here.id if here else "")
        self._edit(block, "question")

    def action_move(self, by: int) -> None:
        """Move the block."""
        block = self._block
        if block is not None:
            reports = self.dashboard.reports
            reports.change(reports.notebook.moved(block.id, by), "moved a block")

    def action_fold(self) -> None:
        """Fold the block or open it."""
        block = self._block
        if block is not None:
            self._change(msgspec.structs.replace(block, folded=not block.folded), "folded a block")

    def action_delete(self) -> None:
        """Delete the block."""
        block = self._block
        if block is not None:
            reports = self.dashboard.reports
            reports.change(reports.notebook.deleted(block.id), "deleted a block")
            self.dashboard.say("deleted; u brings it back", "dim")

    def action_undo(self) -> None:
        """Undo."""
        what = self.dashboard.reports.undo()
        self.dashboard.say(f"undone: {what}" if what else "there is nothing to undo", "dim")

    def action_redo(self) -> None:
        """Redo."""
        what = self.dashboard.reports.redo()
        self.dashboard.say(f"done again: {what}" if what else "there is nothing to redo", "dim")

    # Trimming.

    def action_mark(self) -> None:
        """Mark the line where a trim begins."""
        place = self._place
        if place is not None and place.part == "output":
            self._marked = None if self._marked == place else place
            self._arrange()
        else:
            self.dashboard.say("only lines of an output can be trimmed", "dim")

    def action_trim(self) -> None:
        """Trim from the mark to here, or bring trimmed lines back."""
        place, block, step = self._place, self._block, self._step
        if place is None or block is None or step is None or place.part != "output":
            self.dashboard.say("only lines of an output can be trimmed", "dim")
            return
        here = step.original_line(place.row)
        if step.lines[place.row] == TRIMMED and any(first == here for first, _ in step.trims):
            step = step.restored(here)
        else:
            begin = here
            if (
                self._marked is not None
                and self._marked.step == place.step
                and (self._marked.block == place.block)
            ):
                begin = step.original_line(self._marked.row)
            step = step.trimmed(begin, here)
        steps = list(block.steps)
        steps[min(place.step, len(steps) - 1)] = step
        self._marked = None
        self._change(msgspec.structs.replace(block, steps=tuple(steps)), "trimmed")

    # Running.

    def action_run(self) -> None:
        """Run the commands of the block that were not run."""
        block = self._block
        if self._runs_commands:
            self.dashboard.say("commands are being run", "dim")
        elif block is not None:
            self._runs_commands = True
            start(self, partial(self._run, block), group="report")

    async def _run(self, block: Block) -> None:
        try:
            await self._run_steps(block)
        finally:
            self._runs_commands = False

    async def _run_steps(self, block: Block) -> None:
        for index, step in enumerate(block.steps):
            if step.answered_by or not step.command:
                continue
            self.dashboard.say(f"running {step.command}", "dim")
            output = await self.dashboard.commands.interpreter.run(step.command)
            now = self.dashboard.reports.notebook.find(block.id)
            if now is None or index >= len(now.steps):
                return
            text = "\n".join(filter(None, (output.text, output.error)))
            steps = list(now.steps)
            steps[index] = msgspec.structs.replace(
                steps[index], output=text, answered_by=output.answered_by or "kscope",
                drgn=steps[index].drgn or output.drgn,
            )  # fmt: skip
            self._change(msgspec.structs.replace(now, steps=tuple(steps)), "ran a command")
        self.equivalent_changed()

    # Exporting.

    def action_redact(self) -> None:
        """Whether exports name machines and programs."""
        self._redacts = not self._redacts
        self._show_title()
        said = "exports replace names" if self._redacts else "exports keep names"
        self.dashboard.say(said, "dim")

    def action_export(self, form: Form) -> None:
        """Write the report into a file."""
        start(self, partial(self._export, form), group="report")

    async def _export(self, form: Form) -> None:
        identity = self.dashboard.identity
        if identity is None:
            return
        session = self.dashboard.session
        system: System | None = None
        tasks: Tasks | None = None
        try:
            system = await session.ask(SystemQuery())
            tasks = await session.ask(TasksQuery())
        except QueryError as error:
            if self._redacts:
                # What cannot be read cannot be replaced.
                self.dashboard.say(f"not exported without names: {error}", "critical")
                return
        header = Header(
            identity=identity, debug_info=self._debug_info(), system=system,
            drgn_version=drgn_version(),
        )  # fmt: skip
        redactor = None
        if self._redacts and tasks is not None:
            hosts = [identity.nodename, system.nodename if system else ""]
            users = [t.comm for t in tasks.tasks if t.kthread is not True and t.comm]
            redactor = Redactor(hosts=hosts, commands=users)
        text = export(self.dashboard.reports.notebook, header, form, redactor)
        suffix = ".md" if form == "markdown" else ".txt"
        name = "report" if self._redacts else f"{identity.name}-report"
        try:
            path = _free_path(Path.cwd(), name, suffix)
            replace_file(path, text.encode("utf-8", "backslashreplace"))
        except OSError as error:
            where = printable(str(error.filename or "the current directory"))
            self.dashboard.say(f"not exported: {where}: {error.strerror}", "critical")
            return
        self.dashboard.say(f"written to {printable(str(path))}", "good")

    def _debug_info(self) -> DebugInfo | None:
        return self.dashboard.debug_info

    # Places.

    def focus_first(self) -> None:
        """The report, or what is being written in it."""
        (self._editor if self._editing else self._view).focus(scroll_visible=False)

    def place(self) -> object:
        """The line under the cursor."""
        return self._place

    def go_to(self, place: object) -> None:
        """Back to a line."""
        if isinstance(place, Place):
            self._return_to(place)


def _free_path(directory: Path, name: str, suffix: str) -> Path:
    """A path at which there is nothing yet: what was sent to somebody is not replaced."""
    path = directory / f"{name}{suffix}"
    number = 2
    while path.exists():
        path = directory / f"{name}-{number}{suffix}"
        number += 1
    return path
