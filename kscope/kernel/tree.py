"""Trees and XArrays, element by element in order: crash's ``tree``."""

from collections.abc import Generator, Iterator
from itertools import islice

from drgn import TypeKind

from kscope.kernel.expression.language import Expressions, Located
from kscope.kernel.list import entry_named, pointer_at
from kscope.kernel.objects.identify_address import addresses_of
from kscope.kernel.objects.tree_walkers import TreeWalker
from kscope.kernel.objects.walkers import BrokenError, Node
from kscope.kernel.objects.walks import Way, entries, walk
from kscope.model.base import Part, QueryError
from kscope.model.list import Walk, WalkKind
from kscope.model.tree import TreeQuery
from kscope.target.target import Target

_KINDS_OF_ROOTS: dict[str, tuple[WalkKind, str]] = {
    "rb_root": ("rbtree", ""),
    "rb_root_cached": ("rbtree", "rb_root"),
    "maple_tree": ("maple", ""),
    "xarray": ("xarray", ""),
    "radix_tree_root": ("radix", ""),
    "idr": ("radix", "idr_rt"),
    "ida": ("xarray", "xa"),
    "address_space": ("xarray", "i_pages"),
    "mm_struct": ("maple", "mm_mt"),
    "timerqueue_head": ("rbtree", "rb_root"),
    "rb_node": ("rbtree", ""),
    "xa_node": ("xarray", ""),
}
"""What a root is walked as, and the member of it that is the root itself."""
_NODES = ("rb_node", "xa_node")
"""Of them, what is no root: its first word is read as one only to call a sound tree broken."""


def tree(target: Target, query: TreeQuery) -> Generator[Part[Walk], None, Walk]:
    """Answer a TreeQuery."""
    expressions = Expressions(target)
    located = expressions.locate(query.start)
    if located.place.address is None:
        raise QueryError(f"{query.start} is a type: name a tree.")
    kind, root = _kind_and_root(target, query, located)
    walker = TreeWalker(target.program, addresses_of(target))
    ways = {
        "rbtree": walker.rbtree,
        "maple": walker.maple,
        "xarray": walker.xarray,
        "radix": walker.radix,
    }

    def nodes() -> Iterator[Node]:
        for each in ways[kind](root, is_node=query.node):
            yield each if query.position else each._replace(position="")

    entry = entry_named(expressions, query.entry)
    found = entries(target, kind, root, entry, lambda: _first(nodes()))
    way = Way(kind, root, nodes(), found)
    return (yield from walk(target, way, query.columns, query.limit))


def _kind_and_root(target: Target, query: TreeQuery, located: Located) -> tuple[WalkKind, int]:
    address = int(located.place.address or 0)
    type_ = None if located.type is None else located.type.unaliased()
    if type_ is not None and type_.kind is TypeKind.POINTER:
        pointed = type_.type.unaliased()
        if pointed.kind is TypeKind.STRUCT and pointed.tag in _KINDS_OF_ROOTS:
            type_, address = pointed, pointer_at(target, located)
    tag = type_.tag if type_ is not None and type_.kind is TypeKind.STRUCT else None
    known = _KINDS_OF_ROOTS.get(tag or "")
    if tag in _NODES and not query.node:
        raise QueryError(
            f"{query.start} is a struct {tag}, which is no tree's root.",
            "--node walks the tree below it.",
        )
    if known is not None and type_ is not None:
        kind, member = known
        if member:
            address += type_.member(member).offset
        if query.kind in ("", kind) or (query.kind == "xarray" and kind == "radix"):
            return kind, address
    kinds: tuple[WalkKind, ...] = ("rbtree", "maple", "xarray", "radix")
    for kind in kinds:
        if query.kind == kind:
            return kind, address
    if query.kind:
        raise QueryError(f"{query.kind} is no kind of tree.", f"Kinds: {', '.join(kinds)}.")
    if tag is not None:
        raise QueryError(f"{query.start} is a struct {tag}, which is no tree's root.")
    raise QueryError(f"Which kind of tree {query.start} is cannot be told.",
                     f"--kind {' or '.join(kinds)} says it.")  # fmt: skip


def _first(nodes: Iterator[Node]) -> int | None:
    try:
        return next((node.address for node in islice(nodes, 1) if not node.is_value), None)
    except BrokenError:
        return None


ANSWERS = {TreeQuery: tree}
