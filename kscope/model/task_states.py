"""How many tasks are in each state: crash's ``ps -S``."""

from kscope.model.base import Query, Result


class TaskStates(Result, frozen=True, kw_only=True):
    """Counts of all tasks, idle ones included."""

    states: tuple[tuple[str, int], ...]
    """crash's codes with their counts, UN first; ``??`` where a state could not be read."""


class TaskStatesQuery(Query[TaskStates], frozen=True, kw_only=True):
    """How many tasks are in each state."""
