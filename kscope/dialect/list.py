"""Lists and arrays, as crash's ``list -s``."""

from kscope.dialect.views import Equivalent
from kscope.dialect.walked import rows
from kscope.model.list import ListQuery, Walk

QUERY = ListQuery

_HELPERS = {
    "list": ("drgn.helpers.linux.list", "list_for_each", "struct list_head"),
    "hlist": ("drgn.helpers.linux.list", "hlist_for_each", "struct hlist_head"),
    "hlist_nulls": (
        "drgn.helpers.linux.list_nulls", "hlist_nulls_for_each", "struct hlist_nulls_head",
    ),
    "llist": ("drgn.helpers.linux.llist", "llist_for_each", "struct llist_head"),
    "plist": ("drgn.helpers.linux.plist", "plist_for_each", "struct plist_head"),
}  # fmt: skip


def equivalent(query: ListQuery) -> Equivalent:
    """``list`` with the options that walk the same."""
    kind = query.kind or "list"
    name, _, member = query.entry.partition(".")
    tag = name.split()[-1] if name else ""
    notes = []
    words = ["list"]
    if kind in ("array", "per-cpu"):
        columns = f"{tag}.{query.columns}" if query.columns else tag
        count = f" -c {query.length}" if query.length else ""
        crash = f"struct {columns}{count} {query.start}"
        return Equivalent(crash, _drgn(query, kind), "")
    if query.entry and query.columns:
        words.append(f"-s {tag}.{query.columns}")
        if kind != "member":
            words.append(f"-l {tag}.{member}")
    if kind == "member":
        words.append(f"-o {tag}.{member}")
    elif kind == "list":
        words.append("-h" if query.embedded else "-H")
        if query.entry and not query.columns:
            words.append(f"-o {tag}.{member}")
    else:
        words.append("-o 0")
        notes.append(f"of the {kind} crash takes the first node, not the head")
    if query.reverse:
        words.append("-r")
    words.append(
        query.start.removeprefix("0x") if query.start.startswith("0xffff") else query.start
    )
    if not all(c.isalnum() or c in "_" for c in query.start):
        notes.append("crash takes addresses and symbols only")
    return Equivalent(" ".join(words), _drgn(query, kind), "; ".join(notes))


def _drgn(query: ListQuery, kind: str) -> str:
    name, _, member = query.entry.partition(".")
    full = name if " " in name or not name else f"struct {name}"
    start = pointer(query.start)
    columns = [column.strip() for column in query.columns.split(",") if column.strip()]
    shown = ", ".join(f"entry.{column}" for column in columns) or "entry"
    if kind not in _HELPERS:
        return _drgn_elements(query, kind, full, member, shown)
    module, helper, head = _HELPERS[kind]
    typed = f'Object(prog, "{head} *", {start})'
    if not full:
        return (
            f"from drgn import Object\nfrom {module} import {helper}\n\n"
            f"for node in {helper}({typed}):\n    print(node)\n"
        )
    return (
        f"from drgn import Object\nfrom {module} import {helper}_entry\n\n"
        f'for entry in {helper}_entry("{full}", {typed}, "{member}"):\n    print({shown})\n'
    )


def _drgn_elements(query: ListQuery, kind: str, full: str, member: str, shown: str) -> str:
    if kind == "per-cpu":
        return (
            "from drgn.helpers.linux.cpumask import for_each_possible_cpu\n"
            "from drgn.helpers.linux.percpu import per_cpu\n\n"
            "for cpu in for_each_possible_cpu(prog):\n"
            f'    entry = per_cpu(prog["{query.start.partition(":")[0]}"], cpu)\n'
            f"    print(cpu, {shown})\n"
        )
    first = f'entry = Object(prog, "{full} *", {pointer(query.start)})\n'
    if kind == "member":
        return (
            f"from drgn import Object\n\nfirst = {first}"
            f"while entry:\n    print({shown})\n    entry = entry.{member}\n"
            "    if entry == first:\n        break\n"
        )
    return (
        f"from drgn import Object\n\n{first}for i in range({query.length}):\n    print(entry[i])\n"
    )


def pointer(start: str) -> str:
    """The address that a start is, as drgn code."""
    try:
        return hex(int(start, 16)) if len(start) > 7 else hex(int(start, 0))
    except ValueError:
        pass
    name, dot, rest = start.lstrip("&").replace("->", ".").partition(".")
    return f'prog["{name}"]{dot}{rest}.address_'


def text(query: ListQuery, result: Walk) -> str:  # noqa: ARG001
    """An address a line, members below it."""
    return rows(result)
