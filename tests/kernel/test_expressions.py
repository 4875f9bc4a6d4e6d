"""The language of the address bar, on the bundled dump."""

import contextlib
import re

import pytest
from drgn import TypeKind
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kscope.kernel.access.symbols import symbols_of
from kscope.kernel.expression.language import Expressions
from kscope.kernel.expressions import completion
from kscope.model.base import QueryError
from kscope.model.expressions import CompletionQuery, Place
from kscope.session.answering import finish
from kscope.target.target import Target


@pytest.fixture(scope="module")
def expressions(demo_target: Target) -> Expressions:
    return Expressions(demo_target)


def place(expressions: Expressions, text: str) -> Place:
    return expressions.locate(text).place


def init(target: Target) -> int:
    from drgn.helpers.linux.pid import find_task

    address: int = find_task(target.program, 1).value_()
    return address


def test_a_variable_is_an_object_of_its_type(expressions: Expressions, demo_target: Target) -> None:
    found = place(expressions, "init_task")
    assert (found.kind, found.type) == ("object", "struct task_struct")
    assert found.address == demo_target.program["init_task"].address_
    assert found.expression == "&init_task"


def test_an_address_may_be_written_with_0x_and_without(
    expressions: Expressions, demo_target: Target
) -> None:
    address = init(demo_target)
    assert place(expressions, f"{address:x}") == place(expressions, f"{address:#x}")
    assert place(expressions, f"{address:#x}").type == "struct task_struct"


def test_a_pid_is_its_task(expressions: Expressions, demo_target: Target) -> None:
    assert place(expressions, "pid 1").address == init(demo_target)


def test_a_type_before_an_address_says_what_is_there(
    expressions: Expressions, demo_target: Target
) -> None:
    found = place(expressions, f"task_struct.pid,comm {init(demo_target):#x}")
    assert (found.type, found.members) == ("struct task_struct", "pid,comm")


def test_a_type_alone_is_a_type(expressions: Expressions) -> None:
    assert place(expressions, "struct list_head").kind == "type"
    assert place(expressions, "task_struct").kind == "type"


def test_an_offset_after_a_symbol_counts_bytes(
    expressions: Expressions, demo_target: Target
) -> None:
    start = demo_target.program.symbol("jiffies").address
    assert place(expressions, "jiffies+8").address == start + 8
    code = place(expressions, "schedule+0x20")
    assert code.kind == "code"
    assert code.address == demo_target.program.symbol("schedule").address + 0x20


def test_a_member_path_leads_to_the_member(expressions: Expressions, demo_target: Target) -> None:
    head = demo_target.program["init_net"].dev_base_head.address_
    assert place(expressions, "&init_net.dev_base_head").address == head


def test_a_member_path_follows_pointers(expressions: Expressions, demo_target: Target) -> None:
    from drgn.helpers.linux.pid import find_task

    owner = find_task(demo_target.program, 1).mm.owner
    assert place(expressions, "pid 1.mm.owner").address == owner.address_


def test_c_that_is_copied_can_be_typed_again(expressions: Expressions, demo_target: Target) -> None:
    text = f"((struct task_struct *){init(demo_target):#x})->mm->owner"
    found = place(expressions, text)
    assert place(expressions, found.expression).address == found.address


def test_a_cpu_after_a_per_cpu_variable_chooses_its_copy(
    expressions: Expressions, demo_target: Target
) -> None:
    from drgn.helpers.linux.percpu import per_cpu

    expected = per_cpu(demo_target.program["runqueues"], 2).address_
    assert place(expressions, "runqueues:2").address == expected
    every = place(expressions, "runqueues:a")
    assert [copy.cpu for copy in every.copies] == [0, 1, 2, 3]
    assert every.copies[2].address == expected


def test_a_per_cpu_variable_without_a_cpu_is_all_its_copies(expressions: Expressions) -> None:
    assert place(expressions, "runqueues") == place(expressions, "runqueues:a")


def test_a_member_of_a_per_cpu_variable_needs_a_cpu(expressions: Expressions) -> None:
    with pytest.raises(QueryError, match="per-CPU variable") as refused:
        place(expressions, "runqueues.curr")
    assert "runqueues:a" in refused.value.hint


def test_a_misspelt_name_gets_one_that_is_near(expressions: Expressions) -> None:
    with pytest.raises(QueryError, match="task_stuct") as refused:
        place(expressions, "task_stuct")
    assert "task_struct" in refused.value.hint


