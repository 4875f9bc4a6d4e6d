"""A module's per-CPU variable is one as the kernel's are, with the module's DWARF and without."""

import pytest

from kscope.kernel.expression.language import Expressions
from kscope.model.evaluate import EvaluateQuery
from kscope.session.answering import answer
from tests.on_lab.opening import SERIES, open_lab

pytestmark = [
    pytest.mark.lab,
    pytest.mark.parametrize("types", ["btf", "dwarf"]),
    pytest.mark.parametrize("series", SERIES),
]

VALUES = [1000, 1001, 1002, 1003]
"""What the guest's module has put into the copy of each CPU."""


def test_without_a_cpu_it_is_all_its_copies(series: str, types: str) -> None:
    target = open_lab("io-stuck", series, types)
    place = Expressions(target).locate("storlab_per_cpu").place
    assert [target.program.read_u64(copy.address) for copy in place.copies] == VALUES


def test_its_value_without_a_cpu_is_where_it_is_on_each(series: str, types: str) -> None:
    target = open_lab("io-stuck", series, types)
    copies = answer(target, EvaluateQuery(expression="storlab_per_cpu")).copies
    assert [target.program.read_u64(copy.address) for copy in copies] == VALUES


def test_a_cpu_chooses_its_copy(series: str, types: str) -> None:
    target = open_lab("io-stuck", series, types)
    assert answer(target, EvaluateQuery(expression="storlab_per_cpu:2")).integer == 1002
