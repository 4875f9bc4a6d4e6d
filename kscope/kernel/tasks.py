"""The list of tasks: crash's ``ps`` with its ``-m``, ``-y``, ``-G`` and ``-S``."""

from collections.abc import Generator

from kscope.kernel.access.reading import Readings
from kscope.kernel.process.task_table import TaskTable, open_task_table, physical_memory_bytes
from kscope.model.base import Part, Progress
from kscope.model.tasks import Tasks, TasksQuery, predicates, select, sort
from kscope.target.target import Target

_GROWTH = 4
"""How many times as many tasks the next part has: all parts together are then never more than a
third of the whole."""


def tasks(target: Target, query: TasksQuery) -> Generator[Progress | Part[Tasks], None, Tasks]:
    """Answer a TasksQuery. Parts are all tasks found so far."""
    predicates(query)
    sort((), query.sort)
    table = open_task_table(target)
    told = 0
    for step in table.read_on():
        if len(table.rows) >= _GROWTH * told:
            told = len(table.rows)
            yield Part(result=_answer(target, table, query))
        else:
            yield step
    return _answer(target, table, query)


def _answer(target: Target, table: TaskTable, query: TasksQuery) -> Tasks:
    readings = Readings()
    return Tasks(
        tasks=tuple(sort(select(table.rows, query), query.sort, reverse=query.reverse)),
        total=len(table.rows) if table.complete else 0,
        physical_memory_bytes=readings.read(
            "physical memory", lambda: physical_memory_bytes(target.program), None
        ),
        unreadable=(*table.unreadable, *readings.unreadable),
    )


ANSWERS = {TasksQuery: tasks}
