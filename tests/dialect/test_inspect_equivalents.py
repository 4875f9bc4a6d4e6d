"""What Inspect's views offer for drgn runs, and says what kscope says."""

import contextlib
import io
from typing import Any

import pytest
from drgn import offsetof
from drgn.helpers.linux.percpu import per_cpu
from drgn.helpers.linux.pid import find_task

from kscope.dialect import views
from kscope.dialect.views import Equivalent
from kscope.kernel.access.symbols import symbols_of
from kscope.kernel.search import search
from kscope.model.address import AddressQuery
from kscope.model.base import Query
from kscope.model.code import CodeQuery
from kscope.model.list import ListQuery
from kscope.model.memory import MemoryQuery
from kscope.model.search import SearchQuery
from kscope.model.struct import StructQuery
from kscope.model.tree import TreeQuery
from kscope.session.answering import answer, finish
from kscope.target.target import Target


def equivalent(query: Query[Any]) -> Equivalent:
    return views.equivalent(query)


def run(target: Target, query: Query[Any]) -> str:
    return printed(target, equivalent(query))


def run_answered(target: Target, query: Query[Any]) -> str:
    return printed(target, views.equivalent(query, answer(target, query)))


def printed(target: Target, equivalent: Equivalent) -> str:
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(equivalent.drgn, {"prog": target.program})
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


def test_members_of_several_objects_one_behind_the_other(demo_target: Target) -> None:
    query = StructQuery(type="list_head", address="&init_task.children", count=3, members="next")
    children = demo_target.program["init_task"].children.next
    printed = [line for line in run(demo_target, query).splitlines() if line.startswith("*")]
    assert len(printed) == 3
    assert f"{children.value_():#x}" in printed[0]


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("by", ["tasks", "task_struct.tasks", "offset"])
def test_an_object_by_an_address_in_it(demo_target: Target, by: str, count: int) -> None:
    offset = offsetof(demo_target.program.type("struct task_struct"), "tasks")
    query = StructQuery(
        type="task_struct", address="init_task.tasks", members="comm", count=count,
        embedded=str(offset) if by == "offset" else by,
    )  # fmt: skip
    printed = run(demo_target, query)
    assert '"swapper/0"' in printed
    assert printed.count("(char [16])") == count


@pytest.mark.parametrize(
    ("type_", "cast"),
    [
        ("char[16]", "char (*)[16]"), ("char [16]", "char (*)[16]"), ("gid_t[3]", "gid_t (*)[3]"),
        ("list_head[2]", "struct list_head (*)[2]"), ("list_head *", "struct list_head **"),
        ("struct list_head *", "struct list_head **"), ("__be32", "__be32 *"), ("u8 *", "u8 **"),
    ],
)  # fmt: skip
def test_what_is_no_structure(demo_target: Target, type_: str, cast: str) -> None:
    query = StructQuery(type=type_, address="init_task.tasks")
    assert equivalent(query).crash == f"p *({cast})&init_task.tasks"
    assert run(demo_target, query).strip()


@pytest.mark.parametrize("start", ["jiffies", "&jiffies"])
def test_what_is_no_structure_by_a_variable_that_lies_there(start: str) -> None:
    assert equivalent(StructQuery(type="u64", address=start)).crash == "p *(u64 *)&jiffies"


@pytest.mark.parametrize("start", ["jiffies", "log_buf"])
def test_an_array_of_a_named_type_begins_where_it_was_walked(
    demo_target: Target, start: str
) -> None:
    """At the variable, also where that is a pointer."""
    query = ListQuery(start=start, kind="array", entry="u64", length=4)
    address = demo_target.program[start].address_
    assert crash_of(demo_target, query) == f"p *(u64 (*)[4]){address:#x}"
    assert run_answered(demo_target, query).startswith(f"{address:#x} ")


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


def test_a_search_of_all_memory_passes_over_what_was_left_out(
    demo_target: Target, init: str
) -> None:
    query = SearchQuery(value=init)
    found = finish(search(demo_target, query), None).hits
    direct = {f"{int(hit.address):#x}" for hit in found if hit.kind in ("task", "slab")}
    assert direct
    assert direct <= set(run(demo_target, query).split())


