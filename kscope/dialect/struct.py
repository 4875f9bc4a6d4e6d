"""An object or its layout, as crash's ``struct`` and ``struct -o``."""

import re
from collections.abc import Iterator

import msgspec

from kscope.dialect import drgn_code
from kscope.dialect.views import Equivalent
from kscope.model.struct import Member, StructQuery, Structure

QUERY = StructQuery

_TYPED = re.compile(r"(?!pid\b|task\b)[A-Za-z_][\w ]*(\.[\w.,\[\]]+)?\s+[&*(\w]")
"""``task_struct.pid,comm init_task``"""
_NOT_IN_C = re.compile(r"\b(?:pid|task)\s+\d|\w:|\bper_cpu(?:_ptr)?\s*\(|\bcontainer_of\s*\(")
_REPEATS = 10
"""Equal elements of an array from which on gdb writes one and their number."""


def equivalent(query: StructQuery) -> Equivalent:
    """``struct`` with crash's options; for a variable without a type, ``p``."""
    name, _, members = query.type.strip().partition(".")
    members = query.members or members
    dotted = f"{name}.{members}" if members else name
    options = " -o" if query.offsets else ""
    notes = []
    if query.embedded:
        member = query.embedded
        tag = name.split()[-1]
        offset = member if member[:1].isdigit() or "." in member else f"{tag}.{member}"
        options += f" -l {offset}"
    if query.count > 1:
        options += f" -c {query.count}"
    if "[" in members:
        notes.append("crash takes no index there")
    words = name.split()
    command = words[0] if words[:1] in (["struct"], ["union"]) else "struct"
    crash = f"{command}{options} {dotted.removeprefix(command).strip()}"
    if query.address and is_no_structure(name):
        # Of what is no structure, such as a variable that is a pointer: gdb's words.
        cast = cast_to(drgn_code.type_name(name))
        crash = f"p *{cast}{_in_c(query.address)}"
    elif query.address:
        crash += f" {_crash_address(query.address)}"
        if not _plain(query.address):
            notes.append("crash takes addresses and symbols only: the rest is p's or gdb's")
    elif query.type.isidentifier() and not (query.offsets or query.members):
        # A variable or a type: crash's struct takes the one, p the other.
        crash = f"whatis {query.type}"
        notes.append("p shows the value of a variable")
    elif words[:1] == ["enum"]:
        crash = f"whatis {name}"
    elif not _is_type(query.type):
        crash = f"p {_value_of(query.type)}"
    return Equivalent(crash, _drgn(query, name, members), "; ".join(notes))


def answered(query: StructQuery, result: Structure) -> Equivalent:
    """By type and address, where it was left to the target what is a type, what a variable."""
    found = _answered(query, result)
    if not result.unreadable or not found.drgn:
        return found
    begin = drgn_code.imports(["FaultError"])
    code = f"{begin}try:\n{_indented(found.drgn)}except FaultError as error:\n    print(error)\n"
    return msgspec.structs.replace(found, drgn=code)


def _answered(query: StructQuery, result: Structure) -> Equivalent:
    replace = msgspec.structs.replace
    members = query.members or query.type.strip().partition(".")[2]
    has_tag = result.type.startswith(("struct ", "union ", "enum ")) and "<" not in result.type
    if result.address is None:
        return equivalent(replace(query, type=result.type, members=members) if has_tag else query)
    if not query.address and (found := _by_place(query, result)) is not None:
        return found
    name = query.address or query.type
    if result.label and query.count == 1:
        # Copies of a per-CPU variable.
        copies = f"{name}:a" if name.isidentifier() else name
        if query.address:
            return equivalent(replace(query, address=copies))
        if has_tag and name.isidentifier():
            return equivalent(replace(query, type=result.type, address=copies))
        return equivalent(replace(query, type=copies, offsets=False))
    if query.embedded:
        return equivalent(query)
    if query.address:
        return equivalent(replace(query, address=f"{result.address:#x}"))
    if name.isidentifier() and has_tag and not result.type.endswith(("]", "*")):
        return equivalent(replace(query, type=result.type, address=f"{result.address:#x}"))
    # What is no structure has no offsets.
    variable = f"*&{name}" if name.isidentifier() else name
    return equivalent(replace(query, type=variable, offsets=False))


