"""Lists and trees of the bundled dump that lead round in circles: what comes before stands, and it
is said where they are broken."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest
from drgn import Object, Program
from drgn.helpers.linux.ioport import for_each_resource
from drgn.helpers.linux.list import (
    hlist_for_each,
    hlist_for_each_entry,
    list_for_each,
    list_for_each_entry,
    list_for_each_reverse,
)
from drgn.helpers.linux.llist import llist_for_each
from drgn.helpers.linux.percpu import per_cpu
from drgn.helpers.linux.pid import find_task
from drgn.helpers.linux.rbtree import rbtree_inorder_for_each, rbtree_preorder_for_each
from drgn.helpers.linux.sched import cpu_rq

from kscope.kernel.access.paths import d_path, dentry_path
from kscope.model.base import Unreadable
from kscope.model.cpus import Cpu, CpusQuery
from kscope.model.locks import LocksQuery
from kscope.model.target import OpenQuery
from kscope.session.answering import answer, finish
from kscope.target.loops import LoopError, once
from kscope.target.opening import open_target
from kscope.target.target import Target
from tests.kernel.putting import put

_MORE_THAN_THERE_ARE = 10_000


@pytest.fixture
def target(demo: Path) -> Target:
    return finish(open_target(OpenQuery(path=str(demo))), None)


@pytest.fixture
def program(target: Target) -> Program:
    return target.program


def until_it_loops(walk: Iterator[Object]) -> list[int]:
    found: list[int] = []
    try:
        for node in islice(walk, _MORE_THAN_THERE_ARE):
            found.append(node.value_())
    except LoopError:
        return found
    raise AssertionError("it ended, or was not seen to be a loop")


def why(unreadable: tuple[Unreadable, ...], what: str) -> str:
    (found,) = (each.why for each in unreadable if each.what == what)
    return found


def timer_tree(program: Program) -> Object:
    return per_cpu(program["hrtimer_bases"], 0).clock_base[0].active.rb_root.rb_root.address_of_()


def of_cpu(target: Target, number: int) -> Cpu:
    cpus = answer(target, CpusQuery(runqueue=True, timers=True, watchdog=True)).cpus
    return next(cpu for cpu in cpus if cpu.cpu == number)


@pytest.mark.parametrize(
    ("walk", "onward"), [(list_for_each, "next"), (list_for_each_reverse, "prev")]
)
def test_a_list_that_does_not_come_back_to_its_head(
    program: Program, walk: Callable[[Object], Iterator[Object]], onward: str
) -> None:
    head = program["slab_caches"].address_of_()
    nodes = list(walk(head))
    put(program, nodes[9].member_(onward), nodes[4].value_())
    assert until_it_loops(walk(head)) == [node.value_() for node in nodes[:10]]


def test_it_is_said_which_entry_leads_back(program: Program) -> None:
    head = program["slab_caches"].address_of_()
    nodes = list(list_for_each(head))
    put(program, nodes[9].next, nodes[4].value_())
    said = f"{nodes[9].value_():x} leads to {nodes[4].value_():x}, which came before: it is a loop"
    with pytest.raises(LoopError, match=said):
        list(list_for_each_entry("struct kmem_cache", head, "list"))


def test_a_chain_that_does_not_end(program: Program) -> None:
    base = per_cpu(program["timer_bases"], 0)[1]
    head = next(vector.address_of_() for vector in base.vectors if vector.first)
    nodes = list(hlist_for_each(head))
    put(program, nodes[-1].next, nodes[0].value_())
    assert until_it_loops(hlist_for_each(head)) == [node.value_() for node in nodes]
    assert until_it_loops(hlist_for_each_entry("struct timer_list", head, "entry")) != []


def test_a_lockless_list_that_does_not_end(program: Program) -> None:
    # Whatever memory it is, its first word is a pointer to the next node.
    memory = program["slab_caches"].address_of_().value_()
    node = Object(program, "struct llist_node *", memory)
    put(program, node.next, memory)
    assert until_it_loops(llist_for_each(node)) == [memory]


def test_a_tree_whose_left_branch_leads_back_up(program: Program) -> None:
    root = timer_tree(program)
    first = next(iter(rbtree_inorder_for_each(root)))
    put(program, first.rb_left, root.rb_node.value_())
    assert until_it_loops(rbtree_inorder_for_each(root)) == []
    assert until_it_loops(rbtree_preorder_for_each(root)) != []


def test_a_tree_whose_right_branch_leads_back_up(program: Program) -> None:
    root = timer_tree(program)
    nodes = list(rbtree_inorder_for_each(root))
    assert len(nodes) > 2
    put(program, nodes[-1].rb_right, root.rb_node.value_())
    assert until_it_loops(rbtree_inorder_for_each(root)) == [node.value_() for node in nodes]


def test_of_a_damaged_timer_tree_it_is_said_where(target: Target) -> None:
    root = timer_tree(target.program)
    nodes = list(rbtree_inorder_for_each(root))
    put(target.program, nodes[-1].rb_right, root.rb_node.value_())
    timers = of_cpu(target, 0).timers
    assert timers is not None
    clock = timers.clocks[0]
    assert len(clock.timers) == len(nodes)
    last, top = nodes[-1].value_(), root.rb_node.value_()
    assert why(clock.unreadable, "hrtimer clock 0") == (
        f"after {len(nodes)}: {last:x} leads to {top:x}, which came before: it is a loop"
    )


def test_of_a_damaged_runqueue_it_is_said_where(target: Target) -> None:
    root = cpu_rq(target.program, 2).cfs.tasks_timeline.rb_root.address_of_()
    top = root.rb_node.value_()
    put(target.program, root.rb_node.rb_left, top)
    cpu = of_cpu(target, 2)
    assert f"{top:x} leads to {top:x}" in why(cpu.unreadable, "fair queue")


def test_of_a_damaged_pool_of_workers_the_work_before_stands(target: Target) -> None:
    pool = per_cpu(target.program["cpu_worker_pools"], 2)[0]
    (work,) = list_for_each(pool.worklist.address_of_())
    put(target.program, work.next, work.value_())
    health = of_cpu(target, 2).health
    assert health is not None
    (found,) = (each for each in health.pools if each.pool == pool.address_)
    assert len(found.pending) == 1
    assert why(found.unreadable, "pending work").startswith("after 1: ")


def test_of_a_damaged_rt_mutex_the_waiters_before_stand(
    demo_target: Target, target: Target
) -> None:
    program = target.program
    before = {lock.name: lock for lock in answer(demo_target, LocksQuery()).locks}["storlab_rt"]
    base = Object(program, "struct rt_mutex_base", address=before.address)
    node = base.waiters.rb_root.rb_node
    put(program, node.rb_right, node.value_())
    again = answer(target, LocksQuery())
    (lock,) = (lock for lock in again.locks if lock.name == "storlab_rt")
    assert [waiter.comm for waiter in lock.waiters] == ["rtclient"]
    assert why(again.unreadable, f"queue of rt_mutex {before.address:x}") == (
        f"after 1: {node.value_():x} leads to {node.value_():x}, which came before: it is a loop"
    )


def test_a_file_that_is_below_itself_has_no_path(program: Program) -> None:
    path = find_task(program, 1).mm.exe_file.f_path
    dentry = path.dentry
    assert (d_path(path), dentry_path(dentry)) == (b"/bin/busybox", b"bin/busybox")
    put(program, dentry.d_parent.d_parent, dentry.value_())
    for walk, start in ((d_path, path), (dentry_path, dentry)):
        with pytest.raises(LoopError, match=f"{dentry.value_():x} is below itself"):
            walk(start)


def test_resources_that_lead_back_come_once(program: Program) -> None:
    root = program["iomem_resource"].address_of_()
    put(program, root.child.sibling, root.child.value_())
    assert until_it_loops(once(for_each_resource(root)))[0] == root.value_()
