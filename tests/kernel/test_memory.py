"""Memory, code, what addresses are and who points at them, on the bundled dump."""

import re
import struct
from typing import Any

import pytest
from drgn.helpers.linux.mm import follow_phys, virt_to_page
from drgn.helpers.linux.pid import find_task, for_each_task
from drgn.helpers.linux.slab import (
    for_each_slab_cache,
    slab_cache_for_each_allocated_object,
)

from kscope.dialect import memory as memory_dialect
from kscope.dialect.address import text as address_text
from kscope.kernel.address import address_state
from kscope.kernel.code import code
from kscope.kernel.memory import memory
from kscope.kernel.search import search
from kscope.model.address import AddressQuery, AddressState
from kscope.model.base import QueryError
from kscope.model.code import CodeQuery
from kscope.model.memory import MemoryQuery
from kscope.model.search import Search, SearchQuery
from kscope.session.answering import finish
from kscope.target.target import Target


def test_words_are_the_bytes_that_drgn_reads(demo_target: Target) -> None:
    address = demo_target.program["init_task"].address_
    found = memory(demo_target, MemoryQuery(address="init_task", count=64))
    words = [word or 0 for line in found.lines for word in line.words]
    raw = b"".join(word.to_bytes(8, "little") for word in words)
    assert raw == demo_target.program.read(address, 512)


def test_the_other_byte_order_turns_each_word_round(demo_target: Target) -> None:
    little = memory(demo_target, MemoryQuery(address="init_task", bits=32)).lines[0].words[0]
    big = memory(demo_target, MemoryQuery(address="init_task", bits=32, big_endian=True))
    assert little is not None
    assert big.lines[0].words[0] == int.from_bytes(little.to_bytes(4, "little"), "big")


def test_pointers_are_named(demo_target: Target) -> None:
    found = memory(demo_target, MemoryQuery(address="storlab_pointers", count=13, symbols=True))
    notes = {2 * i + note.index: note.text for i, line in enumerate(found.lines)
             for note in line.notes}  # fmt: skip
    assert notes[2] == "LIST_POISON1"
    assert notes[6].startswith("storlab_list")
    assert notes[7] == "storlab_item, allocated"


def test_bytes_are_printed_as_crash_does(demo_target: Target) -> None:
    query = MemoryQuery(address="linux_banner", count=16, bits=8)
    printed = memory_dialect.text(query, memory(demo_target, query))
    assert printed.endswith(":  4c 69 6e 75 78 20 76 65 72 73 69 6f 6e 20 36 2e   Linux version 6.")


def test_memory_that_is_nowhere_is_refused_with_the_reason(demo_target: Target) -> None:
    with pytest.raises(QueryError, match="not mapped"):
        memory(demo_target, MemoryQuery(address="0x10"))


def test_a_function_is_decoded_whole(demo_target: Target) -> None:
    symbol = demo_target.program.symbol("schedule")
    found = code(demo_target, CodeQuery(start="schedule"))
    assert found.function == "schedule"
    assert found.instructions[0].address == symbol.address
    assert found.complete
    ends = [int(each.address) + each.size for each in found.instructions]
    assert ends[:-1] == [int(each.address) for each in found.instructions[1:]]


def test_calls_lead_to_functions(demo_target: Target) -> None:
    calls = [
        each.target_name
        for each in code(demo_target, CodeQuery(start="schedule")).instructions
        if each.flow == "call"
    ]
    assert "__schedule" in calls


def test_per_cpu_variables_are_named(demo_target: Target) -> None:
    found = code(demo_target, CodeQuery(start="schedule")).instructions
    assert "per-CPU current_task" in {each.target_name for each in found}


def test_backwards_and_forwards_meet_at_the_address(demo_target: Target) -> None:
    whole = code(demo_target, CodeQuery(start="schedule")).instructions
    middle = whole[6]
    start = f"schedule+{middle.offset:#x}"
    before = code(demo_target, CodeQuery(start=start, reverse=True)).instructions
    after = code(demo_target, CodeQuery(start=start, forward=True)).instructions
    assert before == whole[:7]
    assert after == whole[6:]


def test_what_is_no_code_is_refused(demo_target: Target) -> None:
    with pytest.raises(QueryError, match="init_task is no function"):
        code(demo_target, CodeQuery(start="init_task"))