def _by_place(query: StructQuery, result: Structure) -> Equivalent | None:
    """In crash by type and address what neither it nor gdb takes: tasks by PID, copies of per-CPU
    variables, a type in front; ``None`` of all else."""
    typed = _TYPED.match(query.type.strip())
    if (typed is None and _NOT_IN_C.search(query.type) is None) or "<" in result.type:
        return None
    members = query.members
    if not members and typed is not None:
        members = (typed[1] or "").lstrip(".")
    elif not members and len(result.members) == 1 and result.members[0].bit_size is not None:
        members = result.members[0].name
    where = f"{result.address or 0:#x}"
    if result.further:
        where = query.type
    by_place = equivalent(
        msgspec.structs.replace(query, type=result.type, address=where, members=members)
    )
    named = equivalent(query).drgn if typed is None else ""
    return msgspec.structs.replace(by_place, drgn=named or by_place.drgn)


def _value_of(expression: str) -> str:
    """``x`` of ``&x``, which leads to it, and of ``*&x``, which says that it is no type."""
    return expression.removeprefix("*").removeprefix("&") if "&" in expression[:2] else expression


def is_no_structure(name: str) -> bool:
    """Whether crash's ``struct`` takes no such type: also arrays of structures and pointers."""
    if name.endswith(("*", "]")):
        return True
    return drgn_code.type_name(name) == name and not name.startswith(("struct ", "union "))


def cast_to(name: str) -> str:
    """``(char (*)[16])``, ``(struct mm_struct **)``: to a pointer to what ``name`` is."""
    element, bracket, length = name.partition("[")
    if bracket:
        return f"({element.strip()} (*)[{length})"
    return f"({name}*)" if name.endswith("*") else f"({name} *)"


def _is_type(text: str) -> bool:
    return text.split()[:1] in (["struct"], ["union"], ["enum"]) or text.isidentifier()


def _plain(address: str) -> bool:
    return all(c.isalnum() or c in "_:,-" for c in address)


def _in_c(address: str) -> str:
    """Where something is, as gdb takes it: of a variable its name alone would be its value."""
    return address if address.startswith(("0x", "&")) else f"&{address}"


def _crash_address(address: str) -> str:
    return address.removeprefix("0x") if address.startswith("0xffff") else address


def _drgn(query: StructQuery, name: str, members: str) -> str:
    paths = [path.strip() for path in members.split(",") if path.strip()]
    try:
        if query.address:
            return _drgn_at(query, name, paths)
        if query.offsets or name.startswith(("struct ", "union ", "enum ")):
            return _drgn_layout(name, paths)
        variable = _drgn_variable(query)
        if not query.type.replace(".", "").isidentifier():
            return variable
        # As in the address bar, a variable goes before a type of its name.
        both = (_indented(variable), _indented(_drgn_layout(name, paths)))
        return f"try:\n{both[0]}except LookupError:\n{both[1]}"
    except drgn_code.UnknownExpressionError:
        return ""


def _indented(code: str) -> str:
    return "".join(f"    {line}\n" for line in code.splitlines() if line)


def _drgn_layout(name: str, paths: list[str]) -> str:
    full = drgn_code.type_name(name)
    if paths:
        lines = [f'print(offsetof(type_, "{path}"), "{path}")' for path in paths]
        lines = [
            *drgn_code.imports(["offsetof"]).splitlines(),
            f'type_ = prog.type("{full}")',
            *lines,
        ]
    elif full.startswith(("struct ", "union ")):
        lines = [
            f'for member in prog.type("{full}").members:',
            "    print(member.bit_offset // 8, member.name)",
        ]
    else:
        lines = [f'print(prog.type("{full}"))']
    return "\n".join(lines) + "\n"


def _drgn_variable(query: StructQuery) -> str:
    found = drgn_code.object_(_value_of(query.type))
    if found.kind == "number":
        raise drgn_code.UnknownExpressionError(query.type)
    # Of what only points, such as a cast, what it points at.
    text = f"{found.text}[0]" if found.kind == "value" else found.text
    paths = [path.strip() for path in query.members.split(",") if path.strip()]
    return _drgn_prints(found.with_(text, "object"), paths)


def _drgn_at(query: StructQuery, name: str, paths: list[str]) -> str:
    where = drgn_code.pointed(query.address)
    full = drgn_code.type_name(name)
    names = ["Object"]
    start = where.text
    if query.embedded:
        tag = name.rsplit(maxsplit=1)[-1]
        member = query.embedded.removeprefix(f"{tag}.")
        if member[:1].isdecimal():
            start += f" - {member}"
        else:
            start += f' - offsetof(prog.type("{full}"), "{member}")'
            names.append("offsetof")
    type_ = f'"{full}"'
    # Of a variable's copies each is one.
    count = 1 if where.cpus else query.count
    if count > 1:
        type_ = f'prog.array_type(prog.type("{full}"), {count})'
    found = where.with_(f"Object(prog, {type_}, address={start})", "object", *names)
    return _drgn_prints(found, paths, each=count > 1)