def test_a_search_of_stacks(demo_target: Target) -> None:
    query = SearchQuery(value="init_task", stacks=True, mask="7")
    found = {f"{int(hit.address):#x}" for hit in finish(search(demo_target, query), None).hits}
    printed = run(demo_target, query)
    assert found == {line.split()[-1] for line in printed.splitlines()}
    assert equivalent(query).crash == "search -t -m 7 init_task"


def test_memory_of_which_a_page_is_missing(demo_target: Target) -> None:
    # The guard page below a stack that vmalloc() mapped.
    stack = find_task(demo_target.program, 1).stack.value_()
    for symbols in (False, True):
        query = MemoryQuery(address=f"{stack - 32:#x}", count=8, symbols=symbols)
        assert f"{stack:x}" in run(demo_target, query)


@pytest.mark.parametrize(
    "query",
    [
        StructQuery(type="init_task.comm"), StructQuery(type="jiffies"), StructQuery(type="pid 1"),
        StructQuery(type="enum pid_type", offsets=True), StructQuery(type="pid_t", offsets=True),
        StructQuery(type="task_struct.se.load", offsets=True), StructQuery(type="runqueues:1.curr"),
        StructQuery(type="rq", address="runqueues:0,2-3", members="cpu"),
        StructQuery(type="rq", address="runqueues:0-1", members="cpu", count=2),
        StructQuery(type="list_head", address="&init_task.children", count=3),
        StructQuery(type="u64", address="jiffies"),
        StructQuery(type="*init_task.parent", members="comm"),
        AddressQuery(address="0xdead000000000100"), AddressQuery(address="init_task.tasks"),
        AddressQuery(address="0x1000000", physical=True), AddressQuery(address="0x0", task="pid 1"),
        CodeQuery(start="schedule+5", reverse=True), CodeQuery(start="storlab_hrtimer_fn"),
        ListQuery(start="pid 2.children", entry="task_struct.sibling", columns="comm"),
        ListQuery(start="runqueues:a", kind="per-cpu", columns="cpu"),
        TreeQuery(start="struct mm_struct pid 1.mm", kind="maple"),
        TreeQuery(start="init_pid_ns.idr", kind="radix", entry="pid", columns="level"),
    ],
    ids=lambda query: str(list(filter(None, (getattr(query, f) for f in query.__struct_fields__)))),
)  # fmt: skip
def test_the_code_of_everything_that_can_be_asked_for_runs(
    demo_target: Target, query: Query[Any]
) -> None:
    assert run_answered(demo_target, query).strip()


def crash_of(target: Target, query: Query[Any]) -> str:
    return views.equivalent(query, answer(target, query)).crash


def test_a_variable_is_shown_by_type_and_address(demo_target: Target) -> None:
    init = demo_target.program["init_task"].address_
    assert crash_of(demo_target, StructQuery(type="init_task")) == f"struct task_struct {init:x}"
    assert crash_of(demo_target, StructQuery(type="panic_timeout")) == "p panic_timeout"
    assert crash_of(demo_target, StructQuery(type="task_struct")) == "struct task_struct"


def test_a_name_that_may_be_a_type_or_a_variable_is_a_command_for_both() -> None:
    assert equivalent(StructQuery(type="init_task")).crash == "whatis init_task"


def test_what_start_is_decides_how_it_is_walked(demo_target: Target) -> None:
    assert equivalent(ListQuery(start="modules")) == Equivalent(
        "", "", "what START is decides how it is walked"
    )
    modules = demo_target.program["modules"].address_
    query = ListQuery(start="modules")
    assert crash_of(demo_target, query) == f"list -H -o module.list {modules:x}"
    assert "storlab" not in run_answered(demo_target, query)


def test_an_array_without_a_kind_is_no_list(demo_target: Target) -> None:
    table = demo_target.program["sys_call_table"]
    lines = run_answered(demo_target, ListQuery(start="sys_call_table")).splitlines()
    assert lines[0].startswith(f"{table.address_:#x} ")
    assert len([line for line in lines if line.startswith("0x")]) == len(table)
    assert crash_of(demo_target, ListQuery(start="sys_call_table")) == "p sys_call_table"


