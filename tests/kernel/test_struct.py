"""Objects as trees of members, against drgn's own reading of the bundled dump."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from drgn import Object, TypeKind
from drgn.helpers.linux.percpu import per_cpu
from drgn.helpers.linux.pid import find_task

from kscope.dialect.struct import text
from kscope.kernel.access.fields import of_type
from kscope.kernel.access.memory_image import MemoryImage
from kscope.kernel.objects.identify_address import Addresses, Identity
from kscope.kernel.objects.values import Values
from kscope.kernel.struct import structure
from kscope.model.base import QueryError
from kscope.model.struct import Member, StructQuery, Structure
from kscope.model.target import OpenQuery
from kscope.session.answering import finish
from kscope.target.opening import open_target
from kscope.target.target import Target


def leaves(members: tuple[Member, ...], found: Object) -> Iterator[tuple[Member, Object]]:
    """Each value with drgn's object of the same place."""
    for index, member in enumerate(members):
        if member.name.startswith("["):
            inner = found[int(member.name[1:-1])]
        elif member.name:
            inner = found.member_(member.name)
        else:
            inner = _anonymous(found, index)
        if member.members:
            yield from leaves(member.members, inner)
        elif member.kind not in ("struct", "union", "array", "opaque"):
            yield member, inner


def _anonymous(found: Object, index: int) -> Object:
    member = found.type_.unaliased().members[index]
    return Object(found.prog_, member.type, address=found.address_ + member.offset)


def value_of(found: Object) -> Any:
    kind = found.type_.unaliased_kind()
    if kind is TypeKind.POINTER:
        return f"{found.value_():#x}"
    if kind is TypeKind.ARRAY:
        return found.string_().decode("ascii")
    return found.value_()


def objects(target: Target) -> Iterator[tuple[str, Object]]:
    program = target.program
    yield "struct task_struct", find_task(program, 1)[0]
    yield "struct task_struct", program["init_task"]
    yield "struct mm_struct", find_task(program, 1).mm[0]
    yield "struct net", program["init_net"]
    yield "struct rq", per_cpu(program["runqueues"], 1)
    yield "struct kmem_cache", program["task_struct_cachep"][0]
    yield "struct file_operations", program["ext4_file_operations"]


@pytest.mark.parametrize("index", range(7))
def test_every_value_is_drgns(demo_target: Target, index: int) -> None:
    name, found = list(objects(demo_target))[index]
    query = StructQuery(type=name, address=f"{found.address_:#x}", elements=20)
    answer = structure(demo_target, query)
    compared = 0
    for member, expected in leaves(answer.members, found):
        assert member.value == value_of(expected), member.name
        compared += 1
    assert compared >= 30


def show(target: Target, type_: str, address: str = "", **options: Any) -> Structure:
    return structure(target, StructQuery(type=type_, address=address, **options))


def one(target: Target, path: str, address: str = "init_task") -> Member:
    return show(target, "task_struct", address, members=path).members[0]


def test_offsets_are_those_of_the_type(demo_target: Target) -> None:
    from drgn import offsetof

    type_ = demo_target.program.type("struct task_struct")
    for name in ("__state", "se.load", "comm", "thread.sp"):
        assert one(demo_target, name).offset == offsetof(type_, name)


def test_a_pointer_says_what_it_points_at(demo_target: Target) -> None:
    assert one(demo_target, "real_parent", "pid 1").target == "swapper/0 0"
    assert one(demo_target, "mm", "pid 1").target == "mm_struct, allocated"
    assert one(demo_target, "stack", "pid 1").target == "stack of init 1"
    assert one(demo_target, "mm").target == "NULL"


def test_flag_words_are_named(demo_target: Target) -> None:
    assert "PF_KTHREAD" in one(demo_target, "flags", "pid 2").meaning


def test_an_uninterruptible_task_says_so(demo_target: Target) -> None:
    blocked = [
        task
        for task in _tasks(demo_target)
        if one(demo_target, "__state", f"pid {task}").value == 2
    ]
    assert blocked
    assert one(demo_target, "__state", f"pid {blocked[0]}").meaning == "TASK_UNINTERRUPTIBLE"


