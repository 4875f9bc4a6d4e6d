"""Counts of task states, as crash's ``ps -S``."""

from kscope.dialect.views import Equivalent
from kscope.model.task_states import TaskStates, TaskStatesQuery

QUERY = TaskStatesQuery

_DRGN = """\
from collections import Counter
from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.sched import idle_task, task_state_to_char

tasks = [idle_task(prog, cpu) for cpu in for_each_possible_cpu(prog)]
tasks += for_each_task(prog)
print(Counter(map(task_state_to_char, tasks)))
"""


def equivalent(query: TaskStatesQuery) -> Equivalent:  # noqa: ARG001
    """``ps -S``."""
    return Equivalent("ps -S", _DRGN)


def text(query: TaskStatesQuery, result: TaskStates) -> str:  # noqa: ARG001
    """A state a line, as crash prints it."""
    return "\n".join(f"  {state}: {count}" for state, count in result.states)
