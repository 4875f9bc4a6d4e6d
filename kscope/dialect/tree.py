"""Trees and XArrays, as crash's ``tree -s``."""

from kscope.dialect.list import crash_start, pointer, start_note
from kscope.dialect.views import Equivalent
from kscope.dialect.walked import rows
from kscope.model.list import Walk
from kscope.model.tree import TreeQuery

QUERY = TreeQuery

_HELPERS = {
    "maple": ("mapletree", "mt_for_each", "struct maple_tree", "first, last, entry"),
    "xarray": ("xarray", "xa_for_each", "struct xarray", "index, entry"),
    "radix": ("radixtree", "radix_tree_for_each", "struct xarray", "index, entry"),
}


def equivalent(query: TreeQuery) -> Equivalent:
    """``tree -t``; of a red-black tree with the offset of the node in its element."""
    kind = query.kind or "rbtree"
    name, _, member = query.entry.partition(".")
    tag = name.split()[-1] if name else ""
    words = ["tree", f"-t {kind}"]
    if kind == "rbtree" and member:
        words.append(f"-o {tag}.{member}")
    if tag and query.columns:
        words.append(f"-s {tag}.{query.columns}")
    words.append(crash_start(query.start))
    return Equivalent(" ".join(words), _drgn(query, kind), start_note(query.start))


def _drgn(query: TreeQuery, kind: str) -> str:
    name, _, member = query.entry.partition(".")
    full = name if " " in name or not name else f"struct {name}"
    columns = [column.strip() for column in query.columns.split(",") if column.strip()]
    shown = ", ".join(["hex(entry)", *(f"entry.{column}" for column in columns)])
    start = pointer(query.start)
    if kind == "rbtree":
        root = f'Object(prog, "struct rb_root *", {start})'
        if not full:
            return (
                "from drgn import Object\n"
                "from drgn.helpers.linux.rbtree import rbtree_inorder_for_each\n\n"
                f"for node in rbtree_inorder_for_each({root}):\n    print(hex(node))\n"
            )
        return (
            "from drgn import Object\n"
            "from drgn.helpers.linux.rbtree import rbtree_inorder_for_each_entry\n\n"
            f'for entry in rbtree_inorder_for_each_entry("{full}", {root}, "{member}"):\n'
            f"    print({shown})\n"
        )
    module, helper, root_type, loop = _HELPERS[kind]
    typed = f'    entry = Object(prog, "{full} *", entry.value_())\n' if full else ""
    return (
        "from drgn import Object\n"
        f"from drgn.helpers.linux.{module} import {helper}\n\n"
        f'for {loop} in {helper}(Object(prog, "{root_type} *", {start})):\n'
        f"{typed}    print({loop.removesuffix('entry')}{shown})\n"
    )


def text(query: TreeQuery, result: Walk) -> str:  # noqa: ARG001
    """An address a line, members below it."""
    return rows(result)