@pytest.mark.parametrize(("lock", "owner"), [("storlab_a", 163), ("storlab_b", 162)])
def test_the_owner_in_a_mutex_is_named(demo_target: Target, lock: str, owner: int) -> None:
    comm = find_task(demo_target.program, owner).comm.string_().decode()
    (counter,) = show(demo_target, "mutex", lock, members="owner").members[0].members
    assert counter.meaning == f"{comm} {owner} MUTEX_FLAG_WAITERS"


def test_an_unlocked_mutex_says_so(demo_target: Target) -> None:
    (counter,) = one(demo_target, "futex_exit_mutex.owner").members
    assert counter.meaning == "unlocked"


def _tasks(target: Target) -> list[int]:
    from drgn.helpers.linux.pid import for_each_task

    return [task.pid.value_() for task in for_each_task(target.program)]


def test_a_list_head_says_how_many_it_links(demo_target: Target) -> None:
    from drgn.helpers.linux.list import list_count_nodes

    count = list_count_nodes(demo_target.program["init_task"].tasks.address_of_())
    assert one(demo_target, "tasks").meaning == f"{count} entries"


def test_every_kind_of_pointer_is_told_apart(demo_target: Target) -> None:
    found = show(demo_target, "storlab_pointers", "storlab_pointers").members
    kinds = {member.name: member.target_kind for member in found}
    assert kinds == {
        "nothing": "null", "error": "error", "poison": "poison", "user": "user",
        "not_canonical": "poison", "function": "function", "global": "symbol",
        "slab_object": "slab", "slab_object_inside": "slab", "freed_slab_object": "free-slab",
        "vmalloc": "vmap", "page": "direct", "task": kinds["task"],
    }  # fmt: skip
    said = {member.name: member.target or "" for member in found}
    assert said["error"] == "ERR_PTR(-ENOSPC)"
    assert said["poison"] == "LIST_POISON1"
    assert said["slab_object"] == "storlab_item, allocated"
    assert said["freed_slab_object"] == "storlab_item, free"


def test_bit_fields_enumerations_and_anonymous_members_read_as_they_were_written(
    demo_target: Target,
) -> None:
    found = show(demo_target, "storlab_item", "storlab_array")
    by_name = {member.name: member for member in found.members}
    assert by_name["name"].value == "item-0"
    assert by_name["state"].meaning == "STORLAB_FAILED"
    assert (by_name["ready"].value, by_name["retries"].value) == (1, 17)
    assert (by_name["retries"].bit_offset, by_name["retries"].bit_size) == (1, 5)
    assert by_name[""].kind == "union"
    third = show(demo_target, "storlab_item", "storlab_array", count=4).further[2]
    balance = next(member for member in third.members if member.name == "balance")
    assert balance.value == -3


def test_all_copies_of_a_per_cpu_variable_are_shown(demo_target: Target) -> None:
    answer = show(demo_target, "rq", "runqueues:a", members="cpu")
    labels = [answer.label, *(each.label for each in answer.further)]
    values = [answer.members[0].value, *(each.members[0].value for each in answer.further)]
    assert labels == ["[0]", "[1]", "[2]", "[3]"]
    assert values == [0, 1, 2, 3]


def test_a_large_array_comes_in_pages(demo_target: Target) -> None:
    path = "rt.active.queue"
    first = show(demo_target, "rq", "runqueues:0", members=path, elements=10).members[0]
    assert (first.length, len(first.members)) == (100, 10)
    later = show(demo_target, "rq", "runqueues:0", members=f"{path}[98:200]").members[0]
    assert [member.name for member in later.members] == ["[98]", "[99]"]
    assert later.members[0].offset == first.members[0].offset + 98 * 16


def test_what_cannot_be_read_says_why(demo_target: Target) -> None:
    answer = show(demo_target, "list_head", "0xffffffffffffff00")
    assert all(member.why for member in answer.members)
    assert [each.what for each in answer.unreadable] == ["next", "prev"]


def test_a_type_is_laid_out_as_crash_prints_it(demo_target: Target) -> None:
    query = StructQuery(type="list_head", offsets=True)
    assert text(query, structure(demo_target, query)) == (
        "struct list_head {\n"
        "   [0] struct list_head *next;\n"
        "   [8] struct list_head *prev;\n"
        "}\n"
        "SIZE: 16"
    )


def test_a_member_that_is_not_there_is_named_with_one_that_is_near(demo_target: Target) -> None:
    with pytest.raises(QueryError, match="no member com") as refused:
        one(demo_target, "com")
    assert "comm" in refused.value.hint