def state(target: Target, address: str, **options: Any) -> AddressState:
    return address_state(target, AddressQuery(address=address, **options))


def test_a_task_is_a_task_a_slab_object_and_a_page(demo_target: Target) -> None:
    task = find_task(demo_target.program, 1)
    found = state(demo_target, "pid 1")
    assert found.task is not None
    assert (found.task.pid, found.task.comm) == (1, "init")
    assert found.slab is not None
    assert (found.slab.cache, found.slab.object) == ("task_struct", task.value_())
    assert found.slab.allocated
    assert found.page is not None
    assert found.page.page == virt_to_page(demo_target.program, task).value_()
    assert [each.type for each in found.types] == ["struct task_struct"]


@pytest.mark.parametrize("address", ["init_task", "pid 1", "schedule", "(void *)pid 1.stack"])
def test_the_page_tables_lead_where_drgn_says(demo_target: Target, address: str) -> None:
    found = state(demo_target, address)
    mm = demo_target.program["init_mm"].address_of_()
    assert found.physical == follow_phys(mm, found.address).value_()
    assert found.table[0].level == "PGD"


def test_a_member_of_a_slab_object_is_named(demo_target: Target) -> None:
    found = state(demo_target, "&pid 1.real_parent")
    assert found.types[0].member == "real_parent"


def test_a_user_address_is_translated_in_its_task(demo_target: Target) -> None:
    task = find_task(demo_target.program, 1)
    start = task.mm.start_stack.value_()
    found = state(demo_target, f"{start:#x}", task="pid 1")
    assert found.user_task is not None
    assert found.kind == "user"
    assert found.table


def hits(target: Target, value: str, **options: Any) -> Search:
    return finish(search(target, SearchQuery(value=value, **options)), None)


def test_everyone_who_points_at_a_task_is_found(demo_target: Target) -> None:
    program = demo_target.program
    found = hits(demo_target, "init_task")
    children = [find_task(program, pid).real_parent.address_ for pid in (1, 2)]
    assert set(children) <= {int(hit.address) for hit in found.hits}
    members = {hit.member for hit in found.hits}
    assert "struct task_struct.real_parent" in members
    for hit in found.hits:
        assert program.read_u64(int(hit.address)) == program["init_task"].address_


def test_a_mask_finds_tagged_pointers(demo_target: Target) -> None:
    locked = [each for each in hits(demo_target, "pid 1", mask="7").hits if each.value[-1] != "0"]
    exact = {hit.address for hit in hits(demo_target, "pid 1").hits}
    assert exact.isdisjoint(hit.address for hit in locked)


def test_on_stacks_each_place_has_its_task(demo_target: Target) -> None:
    found = hits(demo_target, "init_task", stacks=True)
    assert found.hits
    for hit in found.hits:
        assert hit.kind == "stack"
        assert hit.task is not None
        assert hit.pid is not None
        stack = find_task(demo_target.program, hit.pid).stack.value_() if hit.pid else None
        assert stack is None or stack <= hit.address < stack + 16384


def test_a_mask_on_stacks_finds_every_word_that_fits(demo_target: Target) -> None:
    program = demo_target.program
    value, mask = program["init_task"].address_, 0xFFFFF
    expected = set()
    for task in for_each_task(program, idle=True):
        stack = task.stack.value_()
        if not stack:
            continue  # it has exited
        words = struct.unpack("2048Q", program.read(stack, 16384))
        expected |= {
            stack + 8 * index for index, word in enumerate(words) if word | mask == value | mask
        }
    found = hits(demo_target, "init_task", stacks=True, mask=f"{mask:#x}")
    assert {int(hit.address) for hit in found.hits} == expected
    assert any(hit.value != f"{value:x}" for hit in found.hits)


@pytest.mark.parametrize(
    ("mask", "sentence"),
    [
        ("tags", "tags is no mask: hexadecimal, as 7 or fff."),
        ("init_task", "init_task is no mask"),
        ("-1", "-1 is no mask"),
        ("1" + 16 * "0", "A mask of a value of 64 bits has 16 digits at most."),
        ("0x" + 16 * "f", "ignores every bit: anything fits."),
    ],
)
def test_what_is_no_mask_is_said_in_a_sentence(
    demo_target: Target, mask: str, sentence: str
) -> None:
    with pytest.raises(QueryError, match=re.escape(sentence)):
        hits(demo_target, "init_task", mask=mask)


