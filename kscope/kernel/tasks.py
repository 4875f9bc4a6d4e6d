"""The list of tasks: crash's ``ps`` with its ``-m``, ``-y``, ``-G`` and ``-S``."""

from collections.abc import Generator

from kscope.kernel.access.reading import Readings
from kscope.kernel.process.task_table import physical_memory_bytes, task_table_in_slices
from kscope.model.base import Part, Progress
from kscope.model.tasks import Tasks, TasksQuery, predicates, select, sort
from kscope.target.target import Target


def tasks(target: Target, query: TasksQuery) -> Generator[Progress | Part[Tasks], None, Tasks]:
    """Answer a TasksQuery."""
    predicates(query)
    sort((), query.sort)
    table = yield from task_table_in_slices(target)
    readings = Readings()
    return Tasks(
        tasks=tuple(sort(select(table.rows, query), query.sort, reverse=query.reverse)),
        total=len(table.rows),
        physical_memory_bytes=readings.read(
            "physical memory", lambda: physical_memory_bytes(target.program), None
        ),
        unreadable=(*table.unreadable, *readings.unreadable),
    )


ANSWERS = {TasksQuery: tasks}
