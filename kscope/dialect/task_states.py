"""Counts of task states, as crash's ``ps -S``."""

from kscope.dialect.views import Equivalent
from kscope.model.task_states import TaskStates, TaskStatesQuery

QUERY = TaskStatesQuery

_DRGN = """\
from collections import Counter
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.sched import task_state_to_char

print(Counter(task_state_to_char(task) for task in for_each_task(prog, idle=True)))
"""


def equivalent(query: TaskStatesQuery) -> Equivalent:  # noqa: ARG001
    """``ps -S``."""
    return Equivalent("ps -S", _DRGN)


def text(query: TaskStatesQuery, result: TaskStates) -> str:  # noqa: ARG001
    """A state a line, as crash prints it."""
    return "\n".join(f"  {state}: {count}" for state, count in result.states)
