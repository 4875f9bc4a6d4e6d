"""Where pointers and names lead on the Inspect screen: to a place, or to a choice of types."""

import re
from dataclasses import replace

from kscope.model.address import AddressQuery, AddressState
from kscope.model.base import QueryError
from kscope.model.expressions import Place
from kscope.model.list import Walk, WalkRow
from kscope.screens.inspect_queries import node_in
from kscope.screens.inspect_visits import Face, Visit
from kscope.screens.inspect_walks import per_cpu_copies
from kscope.screens.links import AddressLink, Link, SymbolLink
from kscope.screens.member_rows import MemberRow

_LEADS_NOWHERE = ("null", "small", "error", "poison", "non-canonical")
_ALL_BITS = (1 << 64) - 1


def text_of_link(link: Link) -> str:
    """What the address bar takes for a link; empty for one that leads to another screen."""
    if isinstance(link, AddressLink):
        return f"{link.type} {link.address:#x}" if link.type else f"{link.address:#x}"
    if isinstance(link, SymbolLink):
        return f"{link.name}+{link.offset:#x}" if link.offset else link.name
    return ""


def named_place(text: str, place: Place) -> Visit:
    """A place that was named.

    :param text: its name, as it was typed.
    """
    if place.kind == "code" and place.address is not None:
        return _code(place.what or text, int(place.address))
    faces: dict[str, Face] = {"type": "layout", "memory": "address"}
    visit = Visit(
        expression=place.expression,
        address=None if place.address is None else int(place.address),
        type=place.type,
        label=text,
        face=faces.get(place.kind, "members"),
        members=place.members,
        query_type=place.expression if "<anonymous>" in place.type else "",
    )
    if place.copies:
        visit.face = "walk"
        visit.walk = per_cpu_copies(text if ":" in text else place.expression, place.type)
    return visit


_FUNCTION = re.compile(r"([A-Za-z_]\w*)(?:\+(0x[0-9a-f]+))?")


def _code(function: str, address: int) -> Visit:
    match = _FUNCTION.fullmatch(function.partition(" ")[0])
    expression = f"(void *){address:#x}"  # the name of a clone, as foo.isra.0, is none in C
    if match is not None:
        expression = match[1] if match[2] is None else f"(void *){match[1]} + {match[2]}"
    return Visit(expression, address, label=function, face="code", function=function)


def linked_place(text: str, place: Place) -> Visit:
    """A place that was followed to from a word of memory or an instruction.

    :param text: its address.
    """
    visit = named_place(text, place)
    return replace(visit, label=visit.function, is_start=False)


def cast_place(pointer: str, label: str, address: int, text: str, place: Place) -> Visit:
    """What was reached another way, as another type.

    :param pointer: C for the pointer to it.
    :param label: which member it is; empty for the place itself.
    :param text: the type, as it was typed.
    """
    visit = named_place(text, place)
    if visit.address == address and visit.type and not visit.expression.startswith("&"):
        visit = replace(visit, expression=f"({visit.type} *){pointer}")
    return replace(visit, label=f"{label} as {text}".lstrip(), is_start=False)


def address_in(row: MemberRow) -> int | None:
    """The address that is the value of a pointer, or of an integer that has one."""
    member = row.member
    if member.kind == "pointer":
        return int(str(member.value), 16)
    if member.target and isinstance(member.value, int):
        return member.value & _ALL_BITS
    return None


def pointer_leads(visit: Visit, row: MemberRow, address: int) -> Visit | AddressQuery:
    """The place that a pointer leads to; where its type does not tell, what asks which fit.

    :raises QueryError: if it leads nowhere.
    """
    member = row.member
    pointed = member.points_to
    if member.target_kind in _LEADS_NOWHERE:
        raise QueryError(f"{row.path} is {member.target}: there is nothing to follow")
    if member.target_kind == "function" or "(" in pointed:
        return _followed(visit, row, address, "", "code")
    if not pointed or node_in(pointed):
        return AddressQuery(address=f"{address:#x}", node=pointed.removeprefix("struct "))
    if pointed == "char":
        return _followed(visit, row, address, "", "memory")
    return _followed(visit, row, address, pointed, "members")


def _followed(visit: Visit, row: MemberRow, address: int, type_: str, face: Face) -> Visit:
    return Visit(
        expression=visit.member(row.path), address=address, type=type_, label=row.path, face=face,
        is_start=False,
    )  # fmt: skip


def what_holds(visit: Visit) -> AddressQuery:
    """What asks which objects the place may lie in."""
    return AddressQuery(address=f"{visit.address:#x}", node=node_in(visit.type) or "list_head")


def without_a_choice(
    visit: Visit, row: MemberRow | None, address: int, state: AddressState
) -> Visit | None:
    """Where to go when there is no choice of types; ``None`` if the reader is to choose.

    :param row: the pointer that was followed; ``None`` if it is asked what holds ``address``.
    """
    certain = [each for each in state.types if each.certain]
    if len(certain) == 1 and row is not None:
        return as_type(row.path, certain[0].type, int(certain[0].start))
    if state.types:
        return None
    if row is not None and row.member.points_to:
        return _followed(visit, row, address, row.member.points_to, "members")
    label = row.path if row is not None else ""
    return Visit(f"(void *){address:#x}", address, label=label, face="address", is_start=False)


def as_type(label: str, type_: str, start: int) -> Visit:
    """An object of which it was found out, or chosen, what it is."""
    return Visit(f"({type_} *){start:#x}", start, type_, label, is_start=False)


def element(walk: Walk, row: WalkRow) -> Visit:
    """An element of a walk as an object, where its type is known."""
    return as_type("", walk.entry_type, int(row.entry))
