"""Lists and arrays, as crash's ``list -s``."""

import msgspec

from kscope.dialect import drgn_code, struct
from kscope.dialect.views import Equivalent
from kscope.dialect.walked import rows
from kscope.model.list import ListQuery, Walk

QUERY = ListQuery

_HELPERS = {
    "list": ("list_for_each", "struct list_head"),
    "hlist": ("hlist_for_each", "struct hlist_head"),
    "hlist_nulls": ("hlist_nulls_for_each", "struct hlist_nulls_head"),
    "llist": ("llist_for_each", "struct llist_node"),
    "plist": ("plist_for_each", "struct plist_head"),
}

_ALL = ListQuery(start="").limit


def equivalent(query: ListQuery) -> Equivalent:
    """``list`` with the options that walk the same; of an array ``struct`` or ``p``."""
    kind = query.kind or ("per-cpu" if ":" in query.start else "")
    if not kind:
        return Equivalent("", "", "what START is decides how it is walked")
    name, _, member = query.entry.partition(".")
    tag = name.split()[-1] if name else ""
    if kind == "array":
        return Equivalent(_crash_array(query), _drgn(query, kind))
    if kind == "per-cpu":
        columns = f"{tag}.{query.columns}" if query.columns else tag
        crash = f"struct {columns} {query.start}" if tag else f"p {query.start}"
        return Equivalent(crash, _drgn(query, kind))
    notes = []
    words = ["list"]
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


def answered(query: ListQuery, walk: Walk) -> Equivalent:
    """With what was found out of START; of a list that is broken no more than could be walked."""
    found = equivalent(_settled(query, walk))
    of_copies = walk.kind == "per-cpu" and not query.entry and found.crash.startswith("p ")
    if of_copies and query.columns and walk.entry_type.startswith("struct ") and element(walk):
        # The columns alone, not all of the structure.
        copies = found.crash.removeprefix("p ")
        found = msgspec.structs.replace(found, crash=f"{walk.entry_type}.{query.columns} {copies}")
    return found


def _settled(query: ListQuery, walk: Walk) -> ListQuery:
    ended = walk.broken is not None or walk.truncated
    limit = len(walk.rows) if ended else _ALL
    is_element = bool(walk.rows) and walk.rows[0].node == walk.head
    if walk.kind == "per-cpu":
        # A variable's name stands for all copies; a pointer leads to what alloc_percpu() returned.
        name = query.start.strip()
        is_variable = is_element or walk.entry_type.endswith("*")
        start = f"{name}:a" if name.isidentifier() and is_variable else name
        return msgspec.structs.replace(query, kind=walk.kind, start=start)
    if walk.kind == "array":
        start, entry = query.start.strip(), query.entry
        if not entry and element(walk).startswith(("struct ", "union ")):
            entry = element(walk)
        if entry and walk.rows:
            start = f"{walk.rows[0].node:#x}"
        elif not entry:
            start = start.removeprefix("&")
        return msgspec.structs.replace(
            query, kind=walk.kind, start=start, entry=entry, length=len(walk.rows)
        )
    return msgspec.structs.replace(
        query,
        kind=walk.kind,
        start=f"{walk.head:#x}",
        entry=query.entry if "." in query.entry else element(walk) or query.entry,
        embedded=walk.kind != "member" and (query.embedded or is_element),
        limit=limit,
    )


def element(walk: Walk) -> str:
    """``struct module.list``, as it was found out; empty of a type that has no name."""
    if "<" in walk.entry_type:
        return ""
    return f"{walk.entry_type}.{walk.member}" if walk.member else walk.entry_type


def _crash_array(query: ListQuery) -> str:
    if not query.entry:
        return f"p {query.start}"
    if not struct.is_no_structure(query.entry):
        columns = f".{query.columns}" if query.columns else ""
        count = f" -c {query.length}" if query.length else ""
        name = query.entry.removeprefix("struct ")
        command = "" if name.startswith("union ") else "struct "
        return f"{command}{name}{columns}{count} {crash_start(query.start)}"
    type_ = drgn_code.type_name(query.entry)
    array = struct.cast_to(f"{type_}[{query.length}]" if query.length else type_)
    return f"p *{array}{query.start}"


def crash_start(start: str) -> str:
    """Where to begin, without the type in ``struct maple_tree 0xffff…``: crash takes none."""
    last = start.rsplit(maxsplit=1)[-1] if start.startswith(("struct ", "union ")) else start
    return last.removeprefix("0x") if last.startswith("0xffff") else last


def start_note(start: str) -> str:
    """What crash cannot take of it; empty where it takes it."""
    taken = all(c.isalnum() or c in "_" for c in crash_start(start))
    return "" if taken else "crash takes addresses and symbols only"


def _drgn(query: ListQuery, kind: str) -> str:
    full = _entry(query)[0]
    if not query.limit or "<" in full:
        return ""  # of nothing, or of a type that has no name
    try:
        if kind == "per-cpu":
            return _drgn_per_cpu(query)
        if kind == "array" and not full:
            return _drgn_array(query)
        where = drgn_code.pointed(query.start)
    except drgn_code.UnknownExpressionError:
        return ""
    if kind == "array":
        return _drgn_elements(query, where)
    if kind == "member":
        return _drgn_by_member(query, where)
    return _drgn_from_head(query, kind, where)


