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
        if kind != "member" and query.embedded:
            # An element's own node: crash says -l to that, and lists nodes.
            words.append(f"-l {tag}.{member}")
    if kind == "member":
        words.append(f"-o {tag}.{member}")
    elif kind == "list":
        words.append("-h" if query.embedded else "-H")
        if query.entry and not query.embedded:
            words.append(f"-o {tag}.{member}")
    else:
        words.append("-o 0")
        notes.append(f"of the {kind} crash takes the first node, not the head")
    if query.reverse:
        words.append("-r")
    words.append(crash_start(query.start))
    notes.append(start_note(query.start))
    return Equivalent(" ".join(words), _drgn(query, kind), "; ".join(filter(None, notes)))


def crash_start(start: str) -> str:
    """Where to begin, without the type in ``struct maple_tree 0xffff…``: crash takes none."""
    last = start.rsplit(maxsplit=1)[-1] if start.startswith(("struct ", "union ")) else start
    return last.removeprefix("0x") if last.startswith("0xffff") else last


def start_note(start: str) -> str:
    """What crash cannot take of it; empty where it takes it."""
    taken = all(c.isalnum() or c in "_" for c in crash_start(start))
    return "" if taken else "crash takes addresses and symbols only"


def _drgn(query: ListQuery, kind: str) -> str:
    name, _, member = query.entry.partition(".")
    full = name if " " in name or not name else f"struct {name}"
    start = pointer(query.start)
    columns = [column.strip() for column in query.columns.split(",") if column.strip()]
    shown = ", ".join(["hex(entry)", *(f"entry.{column}" for column in columns)])
    if kind not in _HELPERS:
        return _drgn_elements(query, kind, full, member, shown)
    module, helper, head = _HELPERS[kind]
    typed = f'Object(prog, "{head} *", {start})'
    if not full:
        return (
            f"from drgn import Object\nfrom {module} import {helper}\n\n"
            f"for node in {helper}({typed}):\n    print(hex(node))\n"
        )
    if query.embedded:
        return (
            f"from drgn import Object, container_of\nfrom {module} import {helper}_entry\n\n"
            f'first = container_of({typed}, "{full}", "{member}")\n'
            f'others = {helper}_entry("{full}", first.{member}.address_of_(), "{member}")\n'
            f"for entry in [first, *others]:\n    print({shown})\n"
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
            f"    print(cpu, {shown.replace('hex(entry)', 'hex(entry.address_)')})\n"
        )
    first = f'entry = Object(prog, "{full} *", {pointer(query.start)})\n'
    if kind == "member":
        return (
            f"from drgn import Object\n\n{first}seen = set()\n"
            "while entry and entry.value_() not in seen:\n"
            f"    seen.add(entry.value_())\n    print({shown})\n    entry = entry.{member}\n"
        )
    return (
        f"from drgn import Object\n\n{first}for i in range({query.length}):\n"
        "    print(hex(entry + i), entry[i])\n"
    )


def pointer(start: str) -> str:
    """The address that a start is, as drgn code."""
    if start.startswith(("struct ", "union ")):
        start = start.rsplit(maxsplit=1)[-1]
    try:
        return hex(int(start, 16)) if len(start) > 7 else hex(int(start, 0))
    except ValueError:
        pass
    name, dot, rest = start.lstrip("&").replace("->", ".").partition(".")
    return f'prog["{name}"]{dot}{rest}.address_'


def text(query: ListQuery, result: Walk) -> str:  # noqa: ARG001
    """An address a line, members below it."""
    return rows(result)
