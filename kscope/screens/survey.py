"""Screen 1: what is wrong with this machine and the proof of it; beside it, what machine it was."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical

from kscope.dialect.views import Equivalent
from kscope.model.base import Query
from kscope.model.debug_info import DebugInfoQuery, DebugInfoReport
from kscope.model.survey import Finding, Survey, SurveyQuery
from kscope.model.system import System, SystemQuery
from kscope.model.task_states import TaskStates, TaskStatesQuery
from kscope.screens.base import DashboardScreen
from kscope.screens.finding_lines import (
    FINDING_INDENT,
    evidence_at,
    evidence_lines,
    finding_lines,
    first_place,
    rule_lines,
    summary,
)
from kscope.screens.survey_lines import (
    dump_lines,
    load_lines,
    settings_lines,
    states_line,
    system_lines,
)
from kscope.widgets.line_view import LineView
from kscope.widgets.pane import Pane
from kscope.widgets.states import Empty
from kscope.widgets.text_view import TextView

if TYPE_CHECKING:
    from kscope.report.notebook import Block


class SurveyAsLeft(msgspec.Struct, frozen=True):
    """What is kept of the survey from one run to the next."""

    finding: str = ""
    """The title of the finding under the cursor."""
    machine: bool = False
    """Whether the machine's facts were looked at."""


