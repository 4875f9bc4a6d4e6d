"""Walks through lists, trees and arrays: which one a place is, and what to show of its elements."""

from typing import Final

import msgspec

from kscope.model.list import ListQuery, Walk
from kscope.model.struct import Member, Structure
from kscope.model.tree import TreeQuery
from kscope.screens.inspect_visits import Visit
from kscope.screens.member_rows import MemberRow

ELEMENTS_OF_PLACE: Final = "elements"
"""How the walk of a place that is itself the head of a list is reached."""
_LISTS = {
    "struct list_head": "list", "struct hlist_head": "hlist", "struct llist_head": "llist",
    "struct plist_head": "plist", "struct hlist_nulls_head": "hlist_nulls",
}  # fmt: skip
_TREES = {
    "struct rb_root": "rbtree", "struct rb_root_cached": "rbtree",
    "struct maple_tree": "maple", "struct xarray": "xarray", "struct idr": "radix",
    "struct ida": "xarray",
}  # fmt: skip
_COLUMNS = {
    # What one wants to see of the elements of a walk, as far as the type is known to have it.
    "struct task_struct": "pid,comm,prio,mm", "struct module": "name,state",
    "struct super_block": "s_id,s_dev", "struct net_device": "name,flags",
    "struct vm_area_struct": "vm_start,vm_end", "struct kmem_cache": "name,object_size",
    "struct workqueue_struct": "name,flags", "struct rq": "nr_running,curr,clock",
}  # fmt: skip
_TELLING = ("name", "id", "number", "state", "flags", "count", "nr")
_MOST_COLUMNS = 4


def visit_of_walk(visit: Visit, row: MemberRow) -> Visit | None:
    """The walk of the list, tree or array that ``row`` of ``visit`` is; ``None`` if it is none."""
    assert visit.address is not None
    member, path, address = row.member, row.path, visit.address + row.member.offset
    if visit.type in _LISTS or visit.type in _TREES:
        # The place itself is the head, not one of its pointers.
        member = msgspec.structs.replace(member, type=visit.type, name="")
        path, address = "", visit.address
    where = f"{address:#x}"
    walk: ListQuery | TreeQuery
    if member.type in _LISTS:
        walk = ListQuery(start=where, kind=_LISTS[member.type])
    elif member.type in _TREES:
        # Typed, so that the walk finds the root within an rb_root_cached or an idr.
        walk = TreeQuery(start=f"{member.type} {where}", kind=_TREES[member.type])
    elif member.kind == "array" and member.length and member.members:
        element = member.members[0].type
        walk = ListQuery(start=where, kind="array", entry=element, length=member.length,
                         columns=_COLUMNS.get(element, ""))  # fmt: skip
    elif member.kind == "pointer" and member.points_to == visit.type:
        walk = ListQuery(start=f"{visit.address:#x}", kind="member",
                         entry=f"{visit.type}.{row.path}",
                         columns=_COLUMNS.get(visit.type, ""))  # fmt: skip
    else:
        return None
    return Visit(
        expression=f"&{visit.member(path)}" if path else visit.expression,
        address=address, type=member.type, label=path or ELEMENTS_OF_PLACE, face="walk", walk=walk,
        is_start=False,
    )  # fmt: skip


def array_of(visit: Visit, length: int) -> Visit:
    """The place as the first of ``length`` such objects."""
    walk = ListQuery(
        start=f"{visit.address:#x}", kind="array", entry=visit.type, length=length,
        columns=_COLUMNS.get(visit.type, ""),
    )  # fmt: skip
    return Visit(
        expression=visit.expression, address=visit.address, type=visit.type,
        label=f"[{length}]", face="walk", walk=walk, is_start=False,
    )  # fmt: skip


def per_cpu_copies(text: str, type_: str) -> ListQuery:
    """The copies of a per-CPU variable."""
    return ListQuery(start=text, kind="per-cpu", columns=_COLUMNS.get(type_, ""))


def telling_columns(walk: Walk, query: ListQuery | TreeQuery) -> ListQuery | TreeQuery | None:
    """The same walk with the members that tell its elements apart, now that their type is known;
    ``None`` if it has columns, or none are known."""
    if walk.columns or walk.entry_type not in _COLUMNS:
        return None
    return with_columns(walk, query, _COLUMNS[walk.entry_type])


def likely_columns(structure: Structure) -> str:
    """Members of a type that are likely to tell its objects apart: names first, then numbers."""
    simple = ("integer", "enumeration", "boolean", "pointer", "text")
    members = [each for each in structure.members if each.name and each.kind in simple]

    def rank(member: Member) -> int:
        if member.kind == "text" or member.points_to == "char":
            return 0
        return 1 if any(word in member.name for word in _TELLING) else 2

    chosen = sorted(members, key=rank)[:_MOST_COLUMNS]
    return ",".join(member.name for member in members if member in chosen)


def with_columns(walk: Walk, query: ListQuery | TreeQuery, columns: str) -> ListQuery | TreeQuery:
    """The same walk with other columns, its elements of the type that was found."""
    name = f"{walk.entry_type}.{walk.member}" if walk.member else walk.entry_type
    return msgspec.structs.replace(query, entry=query.entry or name, columns=columns)
