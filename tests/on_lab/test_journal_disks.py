"""Which disk a journal is on, asked of a task that waits for the journal."""

import pytest
from drgn.helpers.linux.pid import find_task

from kscope.kernel.process.task_table import task_table
from kscope.kernel.unwinding.blocked_stack import sleeping_stack
from kscope.kernel.waiting.devices import Devices
from kscope.kernel.waiting.waits import Waits
from tests.lab.catalogue import find
from tests.on_lab.opening import open_lab

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("types", ["btf", "dwarf"])
def test_it_is_the_disk_and_not_the_partition_that_the_thread_is_named_after(types: str) -> None:
    # On 6.1 the committer waits for the journal itself, on 6.12 for one of its buffers.
    target = open_lab("io-stuck", "6.1", types)
    committer = find_task(target.program, find("io-stuck", "6.1").task("committer")["pid"])
    table = task_table(target)
    (thread,) = (int(row.task) for row in table.rows if row.comm == "jbd2/vdb-8")
    waits = Waits(target.program, {found.address: found.raw.stack for found in table.found})
    stack = sleeping_stack(target.program, committer)
    wait = waits.of(committer, stack)
    assert Devices(target.program, {}).of(wait, stack) == ""
    assert Devices(target.program, {thread: "jbd2/vdb1-8"}).of(wait, stack) == "vdb"
