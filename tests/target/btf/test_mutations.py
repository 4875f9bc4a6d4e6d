"""Whatever bytes stand where BTF should: types, or one sentence, and soon."""

from __future__ import annotations

from datetime import timedelta

from drgn import Architecture, Platform, Program, Type, TypeKind
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kscope.target.btf.errors import BtfError
from kscope.target.btf.format import Btf, Kind
from kscope.target.btf.types import TypeBuilder
from tests.target.btf.blob import header, small_kernel

_SOUND = small_kernel().bytes()
_SOON = timedelta(seconds=2)
_NOT_TYPES = (Kind.FUNC, Kind.VAR, Kind.DATASEC, Kind.DECL_TAG)

mutations = st.lists(
    st.tuples(st.integers(0, len(_SOUND) - 1), st.integers(0, 255)), min_size=1, max_size=4
)


def read_everything(data: bytes) -> None:
    """Build every type and open every member, as drgn would for its user."""
    types = TypeBuilder(Program(Platform(Architecture.X86_64)), Btf(data))
    for kind in Kind:
        types.find(kind, "task")
    for type_id in range(1, types.btf.end_id):
        if types.btf.kind(type_id) not in _NOT_TYPES:
            open_members(types.type(type_id))


def open_members(drgn_type: Type) -> None:
    str(drgn_type)
    if drgn_type.kind in (TypeKind.STRUCT, TypeKind.UNION):
        drgn_type.has_member("no such member")
        for member in drgn_type.members or ():
            assert member.type is not None
    elif drgn_type.kind == TypeKind.FUNCTION:
        for parameter in drgn_type.parameters:
            assert parameter.type is not None


def complaint(data: bytes) -> str:
    try:
        read_everything(data)
    except BtfError as error:
        return error.sentence
    return "None."


@settings(deadline=_SOON, max_examples=400)
@given(mutations)
@example([(155, 19)])  # an enumeration that has neither a name nor values
def test_changed_bytes(changes: list[tuple[int, int]]) -> None:
    data = bytearray(_SOUND)
    for position, value in changes:
        data[position] = value
    assert complaint(bytes(data)).endswith(".")


@settings(deadline=_SOON, max_examples=400)
@given(st.lists(st.tuples(st.integers(6, len(_SOUND) // 4 - 1), st.integers(0, 40)), min_size=1))
def test_changed_words(changes: list[tuple[int, int]]) -> None:
    data = bytearray(_SOUND)
    for position, value in changes:
        data[position * 4 : position * 4 + 4] = value.to_bytes(4, "little")
    assert complaint(bytes(data)).endswith(".")


@settings(deadline=_SOON, max_examples=200)
@given(st.integers(0, len(_SOUND)), st.integers(0, len(_SOUND)))
def test_missing_pieces(start: int, end: int) -> None:
    assert complaint(_SOUND[:start] + _SOUND[end:]).endswith(".")


@settings(deadline=_SOON, max_examples=400)
@given(st.lists(st.integers(0, 40) | st.integers(0, 19).map(lambda kind: kind << 24), max_size=40))
def test_arbitrary_records(words: list[int]) -> None:
    types = b"".join(word.to_bytes(4, "little") for word in words)
    strings = b"\0" + b"".join(b"%c\0" % letter for letter in b"abcdefghijklmnop")
    assert complaint(header(len(types), len(strings)) + types + strings).endswith(".")


@settings(deadline=_SOON, max_examples=200)
@given(st.binary(max_size=200))
def test_arbitrary_bytes(data: bytes) -> None:
    assert complaint(data).endswith(".")
