"""Walks against drgn's helpers, and through lists that were corrupted on purpose."""

import re
from typing import Any

import pytest
from drgn import Object
from drgn.helpers.linux.idr import idr_for_each
from drgn.helpers.linux.list import list_for_each_entry
from drgn.helpers.linux.mapletree import mt_for_each
from drgn.helpers.linux.percpu import per_cpu
from drgn.helpers.linux.pid import find_task
from drgn.helpers.linux.rbtree import rbtree_inorder_for_each_entry

from kscope.kernel.expression.language import Expressions
from kscope.kernel.list import list_
from kscope.kernel.tree import tree
from kscope.model.base import QueryError
from kscope.model.list import ListQuery, Walk
from kscope.model.tree import TreeQuery
from kscope.session.answering import finish
from kscope.target.target import Target

ITEMS = list(range(10))


def walk(target: Target, start: str, **options: Any) -> Walk:
    return finish(list_(target, ListQuery(start=start, **options)), None)


def walk_tree(target: Target, start: str, **options: Any) -> Walk:
    return finish(tree(target, TreeQuery(start=start, **options)), None)


def column(found: Walk) -> list[Any]:
    return [row.values[0] for row in found.rows]


def test_a_list_has_the_elements_that_drgn_finds(demo_target: Target) -> None:
    head = demo_target.program["init_task"].tasks.address_of_()
    expected = [
        (task.value_(), task.pid.value_(), task.comm.string_().decode())
        for task in list_for_each_entry("struct task_struct", head, "tasks")
    ]
    found = walk(demo_target, "init_task.tasks", entry="task_struct.tasks", columns="pid,comm")
    assert [(row.entry, *row.values) for row in found.rows] == expected


def test_backwards_it_is_the_same_the_other_way_round(demo_target: Target) -> None:
    forward = walk(demo_target, "init_task.tasks").rows
    backward = walk(demo_target, "init_task.tasks", reverse=True).rows
    assert [row.entry for row in backward] == [row.entry for row in reversed(forward)]


def test_what_the_elements_are_is_told_by_the_first_of_them(demo_target: Target) -> None:
    found = walk(demo_target, "pid 2.children")
    assert (found.entry_type, found.member) == ("struct task_struct", "sibling")
    assert "task" in found.guessed


def test_what_modules_links_is_known(demo_target: Target) -> None:
    found = walk(demo_target, "modules", columns="name")
    assert found.entry_type == "struct module"
    assert "storlab" in column(found)


@pytest.mark.parametrize(
    ("kind", "start", "member"),
    [
        ("list", "storlab_list", "link"),
        ("hlist", "storlab_hash_chain", "hash_link"),
        ("llist", "storlab_lockless_list", "lockless_link"),
        ("plist", "storlab_priority_list", "priority_link"),
        ("member", "*(struct storlab_item **)storlab_chain", "next"),
    ],
)
def test_each_kind_of_list_has_all_its_items_in_order(
    demo_target: Target, kind: str, start: str, member: str
) -> None:
    options = {} if kind == "member" else {"kind": kind}
    found = walk(demo_target, start, entry=f"storlab_item.{member}", columns="number", **options)
    assert column(found) == ITEMS
    assert found.kind == kind
    assert found.broken is None


def test_an_empty_list_is_empty(demo_target: Target) -> None:
    assert walk(demo_target, "storlab_empty_list").rows == ()


def test_a_loop_is_told_with_the_element_that_closes_it(demo_target: Target) -> None:
    found = walk(demo_target, "storlab_looping_list", entry="storlab_item.link", columns="number")
    assert column(found) == ITEMS[:7]
    assert found.broken is not None
    assert found.broken.position == 6
    assert found.broken.pointer == found.rows[2].node
    assert "loop" in found.broken.sentence


