"""What blocked tasks wait for, task by task."""

from drgn import Object

from kscope.kernel.process.task_table import task_table
from kscope.kernel.unwinding.blocked_stack import Stack, sleeping_stack
from kscope.kernel.waiting.waits import Waits
from kscope.target.target import Target


def blocked(target: Target) -> tuple[Waits, list[tuple[Object, Stack]]]:
    """What finds waits, and each task in uninterruptible sleep with its stack."""
    table = task_table(target)
    waits = Waits(target.program, {found.address: found.raw.stack for found in table.found})
    tasks = [
        Object(target.program, "struct task_struct *", value=int(row.task))
        for row in table.rows
        if row.state == "UN"
    ]
    return waits, [(task, sleeping_stack(target.program, task)) for task in tasks]
