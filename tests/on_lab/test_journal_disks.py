"""Which disk a journal is on, asked of the tasks that wait for the journal."""

import pytest
from drgn.helpers.linux.pid import find_task

from kscope.kernel.process.task_table import task_table
from kscope.kernel.unwinding.blocked_stack import sleeping_stack
from kscope.kernel.waiting.devices import Devices
from kscope.kernel.waiting.waits import Waits
from tests.on_lab.opening import open_lab

pytestmark = pytest.mark.lab


def test_it_is_the_disk_and_not_the_partition_that_the_thread_is_named_after(
    series: str, types: str
) -> None:
    target = open_lab("io-stuck", series, types)
    table = task_table(target)
    (thread,) = (int(row.task) for row in table.rows if row.comm == "jbd2/vdb-8")
    waits = Waits(target.program, {found.address: found.raw.stack for found in table.found})
    without, with_partition = (
        Devices(target.program, threads) for threads in ({}, {thread: "jbd2/vdb1-8"})
    )
    disks = set()
    for row in table.rows:
        if row.state != "UN" or int(row.task) == thread:
            continue
        task = find_task(target.program, row.pid)
        stack = sleeping_stack(target.program, task)
        if not any(name.startswith(("jbd2_", "do_get_write")) for name in stack.functions):
            continue
        wait = waits.of(task, stack)
        if not without.of(wait, stack):
            disks.add(with_partition.of(wait, stack))
    if not disks:
        pytest.skip("in this guest all wait for a buffer, and nobody for the journal itself")
    assert disks == {"vdb"}
