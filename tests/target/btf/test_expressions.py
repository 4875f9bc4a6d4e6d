"""Types of global variables survive being written as text and read in another program."""

from __future__ import annotations

import pytest
from drgn import Architecture, Platform, Program, Type, TypeKind, TypeKindSet

from kscope.target.btf.expressions import Reader, write
from kscope.target.btf.format import Btf
from kscope.target.btf.globals import TABLE
from kscope.target.btf.types import TypeBuilder
from tests.target.btf.blob import small_kernel


def reader() -> Reader:
    """Reads the notation into the types of the small kernel."""
    prog = Program(Platform(Architecture.X86_64))
    types = TypeBuilder(prog, Btf(small_kernel().bytes()))

    def find(_prog: Program, kinds: TypeKindSet, name: str, _file: str | None) -> Type | None:
        for type_id in range(1, types.btf.end_id):
            if types.btf.name(type_id) == name:
                found = types.type(type_id)
                if found.kind in kinds:
                    return found
        return None

    def find_anonymous(keyword: str, names: tuple[str, ...]) -> Type | None:
        return types.type(6) if (keyword, names) == ("struct", ("counter",)) else None

    prog.register_type_finder("test", find, enable_index=0)
    return Reader(prog, find_anonymous)


@pytest.mark.parametrize(
    ("expression", "declaration"),
    [
        ("int", "int"),
        ("unsigned long", "unsigned long"),
        ("atomic_t", "atomic_t"),
        ("struct list_head", "struct list_head"),
        ("*struct list_head", "struct list_head *"),
        ("[16]*const char", "const char *[16]"),
        ("const *char", "char * const"),
        ("[]struct list_head", "struct list_head []"),
        ("[4][2]enum state", "enum state [4][2]"),
        ("*[4]int", "int (*)[4]"),
        ("volatile unsigned long", "volatile unsigned long"),
        ("*func(*union value,int)void", "void (*)(union value *, int)"),
        ("[3]*func(*const char,...)int", "int (*[3])(const char *, ...)"),
        ("*func()*void", "void *(*)(void)"),
        ("struct{counter}", "struct <anonymous>"),
        ("const [2]const struct{counter}", "const struct <anonymous> [2]"),
    ],
)
def test_an_expression_reads_as_its_declaration(expression: str, declaration: str) -> None:
    drgn_type = reader().read(expression)
    assert drgn_type.type_name() == declaration
    assert write(drgn_type) == expression


@pytest.mark.parametrize("expression", ["struct nothing", "nothing_t", "struct{other}", "*enum no"])
def test_a_type_that_the_dump_does_not_have_is_not_found(expression: str) -> None:
    with pytest.raises(LookupError):
        reader().read(expression)


@pytest.mark.parametrize("expression", ["", "*", "[x]int", "func(int", "int int)", "int;", "[2]"])
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises((ValueError, LookupError, SyntaxError)):
        reader().read(expression)


def test_every_expression_of_the_table_can_be_read() -> None:
    prog = Program(Platform(Architecture.X86_64))

    def find(_prog: Program, kinds: TypeKindSet, name: str, _file: str | None) -> Type | None:
        if TypeKind.STRUCT in kinds:
            return prog.struct_type(name, 8, ())
        if TypeKind.UNION in kinds:
            return prog.union_type(name, 8, ())
        if TypeKind.ENUM in kinds:
            return prog.enum_type(name)
        return (
            prog.typedef_type(name, prog.int_type("int", 4, True))
            if (TypeKind.TYPEDEF in kinds)
            else None
        )

    prog.register_type_finder("test", find, enable_index=0)
    anonymous = prog.struct_type(None, 8, ())
    everything = Reader(prog, lambda *_: anonymous)
    _header, *lines = TABLE.read_text().splitlines()
    expressions = {
        expression
        for line in lines
        for expression in line.split("\t")[1:]
        if expression not in "=-"
    }

    assert len(expressions) > 1000
    for expression in expressions:
        assert everything.read(expression) is not None


def test_the_table_is_sorted_as_it_is_searched() -> None:
    lines = TABLE.read_bytes().splitlines()
    assert lines[0].startswith(b"#\t")
    assert lines == sorted(lines)
    assert {line.count(b"\t") for line in lines} == {lines[0].count(b"\t")}
