"""What needs the kernel's types says why there are none."""

import drgn
import pytest

from kscope.model.base import QueryError
from kscope.model.target import DebugInfo, TypesFrom
from kscope.target.target import Target
from kscope.target.vmcoreinfo import Vmcoreinfo
from tests.session.slow_worker import IDENTITY


def target(types: TypesFrom) -> Target:
    debug_info = DebugInfo(
        types=types, vmlinux="", searched=(), missing=("This kernel has no BTF.",), fetch=()
    )
    return Target(drgn.Program(), IDENTITY, Vmcoreinfo(), 0, debug_info)


def test_without_types_it_is_one_sentence_with_what_to_do() -> None:
    with pytest.raises(QueryError) as caught:
        target("none").need_types("Tasks")
    assert caught.value.sentence == (
        "Tasks cannot be read without the kernel's types: This kernel has no BTF."
    )
    assert "-s VMLINUX" in caught.value.hint
    assert caught.value.kind == "no-types"


@pytest.mark.parametrize("types", ["btf", "dwarf"])
def test_with_types_nothing_is_said(types: TypesFrom) -> None:
    target(types).need_types("Tasks")