def test_a_word_is_looked_up_also_where_the_kernels_addresses_have_57_bits(
    demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = finish(open_target(OpenQuery(path=str(demo))), None)
    somewhere, in_direct_map = 0xFFFF_C7FF_0000_0000, 0xFF11_0000_1234_5000
    word = in_direct_map.to_bytes(8, "little")

    def read(_address: int, count: int, offset: int, _physical: bool) -> bytes:
        return word[offset : offset + count]

    target.program.add_memory_segment(somewhere, 8, read, False)
    addresses = Addresses(target)
    monkeypatch.setattr(addresses, "identify", lambda at: Identity("slab", f"object at {at:x}"))
    field = of_type(target.program, target.program.type("unsigned long"))
    image = MemoryImage(target.program, somewhere, 8)
    member = Values(target, addresses).member(field, image, 0, 1)
    assert member.target == f"object at {in_direct_map:x}"


def test_all_copies_of_a_per_cpu_pointer_have_its_values(demo_target: Target) -> None:
    found = structure(demo_target, StructQuery(type="current_task:a"))
    shown = [found.members[0].value, *(each.members[0].value for each in found.further)]
    variable = demo_target.program["current_task"]
    assert shown == [f"{per_cpu(variable, cpu).value_():#x}" for cpu in range(4)]


@pytest.mark.parametrize("index", ["-1", "16", "99999999999999999999"])
def test_what_is_outside_of_an_array_is_not_read_as_its_element(
    demo_target: Target, index: str
) -> None:
    with pytest.raises(QueryError, match="comm has 16 elements"):
        structure(
            demo_target,
            StructQuery(type="task_struct", address="init_task", members=f"comm[{index}]"),
        )


def test_elements_of_a_flexible_array_are_read_behind_the_structure(demo_target: Target) -> None:
    program = demo_target.program
    upid = find_task(program, 1).thread_pid.numbers[0]
    found = structure(
        demo_target,
        StructQuery(type="pid", address="pid 1.thread_pid", members="numbers[0:1]"),
    )
    assert [m.value for m in found.members[0].members[0].members] == [
        upid.nr.value_(), f"{upid.ns.value_():#x}",
    ]  # fmt: skip


@pytest.mark.parametrize("address", ["0xffffffffffffffff", "0xfffffffffffffff9"])
def test_at_the_end_of_all_addresses_nothing_can_be_read(demo_target: Target, address: str) -> None:
    found = structure(demo_target, StructQuery(type="list_head", address=address))
    assert [u.what for u in found.unreadable] == ["next", "prev"]
    assert all(u.why.endswith("is not mapped, or not in the dump") for u in found.unreadable)


def test_of_what_is_no_address_it_is_said_that_it_is_none(demo_target: Target) -> None:
    found = structure(demo_target, StructQuery(type="list_head", address="6b6b6b6b6b6b6b6b"))
    assert [u.why for u in found.unreadable] == [
        "0x6b6b6b6b6b6b6b6b is not a canonical address",
        "0x6b6b6b6b6b6b6b73 is not a canonical address",
    ]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"count": 100_000_000}, "100,000,000 objects are too many at once."),
        ({"embedded": "0x"}, "struct task_struct has no member 0x."),
        ({"members": "comm[5:2]"}, "There are no elements from 5 on"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(
    demo_target: Target, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(QueryError, match=sentence):
        structure(demo_target, StructQuery(type="task_struct", address="init_task", **options))


def test_code_is_no_object(demo_target: Target) -> None:
    with pytest.raises(QueryError, match="schedule is code, no object"):
        structure(demo_target, StructQuery(type="schedule"))


def test_of_a_name_that_several_types_have_it_says_so(demo_target: Target) -> None:
    query = StructQuery(type="struct irq_info", offsets=True)
    sentence = structure(demo_target, query).ambiguity
    assert sentence == (
        "the kernel has 3 different types struct irq_info, of 32, 136 and 16 bytes:"
        " this is the one of 32, crash may show another"
    )
    at_address = StructQuery(type="struct irq_info", address="init_task")
    assert structure(demo_target, at_address).ambiguity == sentence
    assert not structure(demo_target, StructQuery(type="struct task_struct")).ambiguity
