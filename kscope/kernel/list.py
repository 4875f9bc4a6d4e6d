"""Lists and arrays, element by element: crash's ``list``."""

from collections.abc import Generator, Iterator
from itertools import islice
from typing import NamedTuple

import msgspec
from drgn import FaultError, Type, TypeKind, sizeof
from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.percpu import per_cpu_ptr

from kscope.kernel.access import fields
from kscope.kernel.access.reading import reason
from kscope.kernel.expression.language import Expressions, Located
from kscope.kernel.objects.identify_address import addresses_of
from kscope.kernel.objects.walkers import BrokenError, Node, Walker
from kscope.kernel.objects.walks import Entries, Way, entries, walk
from kscope.model.base import Part, QueryError
from kscope.model.list import ListQuery, Walk, WalkKind
from kscope.target.target import Target

_KINDS: tuple[WalkKind, ...] = (
    "list", "hlist", "hlist_nulls", "llist", "plist", "member", "array", "per-cpu",
)  # fmt: skip
_KINDS_OF_HEADS: dict[str, WalkKind] = {
    "list_head": "list",
    "hlist_head": "hlist",
    "hlist_nulls_head": "hlist_nulls",
    "llist_head": "llist",
    "plist_head": "plist",
}
_KINDS_OF_NODES: dict[str, WalkKind] = {
    "hlist_node": "hlist",
    "hlist_nulls_node": "hlist_nulls",
    "llist_node": "llist",
    "plist_node": "plist",
}


def list_(target: Target, query: ListQuery) -> Generator[Part[Walk], None, Walk]:
    """Answer a ListQuery."""
    expressions = Expressions(target)
    located = expressions.locate(query.start)
    entry = entry_named(expressions, query.entry)
    if located.place.address is None:
        raise QueryError(f"{query.start} is a type: name a list.")
    head = _head(target, located)
    element = _of_element(target, query, located, entry)
    if element is None:
        kind, embedded = _kind(target, query, located, entry)
    else:
        kind, embedded, head = element.kind, True, head + element.offset
    if kind == "array":
        nodes, found = _array(located, entry, query.length)
    elif kind == "per-cpu":
        nodes, found = _per_cpu(expressions, query, located, entry)
    elif kind == "member":
        nodes, found = _by_member(target, head, entry)
    else:
        nodes = _nodes(target, query, kind, head, embedded)
        found = entries(
            target, kind, head, entry, lambda: _first(_nodes(target, query, kind, head, embedded))
        )
    walked = yield from walk(target, Way(kind, head, nodes, found), query.columns, query.limit)
    if walked.broken is None or walked.broken.pointer == head or query.kind or located.type:
        return walked
    # Nothing but its name was known: what is not broken may look so.
    sentence = f"{walked.broken.sentence} It was walked as a struct list_head: --kind says others."
    broken = msgspec.structs.replace(walked.broken, sentence=sentence)
    return msgspec.structs.replace(walked, broken=broken)


class _Link(NamedTuple):
    """What links the elements of a list."""

    kind: WalkKind
    offset: int
    """From the beginning of an element."""


def _of_element(
    target: Target, query: ListQuery, located: Located, entry: tuple[Type, str] | None
) -> _Link | None:
    """What links START to others, if it is an element as a whole; ``None`` if it is none."""
    type_ = _pointed(located.type)
    if entry is None or type_ is None or type_.type_name() != entry[0].type_name():
        return None
    field, offset = fields.resolve(fields.of_type(target.program, entry[0]), entry[1])
    kind: WalkKind | None = {"list_head": "list", **_KINDS_OF_NODES}.get(field.tag)
    return None if kind is None or query.kind not in ("", kind) else _Link(kind, offset)


def _pointed(type_: Type | None) -> Type | None:
    """The type itself, or of a pointer what it points at."""
    if type_ is not None and _is_pointer(type_):
        return type_.unaliased().type.unqualified()
    return type_


def _is_pointer(type_: Type | None) -> bool:
    return type_ is not None and type_.unaliased_kind() is TypeKind.POINTER


def _head(target: Target, located: Located) -> int:
    """Where the walk begins: of a pointer, what it points at."""
    if not _is_pointer(located.type):
        return int(located.place.address or 0)
    return pointer_at(target, located)


def pointer_at(target: Target, located: Located) -> int:
    """Where the pointer points that is located."""
    try:
        pointer: int = target.program.read_word(int(located.place.address or 0))
    except FaultError as error:
        raise QueryError(
            f"{located.place.expression} cannot be read: {reason(error)}.", kind="unreadable"
        ) from error
    return pointer


def entry_named(expressions: Expressions, text: str) -> tuple[Type, str] | None:
    """Type and member of ``struct task_struct.tasks``; ``None`` of an empty text."""
    if not text.strip():
        return None
    name, _, member = text.strip().partition(".")
    type_ = expressions.type_named(name)
    assert type_ is not None
    return type_, member


