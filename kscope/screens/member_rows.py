"""Members of an object as rows of a tree, and what each column says of them."""

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, replace

from kscope.model.struct import Member
from kscope.widgets.line import Cell, Line, Span, line
from kscope.widgets.table import Column, Fold

_ALARMING = ("TASK_UNINTERRUPTIBLE",)
_LIST_TYPES = ("struct list_head", "struct hlist_head", "struct llist_head", "struct plist_head")
_SUMMARY = 3
"""Members of a folded structure that are named in its row."""


@dataclass(frozen=True)
class MemberRow:
    """A member, or the place of the elements of an array that are not here yet."""

    member: Member
    path: str
    """C for the member, from the object: ``se.load.weight``, ``queue[3].next``."""
    key: str
    """Distinct also for members without a name."""
    depth: int
    is_open: bool | None
    more: int = 0
    """Elements that are left; of them only their number is shown."""
    matches: bool = True
    """Under a filter: whether it is not shown only for what is in it."""

    @property
    def fold(self) -> Fold:
        """Its place in the tree."""
        return Fold(self.depth, self.is_open)


def member_rows(
    members: tuple[Member, ...],
    toggled: Container[str],
    *,
    path: str = "",
    key: str = "",
    depth: int = 0,
) -> Iterator[MemberRow]:
    """The rows of ``members`` and of what is open below them.

    :param toggled: keys of those that are not as they are by default: closed, or without a name
        open, as C shows them.
    """
    for index, member in enumerate(members):
        own_key = f"{key}.{member.name or index}"
        own_path = join(path, member.name)
        is_open = None
        if member.members:
            is_open = (not member.name) is not (own_key in toggled)
        yield MemberRow(member, own_path, own_key, depth, is_open)
        if is_open:
            yield from member_rows(
                member.members, toggled, path=own_path, key=own_key, depth=depth + 1
            )
            left = (member.length or 0) - _end(member)
            if member.kind == "array" and left > 0:
                yield MemberRow(member, own_path, f"{own_key}…", depth + 1, None, left)


def is_nested(row: MemberRow) -> bool:
    """Whether it is an object of its own in the place, or lies in one."""
    compound = row.member.kind in ("struct", "union", "array")
    return bool(row.path) and not row.more and (compound or row.depth > 0)


class _Everything(Container[str]):
    """The keys of all members with a name: what is toggled when everything is open."""

    def __contains__(self, key: object) -> bool:
        return not str(key).rpartition(".")[2].isdecimal()


def _everything(members: tuple[Member, ...]) -> Iterator[MemberRow]:
    """The rows with everything open, but for what is said of elements that are not here."""
    return (row for row in member_rows(members, _Everything()) if not row.more)


def matching_rows(
    members: tuple[Member, ...], matches: Callable[[MemberRow], bool]
) -> Iterator[MemberRow]:
    """The rows that match, in whatever they are folded, each below what it is in."""
    outer: list[MemberRow] = []
    shown = 0
    for row in _everything(members):
        del outer[row.depth :]
        shown = min(shown, len(outer))
        outer.append(row)
        if matches(row):
            yield from (replace(each, matches=False) for each in outer[shown:-1])
            yield row
            shown = len(outer)


def path_to(members: tuple[Member, ...], key: str) -> list[MemberRow]:
    """What the member with this key is in, from the outside."""
    outer: list[MemberRow] = []
    for row in _everything(members):
        del outer[row.depth :]
        if row.key == key:
            return outer
        outer.append(row)
    return []


def join(path: str, name: str) -> str:
    """C for the member ``name`` of ``path``."""
    if not path or not name:
        return path or name
    return path + name if name.startswith("[") else f"{path}.{name}"


def _end(array: Member) -> int:
    """How many of the first elements are there."""
    last = array.members[-1].name
    return int(last[1:-1]) + 1 if last.startswith("[") else len(array.members)


def offset_cell(row: MemberRow) -> Cell:
    """The offset in the object, in hexadecimal as in disassembled code."""
    if row.more:
        return ""
    return (f"{row.member.offset:x}", "dim")


def type_cell(row: MemberRow) -> Cell:
    """The type as C writes it, a level further in for each level of the tree."""
    if row.more:
        return ""
    return [Span("  " * row.depth), Span(type_name(row.member))]


def type_name(member: Member) -> str:
    """``struct {…}`` for one without a tag; a bit-field with its width."""
    name = member.type.replace("<anonymous>", "{…}")
    if member.bit_size is not None:
        return f"{name} : {member.bit_size}"
    return name


def member_cell(row: MemberRow) -> Cell:
    """The name."""
    if row.more:
        return (f"… {row.more:,} more", "dim")
    return row.member.name or ("{…}" if row.member.members else "", "dim")


def value_cell(row: MemberRow, *, hexadecimal: bool = False) -> Cell:
    """The value, what it means and what it points at."""
    if row.more:
        return ("enter shows the next", "dim")
    member = row.member
    if member.why:
        return (f"unreadable: {member.why}", "critical")
    if member.kind == "pointer":
        return _pointer(member)
    if member.kind in ("struct", "union", "array", "opaque"):
        return _compound(member, opened=bool(row.is_open))
    if member.kind == "text":
        return f'"{member.value}"'
    return _number(member, hexadecimal=hexadecimal)


