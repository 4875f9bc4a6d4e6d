"""How many tasks are in each state."""

from kscope.kernel.process.task_table import task_rows
from kscope.model.task_states import TaskStates, TaskStatesQuery
from kscope.model.tasks import STATES, count_by
from kscope.target.target import Target


def task_states(target: Target, query: TaskStatesQuery) -> TaskStates:  # noqa: ARG001
    """Answer a TaskStatesQuery."""
    return TaskStates(states=tuple(count_by(task_rows(target), "state", list(STATES)).items()))


ANSWERS = {TaskStatesQuery: task_states}