def _drgn_prints(found: drgn_code.DrgnCode, paths: list[str], *, each: bool = False) -> str:
    """:param each: whether it is an array, of whose elements these are members."""
    lines = [*found.setup.splitlines(), f"object_ = {found.text}"]
    whole = "element" if each and paths else "object_"
    shown = [f"{whole}.{path}" for path in paths] or [whole]
    cpu = "cpu, " if found.cpus else ""
    prints = [f"print({cpu}{one})" for one in shown]
    if each and paths:
        prints = ["for element in object_:", *(f"    {line}" for line in prints)]
    lines += prints
    if found.cpus:
        lines = [f"for cpu in {found.cpus}:", *(f"    {line}" for line in lines)]
    return drgn_code.imports(found.names) + "\n".join(lines) + "\n"


def text(query: StructQuery, result: Structure) -> str:
    """As crash prints it, and below it what is to be known of it."""
    printed = _as_crash(query, result)
    return f"{printed}\nstruct: {result.ambiguity}" if result.ambiguity else printed


def _as_crash(query: StructQuery, result: Structure) -> str:
    if result.address is None:
        return layout(result, members_only=bool(query.members or "." in query.type))
    if query.offsets:
        return layout(result, address=result.address)
    instances = [(result.label, result.address, result.members)]
    instances += [(each.label, each.address, each.members) for each in result.further]
    blocks = []
    per_cpu = query.count == 1
    for label, address, members in instances:
        block = _object(query, result.type, members)
        blocks.append(f"{label}: {address}\n{block}" if label and per_cpu else block)
    if not per_cpu:
        blocks = ["\n\n".join(blocks)]
    if result.unreadable:
        blocks.append("\n".join(f"unreadable: {u.what}: {u.why}" for u in result.unreadable))
    return "\n".join(blocks)


def _object(query: StructQuery, type_: str, members: tuple[Member, ...]) -> str:
    if query.members or "." in query.type:
        return "\n".join(line for member in members for line in _lines(member, "  ", ","))
    if len(members) == 1 and not members[0].name and not members[0].members:
        return f"{type_} = {_value(members[0])}"
    body = list(_block(members, "  "))
    return "\n".join([f"{type_} {{", *body, "}"])


def instance(members: tuple[Member, ...]) -> str:
    """An object as gdb prints it, without its type."""
    if len(members) == 1 and not members[0].name:
        return "\n".join(_lines(members[0], "", ""))
    return "\n".join(["{", *_block(members, "  "), "}"])


def in_hexadecimal(result: Structure) -> Structure:
    """The same with its numbers in hexadecimal, as ``struct -x`` prints them."""
    return msgspec.structs.replace(
        result,
        members=tuple(map(member_in_hexadecimal, result.members)),
        further=tuple(
            msgspec.structs.replace(each, members=tuple(map(member_in_hexadecimal, each.members)))
            for each in result.further
        ),
    )


def member_in_hexadecimal(member: Member) -> Member:
    """A member with its numbers, and those in it, in hexadecimal."""
    value = member.value
    if isinstance(value, int) and not isinstance(value, bool) and member.kind == "integer":
        bits = member.bit_size or 8 * member.size
        value = f"{value & (1 << bits) - 1:#x}"
    return msgspec.structs.replace(
        member, value=value, members=tuple(map(member_in_hexadecimal, member.members))
    )


def _block(members: tuple[Member, ...], indent: str) -> Iterator[str]:
    for index, member in enumerate(members):
        yield from _lines(member, indent, "," if index < len(members) - 1 else "")


def _lines(member: Member, indent: str, comma: str) -> Iterator[str]:
    name = f"{member.name} = " if member.name and not member.name.startswith("[") else ""
    if member.kind == "array" and member.members and member.members[0].members:
        yield from _array_of_structures(member, name, indent, comma)
    elif member.members and member.kind != "array":
        yield f"{indent}{name}{{"
        yield from _block(member.members, indent + "  ")
        yield f"{indent}}}{comma}"
    else:
        yield f"{indent}{name}{_value(member)}{comma}"