def test_a_poisoned_link_is_told_with_its_poison(demo_target: Target) -> None:
    found = walk(demo_target, "storlab_poisoned_list", entry="storlab_item.link", columns="number")
    assert column(found) == ITEMS[:5]
    assert found.broken is not None
    assert (found.broken.position, found.broken.pointer) == (4, 0xDEAD000000000100)
    assert "LIST_POISON1" in found.broken.sentence


def test_a_head_that_cannot_be_read_is_told(demo_target: Target) -> None:
    found = walk(demo_target, "list_head 0xffffffffffffff00")
    assert found.broken is not None
    assert "cannot be read" in found.broken.sentence


def test_no_more_elements_are_given_than_were_asked_for(demo_target: Target) -> None:
    found = walk(demo_target, "init_task.tasks", limit=3)
    assert (len(found.rows), found.truncated) == (3, True)


def test_an_array_is_walked_to_its_end(demo_target: Target) -> None:
    found = walk(
        demo_target, "storlab_array", kind="array", entry="storlab_item", length=10,
        columns="balance",
    )  # fmt: skip
    assert column(found) == [-number for number in ITEMS]


def test_a_per_cpu_variable_has_a_row_for_each_cpu(demo_target: Target) -> None:
    found = walk(demo_target, "runqueues:a", columns="cpu")
    assert [(row.key, *row.values) for row in found.rows] == [(0, 0), (1, 1), (2, 2), (3, 3)]


def test_a_structure_that_is_no_list_is_refused(demo_target: Target) -> None:
    with pytest.raises(QueryError, match="struct task_struct, which is no list"):
        walk(demo_target, "init_task")


@pytest.mark.parametrize(
    ("start", "what"),
    [("panic_timeout", "of type int"), ("schedule", "code"), ("saved_command_line", "of type")],
)
def test_a_number_and_code_are_no_lists_unless_that_is_asked_for(
    demo_target: Target, start: str, what: str
) -> None:
    with pytest.raises(QueryError, match=f"{start} is {what}.*, which is no list"):
        walk(demo_target, start)
    assert walk(demo_target, start, kind="list").broken is not None


def test_of_a_per_cpu_pointer_the_elements_are_what_is_said(demo_target: Target) -> None:
    program = demo_target.program
    pointers = [per_cpu(program["current_task"], cpu) for cpu in range(4)]
    slots = walk(demo_target, "current_task")
    assert [row.entry for row in slots.rows] == [pointer.address_ for pointer in pointers]
    tasks = walk(demo_target, "current_task", entry="task_struct", columns="pid")
    assert [row.entry for row in tasks.rows] == [pointer.value_() for pointer in pointers]
    assert column(tasks) == [pointer.pid.value_() for pointer in pointers]


def test_a_red_black_tree_has_the_elements_that_drgn_finds_in_order(demo_target: Target) -> None:
    root = demo_target.program["vmap_area_root"].address_of_()
    expected = [
        area.va_start.value_()
        for area in rbtree_inorder_for_each_entry("struct vmap_area", root, "rb_node")
    ]
    assert column(walk_tree(demo_target, "vmap_area_root", columns="va_start")) == expected


def test_a_maple_tree_has_the_ranges_that_drgn_finds(demo_target: Target) -> None:
    mm = find_task(demo_target.program, 1).mm
    expected = list(mt_for_each(mm.mm_mt.address_of_()))
    found = walk_tree(demo_target, "pid 1.mm.mm_mt", entry="vm_area_struct", columns="vm_start")
    assert [(row.key, row.last, row.entry) for row in found.rows] == [
        (first, last, entry.value_()) for first, last, entry in expected
    ]
    assert column(found) == [
        Object(demo_target.program, "struct vm_area_struct *", entry.value_()).vm_start.value_()
        for _, _, entry in expected
    ]


@pytest.mark.parametrize("start", ["xarray storlab_xarray", "maple_tree storlab_maple_tree"])
def test_sparse_indexes_are_kept(demo_target: Target, start: str) -> None:
    found = walk_tree(demo_target, start, entry="storlab_item", columns="number")
    assert [row.key for row in found.rows] == [0, 5, 63, 64, 1000, 65536, 1 << 40]
    assert column(found) == ITEMS[:7]


