"""Screen 1: what machine this was, how it was set, the state of the dump."""

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from kscope.model.base import Query
from kscope.model.debug_info import DebugInfoQuery, DebugInfoReport
from kscope.model.log import Log, LogQuery
from kscope.model.system import System, SystemQuery
from kscope.screens.base import DashboardScreen
from kscope.screens.survey_lines import (
    dump_lines,
    load_lines,
    reports_lines,
    settings_lines,
    system_lines,
)
from kscope.widgets.pane import Pane
from kscope.widgets.states import Empty
from kscope.widgets.text_view import TextView


class SurveyScreen(DashboardScreen):
    """The first screen."""

    DIGIT: ClassVar[str] = "1"
    NAME: ClassVar[str] = "Survey"
    HELP_HEADING: ClassVar[str] = "On the survey"
    DEFAULT_CSS = """
    SurveyScreen > Horizontal { height: 1fr; }
    SurveyScreen #survey-right { width: 4fr; }
    SurveyScreen #survey-left { width: 6fr; }
    """

    def compose(self) -> ComposeResult:
        self._reports = TextView(id="survey-reports")
        self._system = TextView(id="survey-system")
        self._load = TextView(id="survey-load")
        self._settings = TextView(id="survey-settings")
        self._dump = TextView(id="survey-dump")
        self._machine: System | None = None
        with Horizontal():
            with Vertical(id="survey-left"):
                with Pane("System"):
                    yield self._system
                with Pane("Reports in the log"):
                    yield self._reports
            with Vertical(id="survey-right"):
                with Pane("Load", classes="fit"):
                    yield self._load
                with Pane("How this kernel was set"):
                    yield self._settings
                with Pane("The dump"):
                    yield self._dump

    def on_mount(self) -> None:
        """Ask for the machine, its log and its debug info."""
        self.ask(SystemQuery(), self._show, into=self._system, what="reading the machine")
        self.ask(LogQuery(), self._show_log, into=self._reports, what="reading the log")

    def query_in_focus(self) -> Query[Any] | None:
        """The Query of the pane that has the focus."""
        focused = self.screen.focused
        if focused is self._reports:
            return LogQuery()
        if focused is self._dump:
            return DebugInfoQuery()
        return SystemQuery()

    def _show(self, system: System) -> None:
        self._machine = system
        self._system.show_lines(system_lines(system))
        self._load.show_lines(load_lines(system), empty=Empty("the load cannot be read"))
        self._settings.show_lines(
            settings_lines(system), empty=Empty("no settings can be read without types")
        )
        self.ask(DebugInfoQuery(), self._show_dump, into=self._dump, what="looking at modules")

    def _show_dump(self, debug_info: DebugInfoReport) -> None:
        identity = self.dashboard.identity
        assert identity is not None
        assert self._machine is not None
        self._dump.show_lines(dump_lines(identity, self._machine, debug_info))

    def _show_log(self, log: Log) -> None:
        self._reports.show_lines(
            reports_lines(log), empty=Empty("the kernel reported nothing wrong")
        )
