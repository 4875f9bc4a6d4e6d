"""One task in full. Each section is read by itself and fails by itself."""

from collections.abc import Generator

from kscope.kernel.access.reading import READ_ERRORS, Readings, reason
from kscope.kernel.process.task_files import files
from kscope.kernel.process.task_identity import identity
from kscope.kernel.process.task_memory import address_space
from kscope.kernel.process.task_stack import task_stack
from kscope.kernel.process.task_table import FoundTask, TaskTable, task_table_in_slices
from kscope.kernel.unwinding.unwind import unwinder
from kscope.model.base import Address, Part, Progress, QueryError
from kscope.model.task import AddressSpace, TaskDetail, TaskQuery
from kscope.model.tasks import Task, parse_task
from kscope.target.target import Target


def task(
    target: Target, query: TaskQuery
) -> Generator[Progress | Part[TaskDetail], None, TaskDetail]:
    """Answer a TaskQuery."""
    wanted = parse_task(query.task)
    table = yield from task_table_in_slices(target)
    index = _index(table, wanted)
    found, row = table.found[index], table.rows[index]
    of_stack = query.stack or query.raw or query.variables or query.symbols
    nothing_named = not (of_stack or query.identity or query.files or query.vm or query.threads)
    readings = Readings()
    drgn_task = unwinder(target).task(found.address)
    return TaskDetail(
        row=row,
        stack=readings.read("stack", lambda: task_stack(target, found, query), None)
        if of_stack or nothing_named
        else None,
        identity=readings.read("identity", lambda: identity(target, found, readings), None)
        if query.identity or nothing_named
        else None,
        files=readings.read("files", lambda: files(drgn_task, readings), None)
        if query.files
        else None,
        memory=_memory(target, table, found, readings) if query.vm else None,
        threads=_threads(table, row) if query.threads else None,
        unreadable=(*row.unreadable, *readings.unreadable),
    )


def _index(table: TaskTable, wanted: int | Address) -> int:
    for index, row in enumerate(table.rows):
        if wanted == (row.task if isinstance(wanted, Address) else row.pid):
            return index
    if isinstance(wanted, Address):
        raise QueryError(f"There is no task at {wanted:#x}.", "kscope show tasks lists them.")
    raise QueryError(f"There is no task with PID {wanted}.", "kscope show tasks lists them.")


def _memory(
    target: Target, table: TaskTable, found: FoundTask, readings: Readings
) -> AddressSpace | None:
    if not found.raw.mm:
        why = "it has no address space of its own, as kernel threads and zombies have none"
        readings.note("memory", why if found.raw.mm == 0 else "task_struct.mm cannot be read")
        return None
    try:
        mm = unwinder(target).task(found.address).mm.read_()
        return address_space(target, mm, table.memory, readings)
    except READ_ERRORS as error:
        readings.note("memory", reason(error))
        return None


def _threads(table: TaskTable, row: Task) -> tuple[Task, ...]:
    if row.tgid in (None, 0):
        return (row,)
    return tuple(other for other in table.rows if other.tgid == row.tgid)


ANSWERS = {TaskQuery: task}
