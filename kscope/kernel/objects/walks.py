"""From the nodes of a walk to rows with the members one chose, a part at a time."""

import time
from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple

import msgspec
from drgn import Program, Type, TypeKind

from kscope.kernel.access import fields
from kscope.kernel.access.fields import Field
from kscope.kernel.access.memory_image import MemoryImage
from kscope.kernel.access.reading import READ_ERRORS, reason
from kscope.kernel.objects.identify_address import Addresses, addresses_of
from kscope.kernel.objects.type_guesses import entry_of, guesses, known_entry
from kscope.kernel.objects.values import Value, Values
from kscope.kernel.objects.walkers import BrokenError, Node
from kscope.model.base import Address, Part, QueryError, Unreadable
from kscope.model.list import Break, Walk, WalkKind, WalkRow
from kscope.target.target import Target

_SLICE_SECONDS = 0.02
"""After so long the worker may look for other work, and what was found is shown."""
_MANY_UNREADABLE = 20
_SOME_MEMBERS = 4
"""That are named as examples."""


class Entries(NamedTuple):
    """What the elements are."""

    type: Type | None
    """``None`` when only nodes are known."""
    member: str = ""
    """What links them; empty when the nodes are the elements."""
    guessed: str = ""


class _Column(NamedTuple):
    field: Field
    offset: int
    """From the beginning of the element."""


_NODE_TAGS: dict[WalkKind, str] = {
    "list": "list_head",
    "hlist": "hlist_node",
    "hlist_nulls": "hlist_nulls_node",
    "llist": "llist_node",
    "plist": "plist_node",
    "rbtree": "rb_node",
}
"""The structure in each element that a kind of walk goes through."""


def entries(
    target: Target,
    kind: WalkKind,
    head: int,
    entry: tuple[Type, str] | None,
    first: Callable[[], int | None],
) -> Entries:
    """What the elements are: as was said, or else as can be told of the head or the first."""
    tag = _NODE_TAGS.get(kind)
    program, addresses = target.program, addresses_of(target)
    if entry is not None:
        if tag is None:
            return Entries(*entry)
        type_, member = entry
        if member or type_.unaliased_kind() is not TypeKind.STRUCT:
            return Entries(type_, _checked(program, type_, member, tag))
        return Entries(type_, _linking(target, type_, tag, head, first))
    if tag is None:
        return _of_first(program, addresses, first())
    found = known_entry(program, addresses, head)
    if found is None:
        node = first()
        found = None if node is None else entry_of(program, addresses, node, tag)
    if found is None:
        return Entries(None)
    type_, member, why = found
    return Entries(type_, member, f"{type_.type_name()}, for {why}")


def _checked(program: Program, type_: Type, member: str, tag: str) -> str:
    """``member``, which has to be what a list goes through: else all elements would be wrong."""
    if member:
        named = field = fields.resolve(fields.of_type(program, type_), member)[0]
        while field.kind in ("struct", "union") and field.tag != tag and field.fields:
            field = field.fields[0]
        if field.tag != tag and named.points_to != f"struct {tag}":
            raise QueryError(
                f"{type_.type_name()}.{member} is a {named.type_name} and no struct {tag}."
            )
    return member


def _linking(
    target: Target, type_: Type, tag: str, head: int, first: Callable[[], int | None]
) -> str:
    """The member that links elements of a type of which no more was said."""
    program, addresses = target.program, addresses_of(target)
    root = fields.of_type(program, type_)
    if root.tag == tag:
        return ""
    members = [name for name in root.names() if (found := root.find(name)) and found[0].tag == tag]
    if len(members) == 1:
        return members[0]
    node = first()
    known = known_entry(program, addresses, head) or (
        None if node is None else entry_of(program, addresses, node, tag)
    )
    if known is not None and known[0].type_name() == type_.type_name():
        return known[1]
    some = " or ".join(members[:_SOME_MEMBERS])
    raise QueryError(
        f"Which member of {type_.type_name()} links them?",
        f"For example {root.tag}.{some}." if members else f"None of them is a struct {tag}.",
    )


def _of_first(program: Program, addresses: Addresses, entry: int | None) -> Entries:
    """Of entries that are what is held, not nodes in it: as can be told of the first."""
    for guess in guesses(program, addresses, entry) if entry is not None else ():
        if guess.start == entry and guess.type.unaliased_kind() is TypeKind.STRUCT:
            return Entries(guess.type, "", f"{guess.type.type_name()}, for {guess.why}")
    return Entries(None)


