"""What the keys of the tasks screen choose: states, policies, CPUs and so on, and their chips."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from kscope.model.tasks import POLICIES, STATES, Task, TasksQuery, count_by
from kscope.screens.task_columns import state_role
from kscope.widgets.filter_bar import Chip
from kscope.widgets.text_filter import TextFilter

_KINDS = ("", "user", "kernel")
_LONGER_THAN = ("", "1s", "10s", "30s", "2m", "10m", "1h")
_UNINTERRUPTIBLE_FIRST = ("UN", *(state for state in STATES if state != "UN"))

Groups = list[tuple[str, list[Chip]]]


class InForce(NamedTuple):
    """The filters in force, and the order."""

    selection: TasksQuery = TasksQuery()
    """All filters but the typed one."""
    text: TextFilter = TextFilter()

    @property
    def selects(self) -> bool:
        """Whether any but the typed one is in force."""
        return self.selection != _of_nothing(self.selection)

    @property
    def leave_out(self) -> bool:
        """Whether any is in force."""
        return self.text.active or self.selects

    @property
    def query(self) -> TasksQuery:
        """What asks for the tasks that they leave."""
        return msgspec.structs.replace(self.selection, match=self.text.source)


def _of_nothing(selection: TasksQuery) -> TasksQuery:
    return TasksQuery(sort=selection.sort, reverse=selection.reverse)


class TaskFilters:
    """All filters but the typed one, and the order."""

    def __init__(self, changed: Callable[[], None]) -> None:
        """:param changed: called after each change."""
        self._changed = changed
        self.selection = TasksQuery()
        self._states: dict[str, int] = {}
        self._policies: dict[str, int] = {}

    def count(self, tasks: Sequence[Task]) -> None:
        """Count these tasks' states and policies."""
        self._states = count_by(tasks, "state", _UNINTERRUPTIBLE_FIRST)
        self._policies = count_by(tasks, "policy", POLICIES)

    @property
    def counted(self) -> bool:
        """Whether there are tasks yet."""
        return bool(self._states)

    def choose(self, **changes: Any) -> None:
        """Change some."""
        self.selection = msgspec.structs.replace(self.selection, **changes)
        self._changed()

    def clear(self) -> None:
        """Leave out nothing; the order stays."""
        self.selection = _of_nothing(self.selection)
        self._changed()

    def next(self, member: str) -> None:
        """Choose the next value of ``state``, ``policy``, ``kind`` or ``longer_than``."""
        match member:
            case "state":
                self.choose(state=_after(self.selection.state, ("", *self._states)))
            case "policy":
                self.choose(policy=_after(self.selection.policy, ("", *self._policies)))
            case "longer_than":
                self.choose(longer_than=_after(self.selection.longer_than, _LONGER_THAN))
            case "kind":
                now = "user" if self.selection.user else "kernel" if self.selection.kthreads else ""
                following = _after(now, _KINDS)
                self.choose(user=following == "user", kthreads=following == "kernel")

    # Chips.

    def chips(self) -> tuple[Groups, Groups]:
        """Chosen filters with all states, and all policies. Each is chosen by a click, too."""
        others = self._other_chips()
        states = [
            self._counted("state", state, count, state_role(state).replace("dim", ""))
            for state, count in self._states.items()
        ]
        policies = [self._counted("policy", *counted) for counted in self._policies.items()]
        return [*([("", others)] if others else []), ("", states)], [("policy", policies)]

    def _counted(self, member: str, value: str, count: int, role: str = "") -> Chip:
        active = value == getattr(self.selection, member)
        target = partial(self.choose, **{member: "" if active else value})
        return Chip(value, count, active=active, role=role or "accent", target=target)

    def _other_chips(self) -> list[Chip]:
        selection = self.selection
        chosen: list[tuple[str, dict[str, Any]]] = []
        if selection.only:
            chosen.append((f"{len(selection.only.split(','))} chosen", {"only": ""}))
        if selection.user:
            chosen.append(("user", {"user": False}))
        if selection.kthreads:
            chosen.append(("kernel", {"kthreads": False}))
        if selection.leaders:
            chosen.append(("leaders", {"leaders": False}))
        if selection.cpu:
            chosen.append((f"CPU {selection.cpu}", {"cpu": ""}))
        if selection.longer_than:
            chosen.append((f"> {selection.longer_than}", {"longer_than": ""}))
        return [
            Chip(label, active=True, target=partial(self.choose, **without))
            for label, without in chosen
        ]


def _after(now: str, choices: Sequence[str]) -> str:
    return choices[(choices.index(now) + 1) % len(choices)] if now in choices else choices[0]