class SurveyScreen(DashboardScreen):
    """The first screen."""

    DIGIT: ClassVar[str] = "1"
    NAME: ClassVar[str] = "Survey"
    REMEMBERS: ClassVar[SurveyAsLeft] = SurveyAsLeft()
    HELP_HEADING: ClassVar[str] = "On the survey"
    DEFAULT_CSS = """
    SurveyScreen > #survey-columns { height: 1fr; }
    SurveyScreen #survey-right { width: 4fr; }
    SurveyScreen #survey-left { width: 6fr; }
    SurveyScreen #findings-pane { height: 3fr; }
    SurveyScreen #evidence-pane { height: 2fr; }
    SurveyScreen #system-pane { height: 7fr; }
    SurveyScreen #settings-pane { height: 4fr; }
    SurveyScreen #dump-pane { height: 4fr; }
    SurveyScreen.-narrow #survey-right { display: none; }
    SurveyScreen.-narrow.-machine #survey-right {
        display: block; width: 100%;
        layout: grid; grid-size: 2 3; grid-columns: 5fr 4fr; grid-rows: auto 1fr 1fr;
    }
    SurveyScreen.-narrow.-machine #system-pane { row-span: 3; height: 100%; }
    SurveyScreen.-narrow.-machine #survey-left { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "evidence", "evidence", id="survey.evidence",
                tooltip="to the evidence of the finding under the cursor, and back"),
        Binding("m", "machine", "machine", id="survey.machine",
                tooltip="to the machine's facts, and back to the findings"),
    ]  # fmt: skip

    def compose(self) -> ComposeResult:
        self._survey: Survey | None = None
        self._machine: System | None = None
        self._wanted = ""
        self._findings = TextView(wrapped=True, id="survey-findings")
        self._findings.wrap_indent = FINDING_INDENT
        self._evidence = TextView(wrapped=True, id="survey-evidence")
        self._system = TextView(wrapped=True, id="survey-system")
        self._system.wrap_indent = 9
        self._load = TextView(wrapped=True, id="survey-load")
        self._load.wrap_indent = 4
        self._settings = TextView(wrapped=True, id="survey-settings")
        self._dump = TextView(wrapped=True, id="survey-dump")
        self._dump.wrap_indent = 11
        self._findings_pane = Pane("Findings", id="findings-pane")
        with Horizontal(id="survey-columns"):
            with Vertical(id="survey-left"):
                with self._findings_pane:
                    yield self._findings
                with Pane("Evidence", id="evidence-pane", subtitle="y copies the command"):
                    yield self._evidence
            with Vertical(id="survey-right"):
                with Pane("System", id="system-pane"):
                    yield self._system
                with Pane("Load", classes="fit"):
                    yield self._load
                with Pane("How this kernel was set", id="settings-pane"):
                    yield self._settings
                with Pane("The dump", id="dump-pane"):
                    yield self._dump

    def on_mount(self) -> None:
        """Ask for the machine first, which is quick, then for what is wrong with it."""
        self.ask(SystemQuery(), self._show_machine, into=self._system, what="reading the machine")
        self.ask(
            SurveyQuery(), self._show, into=self._findings, what="looking for what is wrong",
            parts=True,
        )  # fmt: skip

    def focus_first(self) -> None:
        """The findings, or the machine's facts where those were looked at."""
        view = self._system if self.has_class("-machine") else self._findings
        view.focus(scroll_visible=False)

    # What is shown.

    def query_in_focus(self) -> Query[Any] | None:
        """The Query of the pane that has the focus."""
        focused = self.screen.focused
        if focused is self._dump:
            return DebugInfoQuery()
        return SurveyQuery() if focused in (self._findings, self._evidence) else SystemQuery()

    def equivalent(self) -> Equivalent | None:
        """On findings and evidence: the command that shows this very fact."""
        finding = self._finding
        if finding is not None and self.screen.focused in (self._findings, self._evidence):
            at = self._evidence.cursor if self._evidence.has_focus else 0
            evidence = evidence_at(finding, at)
            if evidence is not None and evidence.crash:
                return Equivalent(evidence.crash, evidence.drgn)
        return super().equivalent()

    def draft_in_focus(self) -> "Block | None":
        """The finding under the cursor, as a thought to be edited."""
        from kscope.report.drafts import of_finding

        finding = self._finding
        if finding is None or self.screen.focused not in (self._findings, self._evidence):
            return None
        return of_finding(finding)

    @property
    def _finding(self) -> Finding | None:
        """The finding under the cursor."""
        if self._survey is None or self._findings.state is not None:
            return None
        item = self._findings.item
        findings = self._survey.findings
        return findings[item] if item < len(findings) else None

    def _show(self, survey: Survey) -> None:
        self._survey = survey
        shown = finding_lines(survey)
        keep = self._findings.state is None and self._findings.has_focus
        self._findings.show_lines(
            shown.lines, items=shown.items, clipped=shown.explanations, keep_place=keep,
            empty=Empty("looking for what is wrong"),
        )  # fmt: skip
        self._findings_pane.show_title(summary(survey))
        self._move_to_wanted(survey, shown.items)
        self._show_evidence()

    def _show_evidence(self) -> None:
        finding = self._finding
        if finding is None and self._survey is not None and self._survey.rules:
            self._evidence.wrap_indent = FINDING_INDENT
            self._evidence.show_lines(rule_lines(self._survey))
        elif finding is None:
            self._evidence.show_state(Empty("no finding", "a healthy machine has none"))
        else:
            lines, self._evidence.wrap_indent = evidence_lines(finding)
            self._evidence.show_lines(lines)
        self.equivalent_changed()

    @on(LineView.CursorMoved)
    def _moved(self, message: LineView.CursorMoved) -> None:
        if message.view is self._findings:
            self._show_evidence()
            count = len(self._survey.findings) if self._survey else 0
            at = f"{min(self._findings.item + 1, count)}/{count}" if count else ""
            self._findings_pane.show_subtitle(at)
        elif message.view is self._evidence:
            self.equivalent_changed()
        elif message.view is not self._load:
            self._show_position(message.view)

    def on_resize(self) -> None:
        """What fits is another part now."""
        super().on_resize()
        self.call_after_refresh(self._show_positions)

    def _show_positions(self) -> None:
        for view in (self._system, self._settings, self._dump):
            self._show_position(view)

    @staticmethod
    def _show_position(view: LineView) -> None:
        """Where the cursor is, if there is more than the pane has room for."""
        rows = view.get_content_height(view.size, view.size, view.size.width)
        fits = view.state is not None or rows <= view.size.height
        view.query_ancestor(Pane).show_subtitle("" if fits else view.position)

    def _show_machine(self, system: System) -> None:
        self._machine = system
        self._system.show_lines(system_lines(system))
        self._load.show_lines(load_lines(system), empty=Empty("the load cannot be read"))
        self._settings.show_lines(
            settings_lines(system), empty=Empty("no settings can be read without types")
        )
        if system.cpu_states:
            self.ask(TaskStatesQuery(), self._show_states, into=self._load, what="counting tasks")
        self.ask(DebugInfoQuery(), self._show_dump, into=self._dump, what="looking at modules")

    def _show_states(self, states: TaskStates) -> None:
        if self._machine is not None:
            self._load.show_lines([*load_lines(self._machine), states_line(states)])

    def _show_dump(self, debug_info: DebugInfoReport) -> None:
        identity = self.dashboard.identity
        if identity is not None and self._machine is not None:
            self._dump.show_lines(dump_lines(identity, self._machine, debug_info))
            if identity.live:
                self._dump.query_ancestor(Pane).show_title("What is read")

    # Keys.

    def action_evidence(self) -> None:
        """To the evidence, or back to the findings."""
        to = self._findings if self._evidence.has_focus else self._evidence
        to.focus(scroll_visible=False)

    def action_machine(self) -> None:
        """To the machine's facts, or back to the findings."""
        if self._system.has_focus:
            self.remove_class("-machine")
            self._findings.focus(scroll_visible=False)
        else:
            self.add_class("-machine")
            self._system.focus(scroll_visible=False)
            self.call_after_refresh(self._show_positions)

    @on(LineView.Chosen)
    def _open_finding(self, message: LineView.Chosen) -> None:
        finding = self._finding
        if message.view is self._findings and finding is not None:
            place = first_place(finding)
            if place is not None:
                self.dashboard.open_link(place)

    def remembered(self) -> SurveyAsLeft | None:
        """The finding, and which side."""
        finding = self._finding
        title = finding.title if finding is not None else ""
        return SurveyAsLeft(title, machine=self.has_class("-machine"))

    def restore(self, remembered: SurveyAsLeft) -> None:
        """Go to the finding as soon as it is found."""
        self._wanted = remembered.finding
        self.set_class(remembered.machine, "-machine")
        if self._survey is not None:
            self._show(self._survey)

    def _move_to_wanted(self, survey: Survey, items: Sequence[int]) -> None:
        """Findings come one by one, and the causes go before those that were there."""
        for item, finding in enumerate(survey.findings):
            if self._wanted == finding.title:
                self._findings.move_to(items[item])
        if survey.signature:
            self._wanted = ""

    def place(self) -> object:
        """The line of the findings under the cursor."""
        return self._findings.cursor

    def go_to(self, place: object) -> None:
        """Back to a finding."""
        if isinstance(place, int):
            self._findings.move_to(place)