def test_an_idr_is_walked_through_its_radix_tree(demo_target: Target) -> None:
    found = walk_tree(demo_target, "idr storlab_idr", entry="storlab_item", columns="number")
    assert [row.key for row in found.rows] == [0, 3, 6, 9, 12, 15, 18]


@pytest.mark.parametrize("start", ["idr storlab_idr", "init_pid_ns.idr"])
def test_the_entries_of_an_xarray_are_drgns(demo_target: Target, start: str) -> None:
    address = Expressions(demo_target).locate(start).place.address
    idr = Object(demo_target.program, "struct idr", address=address)
    expected = [(index, entry.value_()) for index, entry in idr_for_each(idr.address_of_())]
    assert [(row.key, row.entry) for row in walk_tree(demo_target, start).rows] == expected


@pytest.mark.parametrize("pid", [1, 142])
def test_below_the_highest_node_is_the_whole_tree(demo_target: Target, pid: int) -> None:
    tree = find_task(demo_target.program, pid).mm.mm_mt
    whole = walk_tree(demo_target, f"pid {pid}.mm.mm_mt", position=True).rows
    below = walk_tree(
        demo_target, f"{tree.ma_root.value_():#x}", kind="maple", node=True, position=True
    ).rows
    assert below == whole
    assert whole[0].position.startswith("root/")


def test_in_a_red_black_tree_the_position_leads_to_each_node(demo_target: Target) -> None:
    root = demo_target.program["vmap_area_root"]
    rows = walk_tree(demo_target, "vmap_area_root", position=True).rows
    for row in rows:
        node = root.rb_node
        for turn in row.position.split("/")[1:]:
            node = node.rb_left if turn == "l" else node.rb_right
        assert node.value_() == row.node
    highest = f"rb_node {root.rb_node.value_():#x}"
    assert walk_tree(demo_target, highest, node=True, position=True).rows == rows


@pytest.mark.parametrize("tag", ["rb_node", "xa_node"])
@pytest.mark.parametrize("kind", ["", "rbtree", "xarray"])
def test_a_node_is_not_walked_as_if_it_were_a_root(
    demo_target: Target, tag: str, kind: str
) -> None:
    node = demo_target.program["vmap_area_root"].rb_node.value_()
    with pytest.raises(QueryError, match=f"struct {tag}, which is no tree's root") as refused:
        walk_tree(demo_target, f"{tag} {node:#x}", kind=kind)
    assert "--node" in refused.value.hint


def test_in_an_xarray_the_position_is_the_slots_on_the_way(demo_target: Target) -> None:
    rows = walk_tree(demo_target, "xarray storlab_xarray", position=True).rows
    by_index = {row.key: row.position.split("/")[1:] for row in rows}
    assert by_index[65536][-3:] == ["16", "0", "0"]
    assert by_index[1000][-2:] == ["15", "40"]


def test_a_child_that_does_not_know_its_parent_is_told(demo_target: Target) -> None:
    head = demo_target.program.symbol("storlab_list").address
    found = walk_tree(demo_target, f"{head:#x}", kind="rbtree")
    assert found.broken is not None
    assert found.broken.pointer == demo_target.program.read_u64(head)
    assert "whose parent is" in found.broken.sentence


def test_a_node_whose_ranges_do_not_rise_is_told(demo_target: Target) -> None:
    # Code taken for a maple_leaf_64, whose type is 1.
    code = demo_target.program.symbol("schedule").address & ~0xFF
    found = walk_tree(demo_target, f"{code | 0xE:#x}", kind="maple", node=True)
    assert found.broken is not None
    assert "reaches to" in found.broken.sentence