def _pointer(member: Member) -> Cell:
    value = str(member.value).removeprefix("0x")
    if member.target_kind == "null":
        return [Span("0 "), Span("NULL", "dim")]
    role = "link"
    said = "dim"
    if member.target_kind in ("poison", "non-canonical", "free-slab"):
        role = said = "warning"
    elif member.target_kind in ("error", "small", "user", "unmapped"):
        role = ""
    spans = [Span(value, role)]
    if member.meaning:
        spans += [Span(" "), Span(member.meaning)]
    if member.target and not (member.meaning and member.target_kind in ("symbol", "direct")):
        spans += [Span(" "), Span(member.target, said)]
    return spans


def _compound(member: Member, *, opened: bool) -> Cell:
    if member.meaning:
        spans = [Span(member.meaning, "warning" if member.meaning.startswith("broken") else "")]
        if member.type in _LIST_TYPES and "entr" in member.meaning:
            spans += [Span(" l walks it", "dim")]
        return spans
    if opened:
        return ("{…}", "dim")
    if member.kind == "array":
        return _array(member)
    only = _wrapped(member)
    if only is not None:
        return value_cell(MemberRow(only, "", "", 0, None))
    words = [
        f"{inner.name} {_plain(inner)}"
        for inner in member.members
        if inner.name and _plain(inner) and inner.value not in (0, "0x0", False, "")
    ]
    if not words:
        return ("{…}", "dim")
    more = " …" if len(words) > _SUMMARY else ""
    return (", ".join(words[:_SUMMARY]) + more, "dim")


def _wrapped(member: Member) -> Member | None:
    """The one value in an ``atomic_t`` and its like."""
    while len(member.members) == 1 and member.kind in ("struct", "union"):
        member = member.members[0]
    return None if member.members or member.kind in ("struct", "union", "array") else member


def _array(member: Member) -> Cell:
    if member.length == 0 or not member.members:
        return ("no elements" if member.length == 0 else "{…}", "dim")
    values = [_plain(element) for element in member.members[:8]]
    if all(values):
        more = ", …" if (member.length or 0) > 8 else ""
        return "{" + ", ".join(values) + more + "}"
    return (f"{member.length:,} elements" if member.length is not None else "{…}", "dim")


def _plain(member: Member) -> str:
    if member.kind in ("struct", "union", "array", "opaque"):
        wrapped = _wrapped(member)
        return _plain(wrapped) if wrapped is not None else member.meaning
    if member.kind == "enumeration" and member.meaning:
        return member.meaning
    if member.kind == "text":
        return f'"{member.value}"'
    if member.kind == "integer" and member.target and isinstance(member.value, int):
        return member.meaning or f"{member.value & (1 << 64) - 1:x}"
    return str(member.value).removeprefix("0x") if member.kind == "pointer" else str(member.value)


def _number(member: Member, *, hexadecimal: bool) -> Cell:
    value, meaning = member.value, member.meaning
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, int):
        return str(value)
    shown = str(value)
    flags = meaning[:1].isupper() or "_" in meaning.split("|")[0]
    if hexadecimal:
        shown = f"{value:#x}"
    elif member.kind == "integer" and flags and value > 9:
        shown = f"{value:0{2 * member.size}x}"
    if member.target and not hexadecimal:
        # An address in an unsigned long, or in an atomic_long_t.
        said = meaning or member.target
        return [Span(f"{value & (1 << 64) - 1:x}", "link"), Span(" "), Span(said, "dim")]
    if member.kind == "character":
        code = value & 0xFF
        text = chr(code) if 0x20 <= code < 0x7F else f"\\{code:03o}"
        return [Span(shown), Span(f" '{text}'", "dim")]
    if not meaning:
        return shown
    role = "critical" if any(word in meaning for word in _ALARMING) else "dim"
    return [Span(shown), Span(" "), Span(meaning, role)]


def member_title(row: MemberRow) -> Line:
    """The member as C declares it, and its value: what the columns may have cut."""
    value = line(value_cell(row))
    declared = f"{type_name(row.member)} {row.path}".rstrip()
    return [Span(f"{declared} "), Span("= ", "dim"), *value]


def columns(cells: int, *, hexadecimal: bool) -> list[Column[MemberRow]]:
    """The four columns in a table ``cells`` wide."""
    wide = cells >= 100
    return [
        Column("OFFSET" if wide else "OFFS", offset_cell, width=8 if wide else 4, right=True),
        Column("TYPE", type_cell, width=cells * 26 // 100 if wide else cells * 22 // 100),
        Column("MEMBER", member_cell, width=cells * 22 // 100 if wide else cells * 24 // 100,
               tree=True),
        Column("VALUE", lambda row: value_cell(row, hexadecimal=hexadecimal), minimum=20),
    ]  # fmt: skip