def _kind(
    target: Target, query: ListQuery, located: Located, entry: tuple[Type, str] | None
) -> tuple[WalkKind, bool]:
    """What START is to be walked as, and whether it is an element itself."""
    if query.kind:
        for kind in _KINDS:
            if query.kind == kind:
                return kind, query.embedded
        raise QueryError(f"{query.kind} is no kind of list.", f"Kinds: {', '.join(_KINDS)}.")
    type_ = None if located.type is None else located.type.unaliased()
    if type_ is not None and type_.kind is TypeKind.POINTER:
        type_ = type_.type.unaliased()
    tag = type_.tag if type_ is not None and type_.kind is TypeKind.STRUCT else None
    if tag in _KINDS_OF_HEADS:
        return _KINDS_OF_HEADS[tag], query.embedded
    if tag in _KINDS_OF_NODES:
        return _KINDS_OF_NODES[tag], True
    if entry is not None and entry[1]:
        root = fields.of_type(target.program, entry[0])
        if fields.resolve(root, entry[1])[0].kind == "pointer":
            return "member", True
    if located.place.copies:
        return "per-cpu", False
    if type_ is not None and type_.kind is TypeKind.ARRAY:
        return "array", False
    if tag is not None:
        raise QueryError(
            f"{query.start} is a struct {tag}, which is no list.",
            "--entry TYPE.MEMBER walks through a pointer in each element.",
        )
    if located.place.kind == "code" or (type_ is not None and type_.kind is not TypeKind.VOID):
        what = "code" if type_ is None else f"of type {type_.type_name()}"
        raise QueryError(f"{query.start} is {what}, which is no list.",
                         "--kind list walks it as one all the same.")  # fmt: skip
    return "list", query.embedded


def _nodes(
    target: Target, query: ListQuery, kind: WalkKind, head: int, embedded: bool
) -> Iterator[Node]:
    walker = Walker(target.program, addresses_of(target))
    if kind == "list":
        yield from walker.list(head, reverse=query.reverse, embedded=embedded)
        return
    if kind == "plist":
        # Each plist_node is linked by its node_list; the head is one list_head.
        member = "struct plist_node"
        offset = fields.resolve(fields.of_type(target.program, target.program.type(member)),
                                "node_list")[1]  # fmt: skip
        start = head + offset if embedded else head
        for node in walker.list(start, reverse=query.reverse, embedded=embedded):
            yield node._replace(address=node.address - offset)
        return
    ends = (lambda node: bool(node & 1) or not node) if kind == "hlist_nulls" else (
        lambda node: node == 0
    )  # fmt: skip
    if embedded:
        yield Node(head)
    yield from walker.chain(head, ends=ends)


def _first(nodes: Iterator[Node]) -> int | None:
    try:
        return next((node.address for node in islice(nodes, 1)), None)
    except BrokenError:
        return None


def _by_member(
    target: Target, head: int, entry: tuple[Type, str] | None
) -> tuple[Iterator[Node], Entries]:
    if entry is None or not entry[1]:
        raise QueryError("Through which member?", "--entry TYPE.MEMBER names the pointer.")
    type_, member = entry
    field, offset = fields.resolve(fields.of_type(target.program, type_), member)
    if field.kind != "pointer":
        raise QueryError(f"{type_.type_name()}.{member} is no pointer but a {field.type_name}.")
    walker = Walker(target.program, addresses_of(target))
    return walker.linked(head, offset, member), Entries(type_)


def _array(
    located: Located, entry: tuple[Type, str] | None, length: int
) -> tuple[Iterator[Node], Entries]:
    type_ = entry[0] if entry is not None else located.type
    if type_ is None:
        raise QueryError("An array of what?", "--entry TYPE says it.")
    bare = type_.unaliased()
    if bare.kind is TypeKind.ARRAY:
        type_, length = bare.type, length or bare.length or 0
    if length <= 0:
        raise QueryError("How long the array is cannot be told.", "--length N says it.")
    start, size = int(located.place.address or 0), sizeof(type_)
    return (Node(start + i * size, i) for i in range(length)), Entries(type_)


def _per_cpu(
    expressions: Expressions,
    query: ListQuery,
    located: Located,
    entry: tuple[Type, str] | None,
) -> tuple[Iterator[Node], Entries]:
    type_ = entry[0] if entry is not None else located.type
    if located.place.copies:
        # Of pointers such as current_task, the elements are what is said of them.
        follows = entry is not None and _is_pointer(located.type) and not _is_pointer(type_)
        read = expressions.program.read_word if follows else int
        nodes = (Node(read(int(copy.address)), copy.cpu) for copy in located.place.copies)
        return nodes, Entries(type_)
    # A pointer that alloc_percpu() returned.
    program = expressions.program
    named = expressions.evaluate(query.start)
    pointer = named.object
    if pointer is None or pointer.type_.unaliased_kind() is not TypeKind.POINTER:
        raise QueryError(f"{query.start} is no pointer to per-CPU memory.")
    if entry is None:
        type_ = pointer.type_.unaliased().type
    copies = ((cpu, per_cpu_ptr(pointer, cpu).value_()) for cpu in for_each_possible_cpu(program))
    return (Node(address, cpu) for cpu, address in copies), Entries(type_)


ANSWERS = {ListQuery: list_}
