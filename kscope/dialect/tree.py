"""Trees and XArrays, as crash's ``tree -s``."""

import msgspec

from kscope.dialect import drgn_code
from kscope.dialect.list import crash_start, element, first_of, start_note
from kscope.dialect.views import Equivalent
from kscope.dialect.walked import rows
from kscope.model.list import Walk
from kscope.model.tree import TreeQuery

QUERY = TreeQuery

_HELPERS = {
    "rbtree": ("rbtree_inorder_for_each", "struct rb_root", "entry"),
    "maple": ("mt_for_each", "struct maple_tree", "first, last, entry"),
    "xarray": ("xa_for_each", "struct xarray", "index, entry"),
    "radix": ("radix_tree_for_each", "struct xarray", "index, entry"),
}
_ROOTS_IN = {
    "address_space": ("struct address_space", "i_pages"),
    "mm_struct": ("struct mm_struct", "mm_mt"),
}
"""Structures that may be named in place of the root in them; in all others it comes first."""
_KINDS = {
    "maple_tree": "maple", "mm_struct": "maple", "xarray": "xarray", "address_space": "xarray",
    "ida": "xarray", "idr": "radix", "radix_tree_root": "radix",
}  # fmt: skip


def equivalent(query: TreeQuery) -> Equivalent:
    """``tree -t``; of a red-black tree with the offset of the node in its element."""
    kind = query.kind or _KINDS.get(_type_of(query.start), "rbtree")
    name, _, member = query.entry.partition(".")
    tag = name.split()[-1] if name else ""
    words = ["tree", f"-t {kind}"]
    if kind == "rbtree" and member:
        words.append(f"-o {tag}.{member}")
    if tag and query.columns:
        words.append(f"-s {tag}.{query.columns}")
    if query.position:
        words.append("-p")
    if query.node:
        words.append("-N")
    words.append(crash_start(query.start))
    return Equivalent(" ".join(words), _drgn(query, kind), start_note(query.start))


def answered(query: TreeQuery, walk: Walk) -> Equivalent:
    """With the kind, root and elements that were found; no more of them than could be walked."""
    if query.node:
        return equivalent(msgspec.structs.replace(query, kind=walk.kind))
    ended = walk.broken is not None or walk.truncated
    return equivalent(
        msgspec.structs.replace(
            query,
            kind=walk.kind,
            start=f"{walk.head:#x}",
            entry=query.entry if "." in query.entry else element(walk) or query.entry,
            limit=len(walk.rows) if ended else TreeQuery(start="").limit,
        )
    )


def _drgn(query: TreeQuery, kind: str) -> str:
    name, _, member = query.entry.partition(".")
    full = drgn_code.type_name(name) if name else ""
    columns = [column.strip() for column in query.columns.split(",") if column.strip()]
    shown = ", ".join(["hex(entry)", *(f"entry.{column}" for column in columns)])
    try:
        where = drgn_code.address(query.start)
        if not query.kind and not _type_of(query.start):
            return ""  # only its type says which kind of tree it is
        if not query.limit or "<" in full:
            return ""  # of nothing, or of a type that has no name
        if query.node:
            return _drgn_below_node(kind, where)
    except drgn_code.UnknownExpressionError:
        return ""
    helper, type_, loop = _HELPERS[kind]
    begin = f"{where.setup}start = {where.text}\n"
    outer, inner = _ROOTS_IN.get(_type_of(query.start), ("", ""))
    if outer:
        begin += f'root = Object(prog, "{outer} *", start).{inner}.address_of_()\n'
    else:
        begin += f'root = Object(prog, "{type_} *", start)\n'
    names = [*where.names, "Object"]
    if kind == "rbtree" and full:
        nodes = f'{helper}_entry("{full}", root, "{member}")'
        return drgn_code.imports([*names, f"{helper}_entry"]) + begin + first_of(
            query.limit, "entry", nodes, f"print({shown})"
        )  # fmt: skip
    typed = f'entry = Object(prog, "{full} *", entry.value_())\n    ' if full else ""
    body = f"{typed}print({loop.removesuffix('entry')}{shown})"
    return drgn_code.imports([*names, helper]) + begin + first_of(
        query.limit, loop, f"{helper}(root)", body
    )  # fmt: skip


def _drgn_below_node(kind: str, where: drgn_code.DrgnCode) -> str:
    """drgn's helpers begin at roots; of a red-black tree it is easily done without them."""
    if kind != "rbtree":
        return ""
    return drgn_code.imports([*where.names, "Object"]) + (
        "def inorder(node):\n"
        "    if node:\n"
        "        yield from inorder(node.rb_left)\n"
        "        yield node\n"
        "        yield from inorder(node.rb_right)\n\n"
        f'{where.setup}for node in inorder(Object(prog, "struct rb_node *", {where.text})):\n'
        "    print(hex(node))\n"
    )


def _type_of(start: str) -> str:
    """``mm_struct`` of ``struct mm_struct 0xffff…``; empty where no type is named."""
    words = start.removeprefix("struct ").split()
    return words[0] if len(words) > 1 else ""


def text(query: TreeQuery, result: Walk) -> str:  # noqa: ARG001
    """An address a line, members below it."""
    return rows(result, "tree")
