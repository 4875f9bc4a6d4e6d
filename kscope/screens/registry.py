"""The screens in the order of their digits. Each is imported when it is first opened."""

import importlib
import importlib.util
from dataclasses import dataclass
from typing import cast

from kscope.screens.base import DashboardScreen


@dataclass(frozen=True)
class ScreenEntry:
    """A screen before it is opened."""

    digit: str
    name: str
    module: str
    class_name: str

    def create(self) -> DashboardScreen:
        """The screen itself."""
        module = importlib.import_module(f"kscope.screens.{self.module}")
        return cast(DashboardScreen, getattr(module, self.class_name)(id=f"screen-{self.digit}"))


SCREENS = tuple(
    entry
    for entry in (
        ScreenEntry("1", "Survey", "survey", "SurveyScreen"),
        ScreenEntry("2", "Log", "log", "LogScreen"),
        ScreenEntry("3", "Tasks", "tasks", "TasksScreen"),
        ScreenEntry("4", "CPUs", "cpus", "CpusScreen"),
        ScreenEntry("5", "Inspect", "inspect", "InspectScreen"),
        ScreenEntry("6", "Locks", "locks", "LocksScreen"),
        ScreenEntry("9", "Report", "report", "ReportScreen"),
        ScreenEntry("0", "Command", "command", "CommandScreen"),
    )
    if importlib.util.find_spec(f"kscope.screens.{entry.module}")
)
