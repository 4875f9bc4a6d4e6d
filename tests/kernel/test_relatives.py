"""Tasks of the bundled dump when what leads to them is missing."""

import pytest
from drgn import offsetof

from kscope.kernel.process.task_table import task_table
from kscope.model.target import OpenQuery
from kscope.session.answering import finish
from kscope.target.opening import open_target
from kscope.target.target import Target
from tests.kernel.excluding import exclude

_LINKS = (
    "tasks", "sibling", "children", "thread_node", "parent", "real_parent", "group_leader",
)  # fmt: skip
_LIST_HEAD = 16


@pytest.fixture
def without_pids(demo: object) -> Target:
    """The bundled dump without the first node of its PID table."""
    target = finish(open_target(OpenQuery(path=str(demo))), None)
    node = target.program["init_pid_ns"].idr.idr_rt.xa_head.value_() & ~3
    exclude(target.program, [node], 4096)
    return target


def tasks(target: Target) -> set[int]:
    return {row.task for row in task_table(target).rows}


def test_without_the_pid_table_tasks_lead_to_each_other(
    demo_target: Target, without_pids: Target
) -> None:
    assert tasks(without_pids) == tasks(demo_target)
    assert task_table(without_pids).has_gaps


def test_without_links_either_they_are_found_in_the_slabs_of_tasks(
    demo_target: Target, without_pids: Target
) -> None:
    every = tasks(demo_target)
    program = without_pids.program
    task_struct = program.type("struct task_struct")
    for name in _LINKS:
        size = _LIST_HEAD if task_struct.member(name).type.size == _LIST_HEAD else 8
        exclude(program, (task + offsetof(task_struct, name) for task in every), size)
    assert tasks(without_pids) == every


def test_without_the_memory_map_either_only_idle_and_running_tasks_are_left(
    demo_target: Target, without_pids: Target
) -> None:
    program = without_pids.program
    exclude(program, [program["vmemmap_base"].value_()], 64 << 20)
    table = task_table(demo_target)
    left = {row.task for row in table.rows if row.idle or row.active}
    assert tasks(without_pids) == left