class Way(NamedTuple):
    """A walk that is about to begin."""

    kind: WalkKind
    head: int
    nodes: Iterator[Node]
    entries: Entries


def walk(target: Target, way: Way, columns: str, limit: int) -> Generator[Part[Walk], None, Walk]:
    """The rows of the nodes on ``way``."""
    kind, head, nodes, found = way
    rows = _Rows(target, found, columns)
    empty = Walk(
        kind=kind,
        head=Address(head),
        entry_type="" if found.type is None else found.type.type_name(),
        member=found.member,
        columns=rows.names,
        rows=(),
        guessed=found.guessed,
    )
    shown = 0
    broken: Break | None = None
    truncated = False
    deadline = time.monotonic() + _SLICE_SECONDS
    try:
        for count, node in enumerate(nodes):
            if count >= limit:
                truncated = True
                break
            rows.add(node)
            if time.monotonic() >= deadline:
                fresh = tuple(rows.rows[shown:])
                yield Part(msgspec.structs.replace(empty, rows=fresh, first=shown))
                shown = len(rows.rows)
                deadline = time.monotonic() + _SLICE_SECONDS
    except BrokenError as error:
        broken = Break(
            sentence=error.sentence + ".",
            position=error.position,
            node=Address(error.node),
            pointer=Address(error.pointer),
        )
    return msgspec.structs.replace(
        empty,
        rows=tuple(rows.rows),
        broken=broken,
        truncated=truncated,
        unreadable=tuple(rows.unreadable),
    )


class _Rows:
    """Makes rows of nodes."""

    def __init__(self, target: Target, found: Entries, columns: str) -> None:
        self._program = target.program
        self._addresses: Addresses = addresses_of(target)
        self._values = Values(target, self._addresses)
        self.names = tuple(name.strip() for name in columns.split(",") if name.strip())
        self.rows: list[WalkRow] = []
        self.unreadable: list[Unreadable] = []
        self._typed = found.type is not None
        self._back = 0
        self._columns: list[_Column] = []
        if found.type is None:
            if self.names:
                raise QueryError(
                    "The type of the elements is not known, so they have no columns.",
                    "--entry TYPE.MEMBER says what they are and what links them.",
                )
            return
        root = fields.of_type(target.program, found.type)
        if found.member:
            self._back = fields.resolve(root, found.member)[1]
        self._columns = [_Column(*fields.resolve(root, name)) for name in self.names]
        # What the columns span is read at once for each element.
        self._from = min((column.offset for column in self._columns), default=0)
        self._to = max((column.offset + column.field.size for column in self._columns), default=0)

    def add(self, node: Node) -> None:
        entry = node.address - self._back
        if node.is_value:
            # An XArray keeps an integer shifted by one, its lowest bit set.
            what = f"value {node.address >> 1:#x}"
            self.rows.append(
                WalkRow(Address(node.address), Address(node.address), (), node.key, node.last,
                        node.depth, what, node.position)
            )  # fmt: skip
            return
        what = "" if self._typed else self._addresses.identify(node.address).text
        self.rows.append(
            WalkRow(Address(node.address), Address(entry), self._read(entry), node.key, node.last,
                    node.depth, what, node.position)
        )  # fmt: skip

    def _read(self, entry: int) -> tuple[Value, ...]:
        if not self._columns:
            return ()
        image = MemoryImage(self._program, entry + self._from, self._to - self._from)
        return tuple(self._cell(column, image, entry) for column in self._columns)

    def _cell(self, column: _Column, image: MemoryImage, entry: int) -> Value:
        offset = column.offset - self._from
        try:
            field, offset = _unwrapped(column.field, offset)
            if field.kind in ("struct", "union", "array", "opaque"):
                return self._values.summary(field, image, offset)
            value = self._values.value(field, image, offset)
        except READ_ERRORS as error:
            if len(self.unreadable) < _MANY_UNREADABLE:
                self.unreadable.append(
                    Unreadable(f"{column.field.name} of {entry:x}", reason(error))
                )
            return None
        if field.kind == "pointer" and isinstance(value, int):
            text = self._values.string_at(value) if field.points_to == "char" and value else ""
            return f"{value:#x} {text}".rstrip()
        if field.kind == "enumeration" and isinstance(value, int):
            return field.enumerators.get(value, value)
        return value


def _unwrapped(field: Field, offset: int) -> tuple[Field, int]:
    """The one value in an ``atomic_t`` and its like."""
    while field.kind in ("struct", "union") and len(field.fields) == 1:
        field = field.fields[0]
        offset += field.offset
    return field, offset
