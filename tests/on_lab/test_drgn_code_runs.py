"""What is offered as drgn code runs, whatever kind of symbol it was asked about."""

import contextlib
import io
import re
from collections.abc import Iterator
from typing import Any

import drgn
import pytest

from kscope.dialect import views
from kscope.model.address import AddressQuery
from kscope.model.base import Query, QueryError
from kscope.model.code import CodeQuery
from kscope.model.evaluate import EvaluateQuery
from kscope.model.list import ListQuery, Walk
from kscope.model.memory import MemoryQuery
from kscope.model.search import SearchQuery
from kscope.model.struct import StructQuery
from kscope.model.tree import TreeQuery
from kscope.session.answering import answer
from kscope.target.target import Target
from tests.on_lab.opening import open_lab

pytestmark = pytest.mark.lab

SYMBOLS = (
    # Arrays: of functions, characters, pointers, structures, lists, of one's own typedefs.
    "sys_call_table", "linux_banner", "major_names", "node_data", "chrdevs", "idt_table",
    "css_set_table", "softirq_vec", "__per_cpu_offset", "saved_command_line", "init_task.comm",
    # Structures and what is in them.
    "init_task", "init_net", "init_mm", "init_pid_ns", "init_uts_ns", "iomem_resource",
    "cgroup_roots", "init_task.children", "init_mm.mm_mt", "init_pid_ns.idr", "&init_task",
    # Lists of each kind, empty ones too.
    "modules", "super_blocks", "workqueues", "init_task.tasks", "uidhash_table[0]",
    "delayed_fput_list", "cpu_latency_constraints.list", "swap_active_head",
    # Numbers, pointers and enumerations.
    "jiffies", "panic_timeout", "nr_threads", "panic_cpu", "system_state", "max_pfn",
    "log_buf", "file_systems", "page_offset_base", "dentry_hashtable",
    # Per-CPU variables: structures, arrays, numbers, pointers, heads of lists.
    "runqueues", "timer_bases", "irq_stat", "current_task", "call_single_queue",
    # Code, and symbols of which nothing says the type.
    "schedule", "do_exit", "_printk", "_text", "_end", "swapper_pg_dir", "storlab_list",
    # Types.
    "task_struct", "list_head", "idr", "pid_t",
)  # fmt: skip


def queries(symbol: str) -> Iterator[Query[Any]]:
    yield ListQuery(start=symbol)
    yield ListQuery(start=symbol, kind="array")
    yield ListQuery(start=symbol, kind="per-cpu")
    yield ListQuery(start=f"{symbol}:a")
    yield TreeQuery(start=symbol)
    yield StructQuery(type=symbol)
    yield StructQuery(type=symbol, offsets=True)
    yield StructQuery(type=f"{symbol}:1")
    yield StructQuery(type="list_head", address=symbol)
    yield MemoryQuery(address=symbol, count=8)
    yield MemoryQuery(address=symbol, count=8, symbols=True)
    yield CodeQuery(start=symbol)
    yield CodeQuery(start=symbol, count=5)
    yield AddressQuery(address=symbol)
    yield SearchQuery(value=symbol, stacks=True, mask="7")
    yield EvaluateQuery(expression=symbol)


def printed(target: Target, code: str) -> str:
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(code, {"prog": target.program})
    return output.getvalue()


@pytest.mark.parametrize(
    ("name", "series", "types"),
    [("stuck-cpus", "6.12", "btf"), ("stuck-cpus", "6.12", "dwarf"), ("io-stuck", "6.1", "btf")],
)
def test_what_is_offered_runs(name: str, series: str, types: str) -> None:
    target = open_lab(name, series, types)
    drgn.set_default_prog(target.program)
    failures, ran = [], 0
    try:
        for symbol in SYMBOLS:
            for query in queries(symbol):
                try:
                    result = answer(target, query)
                except QueryError:
                    continue
                offered = views.equivalent(query, result)
                try:
                    text = printed(target, offered.drgn)
                except Exception as error:
                    failures.append(f"{query}: {type(error).__name__}: {error}")
                    continue
                ran += bool(offered.drgn)
                if isinstance(result, Walk) and offered.drgn:
                    missing = {f"{row.entry:x}" for row in result.rows} - set(
                        re.findall(r"\b0x([0-9a-f]+)\b", text)
                    )
                    failures += [f"{query}: {len(missing)} elements are missing"] if missing else []
    finally:
        drgn.set_default_prog(None)
    assert not failures, "\n".join(failures)
    assert ran > 4 * len(SYMBOLS)
