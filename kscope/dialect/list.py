"""Lists and arrays, as crash's ``list -s``."""

from kscope.dialect import drgn_code
from kscope.dialect.views import Equivalent
from kscope.dialect.walked import rows
from kscope.model.list import ListQuery, Walk

QUERY = ListQuery

_HELPERS = {
    "list": ("list_for_each", "struct list_head"),
    "hlist": ("hlist_for_each", "struct hlist_head"),
    "hlist_nulls": ("hlist_nulls_for_each", "struct hlist_nulls_head"),
    "llist": ("llist_for_each", "struct llist_head"),
    "plist": ("plist_for_each", "struct plist_head"),
}


def equivalent(query: ListQuery) -> Equivalent:
    """``list`` with the options that walk the same."""
    kind = query.kind or ("per-cpu" if ":" in query.start else "list")
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
    full = drgn_code.type_name(name) if name else ""
    columns = [column.strip() for column in query.columns.split(",") if column.strip()]
    shown = ", ".join(["hex(entry)", *(f"entry.{column}" for column in columns)])
    try:
        if kind == "per-cpu":
            return _drgn_per_cpu(query, columns)
        where = drgn_code.pointed(query.start)
        if not query.kind and not query.entry and "." in query.start:
            return ""  # only its type says whether it is a list or an array
    except drgn_code.UnknownExpressionError:
        return ""
    begin = f"{where.setup}start = {where.text}\n"
    if kind == "array":
        return drgn_code.imports([*where.names, "Object"]) + (
            f'{begin}entry = Object(prog, "{full} *", start)\n'
            f"for i in range({query.length}):\n"
            "    print(hex(entry + i), entry[i])\n"
        )
    if kind == "member":
        return drgn_code.imports([*where.names, "Object"]) + (
            f'{begin}entry = Object(prog, "{full} *", start)\nseen = set()\n'
            "while entry and entry.value_() not in seen:\n"
            f"    seen.add(entry.value_())\n    print({shown})\n    entry = entry.{member}\n"
        )
    helper, head = _HELPERS[kind]
    begin += f'head = Object(prog, "{head} *", start)\n'
    names = [*where.names, "Object"]
    if not full:
        return drgn_code.imports([*names, helper]) + (
            f"{begin}for node in {helper}(head):\n    print(hex(node))\n"
        )
    all_ = f"{helper}_entry"
    if query.reverse and kind == "list":
        all_ += "_reverse"
    names.append(all_)
    if query.embedded:
        return drgn_code.imports([*names, "container_of"]) + (
            f'{begin}first = container_of(head, "{full}", "{member}")\n'
            f'others = {all_}("{full}", first.{member}.address_of_(), "{member}")\n'
            f"for entry in [first, *others]:\n    print({shown})\n"
        )
    return drgn_code.imports(names) + (
        f'{begin}for entry in {all_}("{full}", head, "{member}"):\n    print({shown})\n'
    )


def _drgn_per_cpu(query: ListQuery, columns: list[str]) -> str:
    found = drgn_code.object_(query.start)
    names, cpus, text = set(found.names), found.cpus, found.text
    if not cpus:
        # What alloc_percpu() returned.
        names |= {"for_each_possible_cpu", "per_cpu_ptr"}
        cpus, text = "for_each_possible_cpu(prog)", f"per_cpu_ptr({text}, cpu)[0]"
    shown = ", ".join(["cpu", "hex(entry.address_)", *(f"entry.{each}" for each in columns)])
    return drgn_code.imports(names) + (
        f"for cpu in {cpus}:\n    entry = {text}\n    print({shown})\n"
    )


def text(query: ListQuery, result: Walk) -> str:  # noqa: ARG001
    """An address a line, members below it."""
    return rows(result)
