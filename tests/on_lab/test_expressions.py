"""The language of the address bar."""

import pytest

from kscope.kernel.access.symbols import symbols_of
from kscope.kernel.expression.language import Expressions
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
