"""What the address bar takes, as drgn code: it leads where kscope leads."""

from typing import Any

import pytest

from kscope.dialect import drgn_code
from kscope.dialect.drgn_code import DrgnCode, UnknownExpressionError
from kscope.kernel.evaluate import evaluate
from kscope.kernel.expressions import place
from kscope.model.evaluate import EvaluateQuery
from kscope.model.expressions import PlaceQuery
from kscope.target.target import Target


def run(target: Target, code: DrgnCode, **names: Any) -> Any:
    program = drgn_code.imports(code.names) + code.setup + f"result = {code.text}\n"
    scope = {"prog": target.program, **names}
    exec(program, scope)
    return scope["result"]


@pytest.mark.parametrize(
    "text",
    [
        "init_task", "&init_task", "init_task+8", "schedule+0x20", "pid 1", "pid 1.mm",
        "init_task.comm[3]", "init_task.children.next", "*init_task.parent", "init_net.list",
        "&init_net.dev_base_head", "runqueues:1", "runqueues:1.curr", "per_cpu(runqueues, 1).cfs",
        "per_cpu_ptr(&runqueues, 2)", "pid 1.signal->rlim[3].rlim_cur", "(init_task).tasks",
        "((struct task_struct *)pid 1)->real_parent", "list_head init_task.children.next",
        "struct task_struct init_task", "task_struct.pid,comm pid 1", "storlab_list",
        "container_of(init_task.tasks.next, struct task_struct, tasks)",
        "ffffffff81000000", "0xffff888000001000", "(init_task + 8) - 8",
        "((struct task_struct *)&init_task + 0)->tasks", "*(&init_task.tasks + 0)",
    ],
)  # fmt: skip
def test_the_address_is_kscopes(demo_target: Target, text: str) -> None:
    expected = place(demo_target, PlaceQuery(text=text)).address
    assert run(demo_target, drgn_code.address(text)) == expected


def test_a_variable_that_is_a_pointer_is_followed_where_a_list_begins(demo_target: Target) -> None:
    child = demo_target.program["init_task"].children.next.value_()
    assert run(demo_target, drgn_code.pointed("init_task.children.next")) == child


def test_the_copies_of_all_cpus_are_run_through(demo_target: Target) -> None:
    code = drgn_code.object_("runqueues:0,2-3.cpu")
    assert code.cpus == "[0, 2, 3]"
    assert [run(demo_target, code, cpu=cpu).value_() for cpu in (0, 2, 3)] == [0, 2, 3]


@pytest.mark.parametrize("text", ["", "a b c", "[[", "x ? y : z", "sizeof(struct page)", "&&"])
def test_what_it_cannot_translate_it_refuses(text: str) -> None:
    with pytest.raises(UnknownExpressionError):
        drgn_code.object_(text)


@pytest.mark.parametrize(
    "text",
    [
        "nr_cpu_ids + 1", "nr_cpu_ids - 1", "1 + nr_cpu_ids", "init_task.prio - 100", "-nr_cpu_ids",
        "(1 + 2) - nr_cpu_ids", "10 - (nr_cpu_ids - 1)", "*((int *)&nr_cpu_ids + 0)",
        "((struct task_struct *)&init_task + 0)->prio", "init_task.comm[nr_cpu_ids - 4]",
        "runqueues:1.cpu + 1", "&init_task + 1", "init_task.comm + 1",
    ],
)  # fmt: skip
def test_in_c_a_variable_is_its_value(demo_target: Target, text: str) -> None:
    expected = evaluate(demo_target, EvaluateQuery(expression=text)).integer
    code = drgn_code.object_(text, in_c=True)
    assert run(demo_target, code).value_() == expected


@pytest.mark.parametrize("text", ["jiffies + runqueues:0-1.cpu", "init_task.comm[runqueues:a.cpu]"])
def test_what_is_added_is_of_one_cpu(text: str) -> None:
    with pytest.raises(UnknownExpressionError):
        drgn_code.object_(text)
