"""BTF sections are read exactly, or refused with a sentence."""

from __future__ import annotations

import struct

import pytest
from drgn import Architecture, Platform, Program

from kscope.target.btf.errors import DamagedBtfError
from kscope.target.btf.format import Btf, Kind
from kscope.target.btf.types import TypeBuilder
from tests.target.btf.blob import Blob, header, small_kernel


def test_every_kind_is_indexed_by_its_id() -> None:
    btf = Btf(small_kernel().bytes())

    kinds = {Kind(btf.kind(type_id)) for type_id in range(1, btf.end_id)}
    assert kinds == set(Kind) - {Kind.VOID}
    (task, head) = (
        next(i for i in btf.ids(Kind.STRUCT) if btf.name(i) == name)
        for name in ("task", "list_head")
    )
    assert btf.size_or_type(task) == 64
    assert btf.size_or_type(head) == 16


def test_the_other_byte_order_reads_the_same() -> None:
    little, big = Blob(order="<"), Blob(order=">")
    for blob in (little, big):
        blob.compound("list_head", 16, [("next", blob.pointer(2), 0)])

    other = Btf(big.bytes(), little_endian=False)

    assert other.words.tolist() == Btf(little.bytes()).words.tolist()
    assert other.name(2) == "list_head"


def test_a_section_of_the_wrong_byte_order_is_refused() -> None:
    with pytest.raises(DamagedBtfError, match="magic"):
        Btf(small_kernel().bytes(), little_endian=False)


def test_split_btf_continues_ids_and_strings() -> None:
    base = Btf(small_kernel().bytes())
    module = Blob(first_id=base.end_id, first_string=base.strings.end)
    own = module.compound("driver", 16, [("list", base.ids(Kind.STRUCT)[1], 0)])

    btf = Btf(module.bytes(), base=base)

    assert btf.ids(Kind.STRUCT) == [own] == [base.end_id]
    assert btf.name(own) == "driver"
    assert btf.kind(base.ids(Kind.UNION)[0]) == Kind.UNION


def test_split_btf_may_use_the_strings_of_its_base() -> None:
    base = Btf(small_kernel().bytes())
    module = Blob(first_id=base.end_id, first_string=base.strings.end)
    offset = small_kernel().string("task")
    module.words(offset, Kind.FWD << 24, 0)

    btf = Btf(module.bytes(), base=base)

    assert btf.name(base.end_id) == "task"


def test_an_empty_split_section_is_sound() -> None:
    base = Btf(small_kernel().bytes())
    assert Btf(header(0, 0), base=base).end_id == base.end_id


def _with_type(*words: int) -> bytes:
    blob = small_kernel()
    blob.words(*words)
    return blob.bytes()


def _far() -> int:
    return 1 << 20


@pytest.mark.parametrize(
    ("data", "how"),
    [
        (b"", "shorter than its header"),
        (b"\0" * 64, "magic"),
        (header(0, 1, version=2) + b"\0", "version 2"),
        (header(0, 1, length=20) + b"\0", "header is 20"),
        (header(4, 1) + b"\0", "beyond its end"),
        (header(0, 0), "no strings"),
        (header(0, 2) + b"\0a", "not terminated"),
        (header(0, 2) + b"a\0", "not terminated"),
        (header(0, 4) + b"\0\x1b[\0", "no name has"),
        (header(0, 5) + b"\0a|b\0", "no name has"),
        (header(0, 5) + b'\0a"b\0', "no name has"),
        (struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, 8, 4, 4) + b"\0" * 8, "overlap"),
        (struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 2, 4, 6, 2) + b"\0" * 8, "aligned"),
        (_with_type(0, 20 << 24, 0), "unknown kind"),
        (_with_type(0, 0, 0), "unknown kind"),
        (_with_type(0, Kind.PTR << 24 | 1 << 31, 1), "kind flag"),
        (_with_type(0, Kind.PTR << 24 | 1 << 16, 1), "unknown kind"),
        (_with_type(0, Kind.PTR << 24 | 5, 1), "has 5 members"),
        (_with_type(1, Kind.FUNC << 24 | 3, 1), "linkage 3"),
        (_with_type(0, Kind.PTR << 24), "cut off"),
        (_with_type(0, Kind.STRUCT << 24 | 2, 8, 0, 1, 0), "cut off"),
        (_with_type(0, Kind.TYPEDEF << 24, 1), "must have a name"),
        (_with_type(1, Kind.PTR << 24, 1), "cannot have a name"),
        (_with_type(_far(), Kind.INT << 24, 4, 32), "beyond the end of the strings"),
        (_with_type(len(small_kernel().strings), Kind.INT << 24, 4, 32), "beyond the end"),
        (_with_type(2, Kind.INT << 24, 4, 32), "middle of another name"),
    ],
)
def test_damage_is_refused_with_a_sentence(data: bytes, how: str) -> None:
    with pytest.raises(DamagedBtfError, match=how) as caught:
        Btf(data)
    assert caught.value.sentence.startswith("The BTF in the dump is damaged: ")
    assert caught.value.sentence.endswith(".")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("data", "how"),
    [
        (_with_type(0, Kind.PTR << 24, _far()), "refers to type"),
        (_with_type(0, Kind.ARRAY << 24, 0, _far(), 1, 1), "refers to type"),
        (_with_type(0, Kind.STRUCT << 24 | 1, 8, 0, _far(), 0), "refers to type"),
        (_with_type(0, Kind.FUNC_PROTO << 24 | 1, 0, 0, _far()), "refers to type"),
        (_with_type(0, Kind.STRUCT << 24 | 1, 8, 2, 1, 0), "middle of another name"),
        (_with_type(0, Kind.ENUM << 24 | 1, 4, _far(), 1), "beyond the end of the strings"),
        (_with_type(0, Kind.ENUM64 << 24 | 1, 8, 2, 1, 0), "middle of another name"),
        (_with_type(0, Kind.FUNC_PROTO << 24 | 1, 0, 2, 1), "middle of another name"),
    ],
)
def test_damage_in_what_a_type_refers_to_is_found_when_it_is_built(data: bytes, how: str) -> None:
    btf = Btf(data)
    types = TypeBuilder(Program(Platform(Architecture.X86_64)), btf)

    with pytest.raises(DamagedBtfError, match=how):
        types.type(btf.end_id - 1)
    assert types.type(btf.ids(Kind.STRUCT)[0]).size == 4


def test_a_page_of_zeros_among_the_names_is_refused() -> None:
    sound = small_kernel().bytes()
    zeroed = sound.replace(b"task\0", bytes(5))
    assert zeroed != sound
    with pytest.raises(DamagedBtfError, match="empty where names should be"):
        Btf(zeroed)


def test_a_string_is_found_wherever_it_lies() -> None:
    base = Btf(small_kernel().bytes())
    module = Blob(first_id=base.end_id, first_string=base.strings.end)
    module.compound("driver", 16, [("list", base.ids(Kind.STRUCT)[1], 0)])
    btf = Btf(module.bytes(), base=base)

    for text in ("task", "list_head", "driver", "list"):
        offsets = list(btf.strings.offsets_of(text))
        assert offsets
        assert all(btf.string(offset) == text for offset in offsets)
        assert all(btf.strings.has(offset, text) for offset in offsets)
    assert list(btf.strings.offsets_of("ask")) == []
