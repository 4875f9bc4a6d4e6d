"""C expressions over the kernel's objects, with values known from crash 8.0.6."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscope.model.base import QueryError
from kscope.model.evaluate import EvaluateQuery, Value
from kscope.session.answering import answer
from kscope.target.target import Target


def evaluate(target: Target, expression: str, *, addresses: bool = False) -> Value:
    return answer(target, EvaluateQuery(expression=expression, addresses=addresses))


@pytest.mark.parametrize(
    ("expression", "integer"),
    [
        ("7 / 2", 3),
        ("-7 / 2", -3),
        ("-7 % 3", -1),
        ("1 << 4 | 1 == 1", 17),
        ("5 & 3 ^ 6", 7),
        ("!0 + !1", 1),
        ("010 + 0x10", 24),
        ("1 ? 2 : 3", 2),
        ("2 > 1 && 1 >= 1", 1),
        ("4k + 1", 4097),
        ("'a' + 1", 98),
        ("4294967295 + 1", 4294967296),
        ("0xffffffff + 1", 0),
        ("sizeof(struct page)", 64),
        ("sizeof(init_task.comm)", 16),
        ("(unsigned char)257", 1),
        ("init_task.comm[1]", ord("w")),
        ("((struct task_struct *)0xffff8a7501204180)->pid", 1),
        ("(unsigned long)&init_task & ~7", 0xFFFFFFFFA9A1AA40),
        ("runqueues:2.nr_running + 1", 4),
        ("TASK_COMM_LEN", 16),
    ],
)
def test_arithmetic_is_cs(demo_target: Target, expression: str, integer: int) -> None:
    assert evaluate(demo_target, expression).integer == integer


def test_a_pointer_names_what_it_points_at(demo_target: Target) -> None:
    value = evaluate(demo_target, "&init_task")
    assert (value.type, value.symbol) == ("struct task_struct *", "init_task")


def test_a_per_cpu_variable_without_a_cpu_is_where_it_is_on_each(demo_target: Target) -> None:
    copies = evaluate(demo_target, "runqueues").copies
    assert [copy.cpu for copy in copies] == [0, 1, 2, 3]
    assert copies[0].address == 0xFFFF8A751F031980


def test_a_symbol_stands_for_its_address_when_asked(demo_target: Target) -> None:
    assert evaluate(demo_target, "init_task + 8", addresses=True).integer == 0xFFFFFFFFA9A1AA48
    assert evaluate(demo_target, "ffff8a00", addresses=True).integer == 0xFFFF8A00


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("1/0", "Division by zero"),
        ("1 %0", "Division by zero"),
        ("nosuch", "no symbol"),
        ("1 +", "missing at the end"),
        ("(1", r"\) at the end"),
        ("init_task.nosuch", "no member named nosuch"),
        ("1 << 200", "shift"),
        ("init_task + 1", "cannot be computed"),
        ("*(struct list_head *)0", "Cannot access memory"),
        ("((struct list_head *)8)->next", "cannot be read"),
        ("(" * 500, "nested too deeply"),
        ("1" * 40, "64 bits"),
        ("", "no expression"),
        ("1 2", "not clear"),
    ],
)
def test_what_cannot_be_evaluated_is_a_sentence(
    demo_target: Target, expression: str, said: str
) -> None:
    with pytest.raises(QueryError, match=said):
        evaluate(demo_target, expression)


@settings(max_examples=400, deadline=None)
@given(
    st.text(
        st.one_of(
            st.sampled_from("0123456789abcxinit_task.->*&()+-/%<>=!?:[]'~^|, "), st.characters()
        ),
        max_size=40,
    ),
    st.booleans(),
)
def test_whatever_is_typed_is_a_value_or_a_sentence(
    demo_target: Target, expression: str, addresses: bool
) -> None:
    with contextlib.suppress(QueryError):
        assert evaluate(demo_target, expression, addresses=addresses).expression is not None