def test_the_parts_of_a_long_walk_make_up_the_whole(
    demo_target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kscope.kernel.objects.walks._SLICE_SECONDS", 0)
    parts = [step.result for step in list_(demo_target, ListQuery(start="init_task.tasks"))]
    assert [part.first for part in parts] == list(range(len(parts)))
    rows = tuple(row for part in parts for row in part.rows)
    assert rows == walk(demo_target, "init_task.tasks").rows


def test_a_type_alone_says_what_is_linked_where_the_head_or_first_element_tells_the_rest(
    demo_target: Target,
) -> None:
    whole = walk(demo_target, "init_task.tasks", entry="task_struct.tasks", columns="pid")
    assert walk(demo_target, "init_task.tasks", entry="task_struct", columns="pid") == whole


def test_the_only_member_that_can_link_elements_does(demo_target: Target) -> None:
    found = walk(demo_target, "storlab_list", entry="storlab_item", columns="number")
    assert (found.member, column(found)) == ("link", ITEMS)


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("task_struct", "Which member of struct task_struct links them?"),
        ("task_struct.pid", "struct task_struct.pid is a pid_t and no struct list_head."),
        ("task_struct.pid_links[0]", "is a struct hlist_node and no struct list_head."),
    ],
)
def test_elements_are_not_taken_for_what_the_list_cannot_link(
    demo_target: Target, entry: str, sentence: str
) -> None:
    with pytest.raises(QueryError, match=re.escape(sentence)):
        walk(demo_target, "storlab_list", entry=entry)


@pytest.mark.parametrize("start", ["init_task", "&init_task", "pid 1.real_parent"])
def test_a_walk_may_begin_at_an_element_as_a_whole(demo_target: Target, start: str) -> None:
    whole = walk(demo_target, "init_task.tasks", entry="task_struct.tasks", columns="pid")
    found = walk(demo_target, start, entry="task_struct.tasks", columns="pid")
    assert column(found) == [0, *column(whole)]


def test_a_pointer_to_what_holds_a_tree_is_followed(demo_target: Target) -> None:
    assert walk_tree(demo_target, "pid 1.mm").rows == walk_tree(demo_target, "pid 1.mm.mm_mt").rows


@pytest.mark.parametrize("kind", ["rbtree", "maple", "xarray", "radix"])
@pytest.mark.parametrize("start", ["0x1000", "0xffffffffffffffff"])
def test_where_no_memory_is_no_tree_is_walked(demo_target: Target, kind: str, start: str) -> None:
    found = walk_tree(demo_target, start, kind=kind)
    assert found.broken is not None
    assert found.broken.sentence.startswith(f"The head {start[2:]} cannot be read")


def test_a_node_that_cannot_be_read_is_told(demo_target: Target) -> None:
    found = walk_tree(demo_target, "0x1000", kind="rbtree", node=True)
    assert found.broken is not None


def test_a_root_that_leads_nowhere_is_told_with_its_address(demo_target: Target) -> None:
    schedule = demo_target.program.symbol("schedule").address
    found = walk_tree(demo_target, "schedule", kind="rbtree")
    assert found.broken is not None
    assert found.broken.sentence.startswith(f"The head {schedule:x} has rb_node")


def test_of_a_head_that_is_poison_it_is_said(demo_target: Target) -> None:
    found = walk(demo_target, "dead000000000100")
    assert found.broken is not None
    assert found.broken.sentence == "The head dead000000000100 cannot be read: it is LIST_POISON1."


def test_where_only_a_name_is_known_it_is_said_as_what_it_was_walked(
    demo_target: Target,
) -> None:
    found = walk(demo_target, "storlab_lockless_list")
    assert found.broken is not None
    assert found.broken.sentence.endswith(
        "It was walked as a struct list_head: --kind says others."
    )


def test_text_that_a_column_points_at_is_read(demo_target: Target) -> None:
    program = demo_target.program
    found = walk(demo_target, "slab_caches", entry="kmem_cache.list", columns="name")
    assert column(found) == [
        f'{cache.name.value_():#x} "{cache.name.string_().decode()}"'
        for cache in list_for_each_entry(
            "struct kmem_cache", program["slab_caches"].address_of_(), "list"
        )
    ]
