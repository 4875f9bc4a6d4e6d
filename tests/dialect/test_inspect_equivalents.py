"""What Inspect's views offer for drgn runs, and says what kscope says."""

import contextlib
import io
from typing import Any

import pytest
from drgn.helpers.linux.pid import find_task

from kscope.dialect import views
from kscope.dialect.views import Equivalent
from kscope.model.address import AddressQuery
from kscope.model.base import Query
from kscope.model.code import CodeQuery
from kscope.model.list import ListQuery
from kscope.model.memory import MemoryQuery
from kscope.model.search import SearchQuery
from kscope.model.struct import StructQuery
from kscope.model.tree import TreeQuery
from kscope.target.target import Target


def equivalent(query: Query[Any]) -> Equivalent:
    return views.equivalent(query)


def run(target: Target, query: Query[Any]) -> str:
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(equivalent(query).drgn, {"prog": target.program})
    return output.getvalue()


@pytest.fixture
def init(demo_target: Target) -> str:
    return f"{find_task(demo_target.program, 1).value_():#x}"


def test_an_object(demo_target: Target, init: str) -> None:
    query = StructQuery(type="struct task_struct", address=init, members="comm,pid")
    assert '"init"' in run(demo_target, query)
    assert equivalent(query).crash == f"struct task_struct.comm,pid {init[2:]}"


def test_a_layout(demo_target: Target) -> None:
    query = StructQuery(type="struct list_head", offsets=True)
    assert run(demo_target, query) == "0 next\n8 prev\n"
    assert equivalent(query).crash == "struct -o list_head"


def test_copies_of_a_per_cpu_variable(demo_target: Target) -> None:
    query = StructQuery(type="rq", address="runqueues:a", members="cpu")
    assert run(demo_target, query).count("\n") == 4
    assert equivalent(query).crash == "struct rq.cpu runqueues:a"


def test_a_list(demo_target: Target) -> None:
    head = demo_target.program["init_task"].tasks.address_
    query = ListQuery(start=f"{head:#x}", kind="list", entry="struct task_struct.tasks",
                      columns="pid,comm")  # fmt: skip
    assert '"init"' in run(demo_target, query)
    expected = f"list -s task_struct.pid,comm -H -o task_struct.tasks {head:x}"
    assert equivalent(query).crash == expected


def test_elements_linked_by_a_member(demo_target: Target) -> None:
    first = demo_target.program.read_word(demo_target.program.symbol("storlab_chain").address)
    query = ListQuery(start=f"{first:#x}", kind="member", entry="struct storlab_item.next",
                      columns="number")  # fmt: skip
    assert run(demo_target, query).count("\n") == 10
    assert "list -s storlab_item.number -o storlab_item.next" in equivalent(query).crash


def test_a_tree(demo_target: Target) -> None:
    query = TreeQuery(start="vmap_area_root", kind="rbtree", entry="struct vmap_area.rb_node",
                      columns="va_start")  # fmt: skip
    assert run(demo_target, query).count("\n") > 10
    expected = "tree -t rbtree -o vmap_area.rb_node -s vmap_area.va_start vmap_area_root"
    assert equivalent(query).crash == expected


def test_a_maple_tree(demo_target: Target) -> None:
    tree = find_task(demo_target.program, 1).mm.mm_mt.address_of_().value_()
    query = TreeQuery(start=f"{tree:#x}", kind="maple", entry="struct vm_area_struct",
                      columns="vm_start")  # fmt: skip
    assert run(demo_target, query)


def test_memory(demo_target: Target, init: str) -> None:
    query = MemoryQuery(address=init, count=8)
    assert run(demo_target, query)
    assert equivalent(query).crash == f"rd {init[2:]} 8"
    assert run(demo_target, MemoryQuery(address=init, count=4, symbols=True))


def test_code(demo_target: Target) -> None:
    query = CodeQuery(start="schedule", count=3)
    assert "nop" in run(demo_target, query)
    assert equivalent(query).crash == "dis schedule 3"


def test_an_address(demo_target: Target, init: str) -> None:
    query = AddressQuery(address=init)
    assert "task: 1 (init)" in run(demo_target, query)
    assert equivalent(query).crash == f"kmem {init[2:]}"


def test_a_search_of_stacks(init: str) -> None:
    query = SearchQuery(value=init, stacks=True, mask="7")
    assert equivalent(query).crash == f"search -t -m 7 {init[2:]}"