def test_a_member_of_null_is_not_followed(expressions: Expressions) -> None:
    with pytest.raises(QueryError, match=r"init_task\.mm is NULL"):
        place(expressions, "init_task.mm.pgd")


def test_a_bit_field_is_shown_in_its_structure(expressions: Expressions) -> None:
    found = place(expressions, "init_task.in_iowait")
    assert (found.type, found.members) == ("struct task_struct", "in_iowait")


_WORDS = st.sampled_from(
    ["init_task", "task_struct", "struct", "runqueues", ":", "a", ".", "->", "[", "]", "(", ")",
     "*", "&", "+", "-", "0x10", "ffff8a7501204180", "pid", "1", "mm", "comm", ",", " ", "schedule",
     "per_cpu", "container_of", "$", "é", "\x1b", "union", "enum", "void", "0", "999999999999"]
)  # fmt: skip


@settings(deadline=None, max_examples=300, suppress_health_check=list(HealthCheck))
@given(text=st.one_of(st.text(max_size=60), st.lists(_WORDS, max_size=14).map("".join)))
def test_no_input_is_answered_by_anything_but_a_place_or_a_sentence(
    expressions: Expressions, text: str
) -> None:
    with contextlib.suppress(QueryError):
        assert place(expressions, text).expression


def candidates(target: Target, text: str) -> list[str]:
    found = finish(completion(target, CompletionQuery(text=text)), None)
    return [candidate.text for candidate in found.candidates]


def test_symbols_and_types_complete(demo_target: Target) -> None:
    assert "init_task" in candidates(demo_target, "init_t")
    assert "task_struct" in candidates(demo_target, "task_s")


def test_only_types_complete_after_struct(demo_target: Target) -> None:
    found = finish(completion(demo_target, CompletionQuery(text="struct mute")), None)
    assert {candidate.kind for candidate in found.candidates} <= {
        "struct", "union", "typedef", "enum",
    }  # fmt: skip
    assert "struct mutex" in [candidate.text for candidate in found.candidates]


def test_members_complete_after_a_dot_and_after_a_comma(demo_target: Target) -> None:
    assert candidates(demo_target, "init_task.real_p") == ["init_task.real_parent"]
    assert "task_struct.pid,comm" in candidates(demo_target, "task_struct.pid,com")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("runqueues:-1", "CPUs are counted from 0."),
        ("runqueues:3-1", "3-1 is no range of CPUs."),
        ("runqueues:999", "There is no CPU 999."),
        ("pid 0", "Each CPU has an idle task with PID 0."),
        ("pid 999999999999999999999", "There is no task with PID 999999999999999999999."),
    ],
)
def test_a_cpu_or_pid_that_cannot_be_is_said_in_a_sentence(
    expressions: Expressions, text: str, sentence: str
) -> None:
    with pytest.raises(QueryError, match=f"^{sentence}"):
        place(expressions, text)


def test_a_letter_that_is_missing_inside_a_name_is_found(expressions: Expressions) -> None:
    with pytest.raises(QueryError) as caught:
        place(expressions, "tsk_struct")
    assert "task_struct" in caught.value.hint


def test_near_a_type_are_types_only(expressions: Expressions, demo_target: Target) -> None:
    with pytest.raises(QueryError) as caught:
        place(expressions, "struct modul")
    near = re.findall(r"\w+", caught.value.hint.removeprefix("Near it:"))
    assert near[0] == "module"
    assert all(expressions.type_named(name, must=False) is not None for name in near)


def test_a_types_name_may_have_several_words(expressions: Expressions, demo_target: Target) -> None:
    found = place(expressions, "unsigned long jiffies")
    assert (found.type, found.address) == (
        "unsigned long", demo_target.program["jiffies"].address_,
    )  # fmt: skip


def test_a_functions_clone_is_no_member_of_it(
    expressions: Expressions, demo_target: Target
) -> None:
    program, symbols = demo_target.program, symbols_of(demo_target)

    def is_function(name: str) -> bool:
        try:
            return program[name].type_.kind is TypeKind.FUNCTION
        except LookupError:
            return False

    clone = next(
        each
        for each in symbols.all()
        if "." in each.name[1:] and symbols.is_code(each) and is_function(each.name.split(".")[0])
    )
    assert place(expressions, f"{clone.name}+0x1").address == clone.address + 1
