"""The language of the address bar, and what addresses are, on whole and on incomplete dumps."""

import pytest
from drgn.helpers.linux.pid import find_task
from drgn.helpers.linux.slab import slab_object_info

from kscope.kernel.access.symbols import symbols_of
from kscope.kernel.expression.language import Expressions
from kscope.kernel.objects.identify_address import addresses_of
from tests.on_lab.opening import open_lab

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("types", ["btf", "dwarf"])
@pytest.mark.parametrize("text", ["do_exit", "do_exit+0x10", "do_exit.cold", "do_exit.cold+3"])
def test_a_function_that_the_compiler_split_is_code(types: str, text: str) -> None:
    target = open_lab("demo", "6.1", types)
    symbols = symbols_of(target)
    name, _, offset = text.partition("+")
    if not symbols.named(name):
        pytest.skip(f"no symbol {name} without a vmlinux")
    found = Expressions(target).locate(text).place
    assert (found.kind, found.address) == (
        "code", symbols.named(name)[0].address + int(offset or "0", 0),
    )  # fmt: skip


def test_a_task_is_told_where_the_lists_of_free_objects_are_not_in_the_dump() -> None:
    target = open_lab("overfiltered", "6.12", "btf")
    task = find_task(target.program, 1)
    info = slab_object_info(target.program, task)
    assert info is not None
    assert info.allocated is None
    found = addresses_of(target).identify(task.value_() + 8)
    assert (found.kind, found.text) == ("task", "init 1 +0x8")
    inside = addresses_of(target).identify(task.mm.value_())
    assert inside.kind == "slab"
    assert "corrupted" not in inside.text