def _array_of_structures(member: Member, name: str, indent: str, comma: str) -> Iterator[str]:
    runs = list(_runs(member))
    for index, (element, times) in enumerate(runs):
        first, last = index == 0, index == len(runs) - 1
        if first:
            yield f"{indent}{name}{{{{"
        yield from _block(element.members, indent + "    ")
        repeats = f" <repeats {times} times>" if times >= _REPEATS else ""
        if last:
            dots = "..." if member.length and member.length > len(member.members) else ""
            yield f"{indent}  }}{repeats}{dots}}}{comma}"
        else:
            yield f"{indent}  }}{repeats}, {{"


def _runs(member: Member) -> Iterator[tuple[Member, int]]:
    """Elements with how often they stand there, those few that are equal one by one."""
    pending: list[Member] = []
    for element in (*member.members, None):
        if pending and (element is None or _content(element) != _content(pending[0])):
            if len(pending) >= _REPEATS:
                yield pending[0], len(pending)
            else:
                yield from ((each, 1) for each in pending)
            pending = []
        if element is not None:
            pending.append(element)


def _content(member: Member) -> object:
    return (
        member.value,
        member.target,
        member.why,
        tuple((each.name, _content(each)) for each in member.members),
    )


def _value(member: Member) -> str:
    if member.why:
        return "<unreadable>"
    value = member.value
    if member.kind == "array":
        words = [
            f"{_value(element)} <repeats {times} times>" if times >= _REPEATS else _value(element)
            for element, times in _runs(member)
        ]
        more = "..." if member.length and member.length > len(member.members) else ""
        return "{" + ", ".join(words) + more + "}"
    if member.kind == "text":
        return f'"{value}"'
    if member.kind == "pointer":
        return f"{value}{_pointed(member)}"
    if member.kind == "enumeration" and member.meaning:
        return member.meaning
    if member.kind == "character" and isinstance(value, int):
        code = value & 0xFF
        shown = chr(code) if 0x20 <= code < 0x7F else f"\\{code:03o}"
        return f"{value} '{shown}'"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "{...}" if value is None else str(value)


def _pointed(member: Member) -> str:
    if member.target_kind in ("symbol", "function") and member.target:
        if member.target.startswith("this object"):
            return ""
        return f" <{member.target}>"
    return f" {member.meaning}" if member.meaning.startswith('"') else ""


# struct -o

_NO_FIELDS = "<no data fields>"
_ENUMERATORS = re.compile(r"enum \{[^}]*\}")


def layout(
    result: Structure,
    *,
    members_only: bool = False,
    address: int | None = None,
    offsets: bool = True,
) -> str:
    """Declarations with their offsets, as ``struct -o`` writes them.

    :param members_only: as ``struct -o TYPE.MEMBER``: without the size.
    :param address: of an object: the members' addresses in place of their offsets.
    :param offsets: without them, as ``struct`` writes a type.
    """
    if result.declaration and not result.type.startswith(("struct", "union")):
        return f"{result.declaration}\nSIZE: {result.size}"
    cells = len(str(result.size)) + 4 if address is None else 16 + 4
    if members_only and address is None:
        cells = len(str(result.size)) + 4
    lines = [f"{result.type} {{"]
    for member in result.members:
        declared = _declaration(member, 0, cells, address)
        lines += declared if offsets else (f"   {line[cells:]}" for line in declared)
    if not result.members:
        lines.append(f"{'':{cells}} {_NO_FIELDS}")
    lines.append("}")
    if not members_only:
        lines.append(f"SIZE: {result.size}")
    return "\n".join(lines)


def _declaration(
    member: Member, depth: int, cells: int, address: int | None, *, inside_named: bool = False
) -> Iterator[str]:
    blanks = "    " * depth + " "
    at = f"[{member.offset}]" if address is None else f"[{member.offset + address:x}]"
    keyword, braces, rest = member.declaration.partition("{...}")
    # As gdb does: a type without a tag is written out where it has no name, and where it has one,
    # unless that is within another such.
    if not braces or (inside_named and rest) or "(" in rest:
        declaration = member.declaration
        if inside_named:
            declaration = _ENUMERATORS.sub("enum {...}", declaration)
        yield f"{at:>{cells}}{blanks}{declaration};"
        return
    yield f"{'':{cells}}{blanks}{keyword}{{"
    for inner in member.members:
        lines = _declaration(
            inner, depth + 1, cells, address, inside_named=inside_named or bool(rest)
        )
        # What a pointer points at is not at an offset of this structure.
        yield from ((f"{'':{cells}}{line[cells:]}" for line in lines) if "*" in rest else lines)
    if not member.members:
        yield f"{'':{cells}}{blanks}    {_NO_FIELDS}"
    yield f"{at if rest else '':>{cells}}{blanks}}}{rest};"
