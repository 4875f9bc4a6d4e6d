"""Layouts against crash for every type; values and walks with DWARF, with BTF, on both kernels."""

import os
import re
from collections import Counter
from collections.abc import Iterator

import pytest
from drgn import Object, Program
from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.list import list_for_each_entry
from drgn.helpers.linux.mapletree import mt_for_each
from drgn.helpers.linux.module import for_each_module
from drgn.helpers.linux.net import for_each_netdev
from drgn.helpers.linux.percpu import per_cpu
from drgn.helpers.linux.pid import find_task, for_each_task
from drgn.helpers.linux.slab import for_each_slab_cache

from kscope.dialect.struct import text
from kscope.kernel.access.names import _types
from kscope.kernel.list import list_
from kscope.kernel.struct import structure
from kscope.kernel.tree import tree
from kscope.model.base import QueryError
from kscope.model.list import ListQuery
from kscope.model.struct import StructQuery
from kscope.model.tree import TreeQuery
from kscope.session.answering import finish
from kscope.target.target import Target
from tests.kernel.test_struct import leaves, value_of
from tests.lab.catalogue import find
from tests.lab.oracle import crash
from tests.on_lab.opening import open_lab

pytestmark = pytest.mark.lab

_OFFSET = re.compile(r"^ *\[([0-9]+)\](.*)$")
_AT_ONCE = 2000


@pytest.fixture
def target(series: str, types: str) -> Target:
    return open_lab("demo", series, types)


def declared_once(target: Target) -> list[str]:
    """Types of which there is one definition: of two, crash may show the other."""
    count = Counter((kind, name) for name, kind in _types(target.program))
    return sorted(
        f"{kind} {name}"
        for (kind, name), times in count.items()
        if times == 1 and kind in ("struct", "union")
    )


_ONE_IN = 40
"""crash takes a quarter of an hour for all of them; KSCOPE_ALL_TYPES=1 and --timeout=0 do that."""


def layout(target: Target, name: str) -> str:
    query = StructQuery(type=name, offsets=True)
    try:
        return text(query, structure(target, query))
    except QueryError:
        return ""


def declarations(printed: str) -> list[tuple[str, str | None]]:
    """Each line's declaration and its offset.

    Inside a structure without a tag that has a name, crash gives no offset, or that of a member
    of the outer structure which happens to have the same name: there it is left out here.
    """
    lines: list[tuple[str, str | None]] = []
    opened: list[int] = []
    for each in printed.splitlines():
        match = _OFFSET.match(each)
        declaration = (match[2] if match else each).strip()
        lines.append((declaration, match[1] if match else None))
        if declaration.endswith("{"):
            opened.append(len(lines) - 1)
        elif declaration.startswith("}") and opened:
            start = opened.pop()
            if declaration not in ("}", "};"):
                lines[start + 1 : -1] = [(text, None) for text, _ in lines[start + 1 : -1]]
    return lines


def test_the_layout_of_types_is_crashs(series: str) -> None:
    target = open_lab("sysrq", series, "dwarf")
    names = declared_once(target)[:: 1 if os.environ.get("KSCOPE_ALL_TYPES") else _ONE_IN]
    different = []
    for first in range(0, len(names), _AT_ONCE):
        some = names[first : first + _AT_ONCE]
        commands = [" -o ".join(name.split()) for name in some]
        printed = crash(find("sysrq", series), commands, timeout=3600)
        for name, theirs in zip(some, printed, strict=True):
            ours = layout(target, name)
            if not ours:
                assert "invalid data structure" in theirs
                continue
            pairs = list(zip(declarations(ours), declarations(theirs.rstrip()), strict=False))
            same = len(declarations(ours)) == len(declarations(theirs.rstrip())) and all(
                # What crash cannot place it leaves without an offset.
                mine[0] == its[0] and (its[1] is None or mine[1] == its[1])
                for mine, its in pairs
            )
            if not same:
                different.append(name)
    assert different == []


def test_the_values_of_every_task_are_drgns(target: Target) -> None:
    for task in for_each_task(target.program):
        query = StructQuery(
            type="struct task_struct", address=f"{task.value_():#x}", elements=8, depth=4
        )
        for member, expected in leaves(structure(target, query).members, task[0]):
            assert member.value == value_of(expected), member.name


def reachable(program: Program) -> Iterator[Object]:
    """Objects of every kind that the tasks, the network, runqueues, slab caches, modules and
    filesystems lead to."""
    for pid in (1, 2):
        task = find_task(program, pid)
        for pointer in (task.signal, task.sighand, task.cred, task.nsproxy, task.files, task.fs,
                        task.thread_pid, task.cgroups, task.sched_task_group):  # fmt: skip
            yield pointer[0]
    init = find_task(program, 1)
    yield from (init.mm[0], init.mm.exe_file[0], init.mm.exe_file.f_inode[0])
    yield init.mm.exe_file.f_path.dentry[0]
    yield program["init_net"]
    yield from (device[0] for device in for_each_netdev(program["init_net"]))
    yield from (per_cpu(program["runqueues"], cpu) for cpu in for_each_possible_cpu(program))
    yield from (cache[0] for cache in for_each_slab_cache(program))
    yield from (module[0] for module in for_each_module(program))
    heads = program["super_blocks"].address_of_()
    yield from (block[0] for block in list_for_each_entry("struct super_block", heads, "s_list"))


def test_the_values_of_what_can_be_reached_are_drgns(target: Target) -> None:
    kinds = set()
    for found in reachable(target.program):
        name = found.type_.type_name()
        query = StructQuery(type=name, address=f"{found.address_:#x}", elements=8, depth=5)
        for member, expected in leaves(structure(target, query).members, found):
            assert member.value == value_of(expected), f"{name} {member.name}"
        kinds.add(name)
    assert len(kinds) >= 18


def test_walks_find_what_drgn_finds(target: Target) -> None:
    found = finish(list_(target, ListQuery(start="init_task.tasks", columns="pid")), None)
    leaders = [
        task.pid.value_() for task in for_each_task(target.program) if task.group_leader == task
    ]
    assert sorted(row.values[0] for row in found.rows) == sorted(leaders)  # type: ignore[type-var]
    areas = finish(tree(target, TreeQuery(start="pid 1.mm.mm_mt")), None)
    mm = find_task(target.program, 1).mm
    assert [row.key for row in areas.rows] == [
        first for first, _, _ in mt_for_each(mm.mm_mt.address_of_())
    ]


def test_a_type_that_only_btf_can_be_asked_for_says_how(series: str) -> None:
    with pytest.raises(QueryError) as raised:
        structure(open_lab("sysrq", series, "dwarf"), StructQuery(type="struct perf_aux_event"))
    assert "without -s" in (raised.value.hint or "")
    without = open_lab("sysrq", series, "btf")
    assert structure(without, StructQuery(type="struct perf_aux_event")).members


def test_of_types_with_one_name_crash_shows_one(series: str) -> None:
    target = open_lab("sysrq", series, "dwarf")
    (printed,) = crash(find("sysrq", series), ["struct -o irq_info"])
    size = re.search(r"SIZE: (\d+)", printed)
    assert size is not None
    said = structure(target, StructQuery(type="struct irq_info", offsets=True)).ambiguity
    assert size[1] in re.findall(r"\d+", said)