def test_a_mask_is_hexadecimal_with_and_without_0x(demo_target: Target) -> None:
    value = f"{demo_target.program['init_task'].address_ | 0x10:#x}"
    plain, prefixed = (hits(demo_target, value, stacks=True, mask=m) for m in ("10", "0x10"))
    assert plain.hits
    assert plain.hits == prefixed.hits
    assert not hits(demo_target, value, stacks=True).hits


def test_text_is_found(demo_target: Target) -> None:
    found = hits(demo_target, '"Linux version 6.1"')
    assert any("linux_banner" in hit.what for hit in found.hits)


@pytest.mark.parametrize("address", ["0xfffffffffffffff8", "0xffffffffffffffff"])
def test_memory_does_not_go_on_behind_the_last_address(demo_target: Target, address: str) -> None:
    with pytest.raises(QueryError, match="Nothing of it can be read"):
        memory(demo_target, MemoryQuery(address=address, count=4))


def test_of_several_copies_none_is_taken_for_the_one_that_was_meant(demo_target: Target) -> None:
    with pytest.raises(QueryError, match="runqueues:a is several objects"):
        memory(demo_target, MemoryQuery(address="runqueues"))


def test_more_code_than_anyone_reads_is_not_decoded(demo_target: Target) -> None:
    with pytest.raises(QueryError, match="99,999,999 instructions are too many"):
        code(demo_target, CodeQuery(start="schedule", count=99_999_999))


def test_it_is_said_where_fewer_instructions_are_than_were_asked_for(demo_target: Target) -> None:
    found = code(demo_target, CodeQuery(start="linux_banner", count=100))
    assert len(found.instructions) < 100
    assert "is no instruction" in found.note


@pytest.mark.parametrize("address", ["dead000000000100", "6b6b6b6b6b6b6b6b"])
def test_no_page_tables_are_walked_for_what_is_no_address(
    demo_target: Target, address: str
) -> None:
    found = state(demo_target, address)
    assert (found.kind, found.table, found.physical) == ("poison", (), None)


def test_no_page_is_made_up_behind_the_end_of_memory(demo_target: Target) -> None:
    end = demo_target.program["max_pfn"].value_() << 12
    with pytest.raises(QueryError, match=f"{end:#x} is no memory"):
        state(demo_target, f"{end:#x}", physical=True)
    assert state(demo_target, f"{end - 4096:#x}", physical=True).page is not None


def test_a_copy_of_a_per_cpu_variable_is_named(demo_target: Target) -> None:
    found = state(demo_target, "runqueues:2")
    assert address_text(AddressQuery(address=""), found).startswith(
        f"{found.address}: runqueues:2\n"
    )


def test_a_type_is_not_certain_where_slab_caches_were_merged(demo_target: Target) -> None:
    program = demo_target.program
    caches = {c.name.string_().decode(): c for c in for_each_slab_cache(program)}
    shared, own = caches["pid"], caches["dentry"]
    assert (shared.refcount.value_() > 1, own.refcount.value_()) == (True, 1)
    certain = {
        cache.name.string_().decode(): state(
            demo_target, f"{next(slab_cache_for_each_allocated_object(cache, 'void')).value_():#x}"
        ).types[0].certain
        for cache in (shared, own)
    }  # fmt: skip
    assert certain == {"pid": False, "dentry": True}


@pytest.mark.parametrize(("value", "bits"), [("99999", 16), ("0x100000000", 32), ("-40000", 16)])
def test_a_value_is_not_cut_to_what_is_searched_for(
    demo_target: Target, value: str, bits: int
) -> None:
    with pytest.raises(QueryError, match=f"has more than {bits} bits"):
        hits(demo_target, value, bits=bits)


def test_the_lower_half_of_a_kernel_address_may_be_searched_for(demo_target: Target) -> None:
    address = demo_target.program["init_task"].address_
    found = hits(demo_target, "init_task", bits=32, stacks=True, limit=1)
    assert [hit.value for hit in found.hits] == [f"{address & 0xFFFFFFFF:08x}"]
