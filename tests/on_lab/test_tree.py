"""Trees of every kind against crash's ``tree -p`` and drgn's helpers, on both kernels."""

import re
from collections.abc import Iterator

import pytest
from drgn import Object, Program
from drgn.helpers.linux.mapletree import mt_for_each
from drgn.helpers.linux.percpu import per_cpu
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.xarray import xa_for_each

from kscope.kernel.tree import tree
from kscope.model.list import Walk
from kscope.model.tree import TreeQuery
from kscope.session.answering import finish
from kscope.target.target import Target
from tests.lab.catalogue import find
from tests.lab.oracle import crash
from tests.on_lab.opening import SERIES, open_lab

pytestmark = pytest.mark.lab

_ELEMENT = re.compile(r"^([0-9a-f]+)\n(?:  index: \d+)?  position: (\S+)", re.MULTILINE)


def trees(program: Program) -> Iterator[tuple[str, int]]:
    """Address spaces, page caches, PIDs, timers and runqueues."""
    users = [task for task in for_each_task(program) if task.mm]
    for task in users:
        yield "maple", task.mm.mm_mt.address_
        yield "xarray", task.mm.exe_file.f_mapping.i_pages.address_
    yield "xarray", program["init_pid_ns"].idr.idr_rt.address_
    for cpu in range(4):
        yield "rbtree", per_cpu(program["runqueues"], cpu).cfs.tasks_timeline.address_
        for base in per_cpu(program["hrtimer_bases"], cpu).clock_base:
            yield "rbtree", base.active.rb_root.address_


def walk(target: Target, kind: str, address: int) -> Walk:
    query = TreeQuery(start=f"{address:#x}", kind=kind, position=True)
    return finish(tree(target, query), None)


@pytest.mark.parametrize("types", ["dwarf", "btf"])
@pytest.mark.parametrize("series", SERIES)
def test_every_element_is_where_crash_finds_it(series: str, types: str) -> None:
    target = open_lab("sysrq", series, types)
    every = sorted(set(trees(target.program)))
    printed = crash(find("sysrq", series), [f"tree -t {kind} -p {at:x}" for kind, at in every])
    count = 0
    for (kind, address), theirs in zip(every, printed, strict=True):
        ours = [(f"{row.node:x}", row.position) for row in walk(target, kind, address).rows]
        # crash prints a red-black tree from its root down.
        assert sorted(ours) == sorted(_ELEMENT.findall(theirs)), f"{kind} {address:x}"
        count += len(ours)
    assert count > 500


@pytest.mark.parametrize("series", SERIES)
def test_indexes_and_entries_are_those_that_drgn_finds(series: str) -> None:
    target = open_lab("sysrq", series)
    for kind, address in set(trees(target.program)):
        rows = walk(target, kind, address).rows
        if kind == "maple":
            start = Object(target.program, "struct maple_tree *", address)
            assert [(row.key, row.last, row.node) for row in rows] == [
                (first, last, entry.value_()) for first, last, entry in mt_for_each(start)
            ]
        elif kind == "xarray":
            start = Object(target.program, "struct xarray *", address)
            assert [(row.key, row.node) for row in rows] == [
                (index, entry.value_()) for index, entry in xa_for_each(start)
            ]