def _entry(query: ListQuery) -> tuple[str, str]:
    """The elements' type, as drgn takes it, and the member by which they are linked."""
    name, _, member = query.entry.partition(".")
    return (drgn_code.type_name(name) if name else ""), member


def _columns(query: ListQuery) -> list[str]:
    return [f"entry.{column.strip()}" for column in query.columns.split(",") if column.strip()]


def _shown(query: ListQuery) -> str:
    return ", ".join(["hex(entry)", *_columns(query)])


def _start(where: drgn_code.DrgnCode) -> str:
    return f"{where.setup}start = {where.text}\n"


def _drgn_elements(query: ListQuery, where: drgn_code.DrgnCode) -> str:
    return drgn_code.imports([*where.names, "Object"]) + (
        f'{_start(where)}entry = Object(prog, "{_entry(query)[0]} *", start)\n'
        f"for i in range({query.length}):\n"
        "    print(hex(entry + i), entry[i])\n"
    )


def _drgn_by_member(query: ListQuery, where: drgn_code.DrgnCode) -> str:
    """From one element to the next that its member points at."""
    full, member = _entry(query)
    within = f" and len(seen) < {query.limit}" if query.limit < _ALL else ""
    return drgn_code.imports([*where.names, "Object"]) + (
        f'{_start(where)}entry = Object(prog, "{full} *", start)\nseen = set()\n'
        f"while entry and entry.value_() not in seen{within}:\n"
        f"    seen.add(entry.value_())\n    print({_shown(query)})\n    entry = entry.{member}\n"
    )


def _drgn_from_head(query: ListQuery, kind: str, where: drgn_code.DrgnCode) -> str:
    full, member = _entry(query)
    if query.embedded and kind != "llist" and (kind != "list" or not full):
        return ""  # drgn's helpers begin at heads
    helper, head = _HELPERS[kind]
    begin = _start(where)
    if kind == "llist" and not query.embedded:
        # Of these lists they begin at the first node.
        begin += 'head = Object(prog, "struct llist_head *", start).first\n'
    else:
        begin += f'head = Object(prog, "{head} *", start)\n'
    names = [*where.names, "Object"]
    if not full:
        return drgn_code.imports([*names, helper]) + begin + first_of(
            query.limit, "node", f"{helper}(head)", "print(hex(node))"
        )  # fmt: skip
    all_ = f"{helper}_entry"
    if query.reverse and kind == "list":
        all_ += "_reverse"
    names.append(all_)
    iterable, imports = f'{all_}("{full}", head, "{member}")', ""
    if query.embedded and kind == "list":
        begin += (
            f'first = container_of(head, "{full}", "{member}")\n'
            f'others = {all_}("{full}", first.{member}.address_of_(), "{member}")\n'
        )
        names.append("container_of")
        iterable, imports = "itertools.chain([first], others)", "import itertools\n"
    loop = first_of(query.limit, "entry", iterable, f"print({_shown(query)})")
    return imports + drgn_code.imports(names) + begin + loop


def first_of(limit: int, names: str, iterable: str, body: str) -> str:
    """A loop that ends after ``limit`` of them: drgn's helpers never leave a loop."""
    if limit >= _ALL:
        return f"for {names} in {iterable}:\n    {body}\n"
    inner = f"({names})" if "," in names else names
    return f"for _, {inner} in zip(range({limit}), {iterable}):\n    {body}\n"


def _drgn_array(query: ListQuery) -> str:
    """Of a variable whose type says of what it is an array."""
    array = drgn_code.object_(query.start)
    if array.kind == "number" or array.cpus:
        return ""
    length = str(query.length) if query.length else "len(array)"
    return drgn_code.imports([*array.names, "FaultError"]) + (
        f"{array.setup}array = {array.text}\nfor i in range({length}):\n"
        "    try:\n"
        "        print(hex(array[i].address_), array[i])\n"
        "    except FaultError as error:\n"
        "        print(hex(array[i].address_), error)\n"
    )


def _drgn_per_cpu(query: ListQuery) -> str:
    found = drgn_code.object_(query.start)
    names, cpus, text = set(found.names), found.cpus, found.text
    if not cpus:
        # What alloc_percpu() returned.
        names |= {"for_each_possible_cpu", "per_cpu_ptr"}
        cpus, text = "for_each_possible_cpu(prog)", f"per_cpu_ptr({text}, cpu)[0]"
    shown = ", ".join(["cpu", "hex(entry.address_)", *_columns(query)])
    follow = ""
    if query.entry and not query.entry.endswith("*"):
        names.add("TypeKind")
        follow = "    if entry.type_.kind == TypeKind.POINTER:\n        entry = entry[0]\n"
    return drgn_code.imports(names) + (
        f"for cpu in {cpus}:\n    entry = {text}\n{follow}    print({shown})\n"
    )


def text(query: ListQuery, result: Walk) -> str:  # noqa: ARG001
    """An address a line, members below it."""
    return rows(result)