def test_copies_of_a_pointer_are_the_pointers(demo_target: Target) -> None:
    lines = run_answered(demo_target, StructQuery(type="current_task")).splitlines()
    assert "(struct task_struct *)0x" in lines[0]
    tasks = ListQuery(start="current_task", entry="task_struct", columns="pid")
    assert len(answer(demo_target, tasks).rows) == 4
    assert run_answered(demo_target, tasks).count("(pid_t)") == 4


def test_of_a_list_that_breaks_before_its_first_element_no_code_is_offered(
    demo_target: Target,
) -> None:
    query = ListQuery(start="storlab_pointers", kind="list")
    walk = answer(demo_target, query)
    assert not walk.rows
    assert walk.broken is not None
    assert not views.equivalent(query, walk).drgn


@pytest.mark.parametrize(
    ("query", "crash"),
    [
        (StructQuery(type="pid 1", members="pid,comm"), "struct task_struct.pid,comm {task:x}"),
        (StructQuery(type="pid 1.thread_pid.numbers[0]"), "struct upid {upid:x}"),
        (StructQuery(type="pid 1.in_execve"), "struct task_struct.in_execve {task:x}"),
        (StructQuery(type="task_struct.pid,comm pid 1"), "struct task_struct.pid,comm {task:x}"),
        (StructQuery(type="unsigned long jiffies"), "p *(unsigned long *){jiffies:#x}"),
        (StructQuery(type="runqueues:a", members="cpu"), "struct rq.cpu runqueues:a"),
        (StructQuery(type="runqueues:1", members="cpu"), "struct rq.cpu {rq:x}"),
        (StructQuery(type="enum pid_type"), "whatis enum pid_type"),
        (MemoryQuery(address="pid 1", count=2), "rd {task:x} 2"),
        (AddressQuery(address="pid 1"), "kmem {task:x}"),
        (AddressQuery(address="runqueues:1"), "kmem {rq:x}"),
        (SearchQuery(value="pid 1", stacks=True), "search -t {task:x}"),
        (SearchQuery(value="16", stacks=True, bits=32), "search -t -w 00000010"),
        (
            ListQuery(start="init_task.children", entry="task_struct", columns="pid"),
            "list -s task_struct.pid -H -o task_struct.sibling {children:x}",
        ),
    ],
)
def test_crash_is_told_in_its_own_words(demo_target: Target, query: Query[Any], crash: str) -> None:
    task = find_task(demo_target.program, 1)
    assert crash_of(demo_target, query) == crash.format(
        task=task.value_(),
        upid=task.thread_pid.numbers[0].address_,
        jiffies=demo_target.program["jiffies"].address_,
        rq=per_cpu(demo_target.program["runqueues"], 1).address_,
        children=demo_target.program["init_task"].children.address_,
    )
    assert run_answered(demo_target, query).strip()


def test_the_code_for_a_functions_clone_does_not_take_it_for_a_member(demo_target: Target) -> None:
    symbols = symbols_of(demo_target)
    clone = next(s for s in symbols.all() if ".part." in s.name and symbols.is_code(s))
    for query in (
        CodeQuery(start=clone.name, count=1),
        MemoryQuery(address=clone.name, count=1),
        AddressQuery(address=clone.name),
    ):
        assert f"{clone.address:x}" in run_answered(demo_target, query)


def test_of_copies_the_chosen_members_are_asked_for(demo_target: Target) -> None:
    query = ListQuery(start="runqueues:a", kind="per-cpu", columns="cpu,nr_running")
    assert crash_of(demo_target, query) == "struct rq.cpu,nr_running runqueues:a"


def test_before_a_functions_beginning_is_nothing_that_crash_leaves_out(
    demo_target: Target,
) -> None:
    start = demo_target.program.symbol("schedule").address
    notes = []
    for address in (start, start + 4):
        query = CodeQuery(start=f"{address:#x}")
        notes.append(views.equivalent(query, answer(demo_target, query)).note)
    assert notes[0] == ""
    assert "what is before it" in notes[1]
