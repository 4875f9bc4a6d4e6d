"""What one types in the address bar, as drgn code.

``pid 1.mm`` becomes ``find_task(prog, 1).mm``, ``runqueues:2.curr`` becomes
``per_cpu(prog["runqueues"], 2).curr``. The grammar is that of ``kscope.kernel.expression``; what
only the target could tell, such as whether a variable is a pointer, the code itself finds out.
"""

import keyword
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["number", "value", "object"]
""""number": an ``int``; "value": an Object that holds a number or pointer; "object": one that has
an address."""

_TOKEN = re.compile(r"\s*(0[xX][0-9a-fA-F]+|[A-Za-z_$][\w$]*|[0-9][0-9a-fA-F]*|->|\S)")
_BARE_ADDRESS = re.compile(r"\s*(?=[0-9a-f]*[a-f]|[0-9]{12})([0-9a-fA-F]{8,16})(?![\w$])")
_CPUS = re.compile(r"\s*(a|all|\d+(?:[-,]\d+)*)?(?![\w])")
_CAST = re.compile(r"\s*\(\s*((?:struct|union|enum)\s+\w+\s*\**|\w+(?:\s+\w+)*\s*\*+)\s*\)")
_TYPED = re.compile(
    r"(?:struct|union)?\s*(?!struct\b|union\b|enum\b|pid\b|task\b)([A-Za-z_]\w*)(?:\.[\w.,]+)?"
    r"\s+(?=[&*(\w])(.+)"
)
_NO_STRUCTURE = re.compile(
    r".*_t|.*_fn|.*\s.*|char|int|long|short|float|double|bool|_Bool|void|signed|unsigned"
    r"|_*[us](8|16|32|64)|__[bl]e(16|32|64)|uint|ulong|ushort"
)
_ELEMENT = re.compile(r"[^\[*]*[^\[*\s]")
"""What comes before the ``[`` of an array or the ``*`` of a pointer."""
_TASK_WORDS = ("pid", "task")
_HELPERS = {
    "cast": "drgn",
    "container_of": "drgn",
    "FaultError": "drgn",
    "Object": "drgn",
    "offsetof": "drgn",
    "TypeKind": "drgn",
    "for_each_possible_cpu": "drgn.helpers.linux.cpumask",
    "per_cpu": "drgn.helpers.linux.percpu",
    "per_cpu_ptr": "drgn.helpers.linux.percpu",
    "find_task": "drgn.helpers.linux.pid",
    "for_each_task": "drgn.helpers.linux.pid",
    "follow_phys": "drgn.helpers.linux.mm",
    "phys_to_virt": "drgn.helpers.linux.mm",
    "identify_address_all": "drgn.helpers.common.memory",
    "print_annotated_memory": "drgn.helpers.common.memory",
    "list_for_each": "drgn.helpers.linux.list",
    "list_for_each_entry": "drgn.helpers.linux.list",
    "list_for_each_entry_reverse": "drgn.helpers.linux.list",
    "hlist_for_each": "drgn.helpers.linux.list",
    "hlist_for_each_entry": "drgn.helpers.linux.list",
    "hlist_nulls_for_each": "drgn.helpers.linux.list_nulls",
    "hlist_nulls_for_each_entry": "drgn.helpers.linux.list_nulls",
    "llist_for_each": "drgn.helpers.linux.llist",
    "llist_for_each_entry": "drgn.helpers.linux.llist",
    "plist_for_each": "drgn.helpers.linux.plist",
    "plist_for_each_entry": "drgn.helpers.linux.plist",
    "rbtree_inorder_for_each": "drgn.helpers.linux.rbtree",
    "rbtree_inorder_for_each_entry": "drgn.helpers.linux.rbtree",
    "mt_for_each": "drgn.helpers.linux.mapletree",
    "xa_for_each": "drgn.helpers.linux.xarray",
    "radix_tree_for_each": "drgn.helpers.linux.radixtree",
}


class UnknownExpressionError(ValueError):
    """The text is none of what can be translated."""


@dataclass(frozen=True)
class DrgnCode:
    """A Python expression, and what must come before it."""

    text: str
    kind: Kind
    names: frozenset[str] = frozenset()
    """What it needs of drgn, for ``imports``."""
    setup: str = ""
    """Lines before it."""
    cpus: str = ""
    """Of several CPUs' copies: what ``cpu``, which ``text`` has in it, runs through."""

    def with_(self, text: str, kind: Kind, *names: str) -> "DrgnCode":
        """Another expression that was made of this one."""
        return DrgnCode(text, kind, self.names | set(names), self.setup, self.cpus)


def imports(names: Iterable[str]) -> str:
    """The import statements for ``names`` of drgn, and an empty line after them."""
    modules: dict[str, list[str]] = {}
    for name in sorted(set(names), key=str.lower):
        modules.setdefault(_HELPERS[name], []).append(name)
    lines = [f"from {module} import {', '.join(modules[module])}" for module in sorted(modules)]
    return "\n".join([*lines, "", ""]) if lines else ""


def type_name(name: str) -> str:
    """A type's name as drgn takes it, which does not guess that ``page`` is a structure."""
    element = _ELEMENT.match(name)
    return name if element is None or _NO_STRUCTURE.fullmatch(element[0]) else f"struct {name}"


def object_(text: str, *, in_c: bool = False) -> DrgnCode:
    """What an expression comes to.

    :param in_c: whether a variable stands for its value in a sum; else, as in the address bar, for
        where it is.
    :raises UnknownExpressionError: if it cannot be translated.
    """
    reader = _Reader(text, in_c=in_c)
    found = reader.sum()
    if reader.peek():
        raise UnknownExpressionError(text)
    return found


def address(text: str) -> DrgnCode:
    """Where what an expression names is, as an ``int``: for a pointer that is a variable, where
    that variable is.

    :raises UnknownExpressionError: if it cannot be translated.
    """
    typed = _TYPED.fullmatch(text.strip())
    if typed is not None:
        return pointed(typed[2])
    symbol = re.fullmatch(r"&?\s*([A-Za-z_$][\w$]*)\s*(?:([+-])\s*(\w+))?", text.strip())
    if symbol is not None and _BARE_ADDRESS.match(text) is None:
        # The type of a symbol need not be known.
        offset = f" {symbol[2]} {symbol[3]}" if symbol[2] else ""
        return DrgnCode(f'prog.symbol("{symbol[1]}").address{offset}', "number")
    found = object_(text)
    if found.kind == "number":
        return found
    end = "address_" if found.kind == "object" else "value_()"
    return found.with_(f"{found.text}.{end}", "number")


def pointed(text: str) -> DrgnCode:
    """Where an expression leads, as an ``int``: for a pointer that is a variable, where it points.

    :raises UnknownExpressionError: if it cannot be translated.
    """
    typed = _TYPED.fullmatch(text.strip())
    if typed is not None:
        return pointed(typed[2])
    found = object_(text)
    if found.kind != "object":
        return address(text)
    setup = f"{found.setup}place = {found.text}\n"
    return DrgnCode(
        "(place.value_() if place.type_.kind == TypeKind.POINTER else place.address_)",
        "number", found.names | {"TypeKind"}, setup, found.cpus,
    )  # fmt: skip


class _Reader:
    """Goes through an expression once."""

    def __init__(self, text: str, *, in_c: bool) -> None:
        self._text = text.strip()
        self._in_c = in_c
        self._position = 0

    def peek(self) -> str:
        match = _TOKEN.match(self._text, self._position)
        return match[1] if match else ""

    def _take(self) -> str:
        match = _TOKEN.match(self._text, self._position)
        if match is None:
            raise UnknownExpressionError(self._text)
        self._position = match.end()
        return match[1]

    def _accept(self, *wanted: str) -> bool:
        if self.peek() in wanted:
            self._take()
            return True
        return False

    def _expect(self, wanted: str) -> None:
        if not self._accept(wanted):
            raise UnknownExpressionError(self._text)

    def _skip(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self._text, self._position)
        if match is not None:
            self._position = match.end()
        return match

    def sum(self) -> DrgnCode:
        return self._sum_from(self._unary())

    def _sum_from(self, left: DrgnCode) -> DrgnCode:
        while self.peek() in ("+", "-"):
            sign, right = self._take(), self._of_one_cpu(self._unary())
            if self._in_c:
                kind: Kind = "number" if left.kind == right.kind == "number" else "value"
                left = left.with_(f"{left.text} {sign} {right.text}", kind, *right.names)
                continue
            if right.kind == "object":
                right = right.with_(f"{right.text}.value_()", "number")
            # A variable counts in bytes, as a symbol does in a stack trace.
            text = f"{left.text}.address_" if left.kind == "object" else left.text
            kind = "value" if left.kind == "value" else "number"
            left = left.with_(f"{text} {sign} {right.text}", kind, *right.names)
        return left

    def _of_one_cpu(self, found: DrgnCode) -> DrgnCode:
        """What is added or is an index is one number, not one for each of several CPUs."""
        if found.cpus:
            raise UnknownExpressionError(self._text)
        return found

    def _unary(self) -> DrgnCode:
        cast = self._skip(_CAST)
        if cast is not None:
            type_ = " ".join(cast[1].replace("*", " *").split()).replace("* *", "**")
            inner = self._unary()
            if inner.kind == "number":
                return inner.with_(f'Object(prog, "{type_}", {inner.text})', "value", "Object")
            return inner.with_(f'cast("{type_}", {inner.text})', "value", "cast")
        if self._accept("&"):
            inner = self._unary()
            if inner.kind != "object":
                raise UnknownExpressionError(self._text)
            return inner.with_(f"{inner.text}.address_of_()", "value")
        if self._accept("*"):
            inner = self._unary()
            return inner.with_(f"{inner.text}[0]", "object")
        if self._accept("-"):
            inner = self._unary()
            return inner.with_(f"-{inner.text}", "number")
        return self._postfix(self._primary())

    def _postfix(self, found: DrgnCode) -> DrgnCode:
        while True:
            if self._accept(".", "->"):
                name = self._take()
                if not name.isidentifier() or found.kind == "number":
                    raise UnknownExpressionError(self._text)
                member = f'member_("{name}")' if keyword.iskeyword(name) else name
                found = found.with_(f"{found.text}.{member}", "object")
            elif self._accept("["):
                index = self._of_one_cpu(self.sum())
                self._expect("]")
                found = found.with_(f"{found.text}[{index.text}]", "object", *index.names)
            else:
                return found

    def _primary(self) -> DrgnCode:
        bare = self._skip(_BARE_ADDRESS)
        if bare is not None:
            return DrgnCode(f"0x{bare[1].lower()}", "number")
        if self._accept("("):
            first = self._unary()
            inner = self._sum_from(first)
            self._expect(")")
            binds_less = inner is not first or inner.kind == "number"
            return inner.with_(f"({inner.text})", inner.kind) if binds_less else inner
        word = self._take()
        if word[:1].isdigit():
            plain = word.isdecimal() or word[:2] in ("0x", "0X")
            return DrgnCode(word if plain else f"0x{word}", "number")
        if not word.isidentifier():
            raise UnknownExpressionError(self._text)
        if word in _TASK_WORDS and self.peek().isdecimal():
            return DrgnCode(f"find_task(prog, {self._take()})", "value", frozenset({"find_task"}))
        if self.peek() == "(" and word in ("per_cpu", "per_cpu_ptr", "container_of"):
            return self._call(word)
        variable = f'prog["{word}"]'
        if self._accept(":"):
            return self._of_cpus(variable)
        return DrgnCode(variable, "object")

    def _of_cpus(self, variable: str) -> DrgnCode:
        match = self._skip(_CPUS)
        given = match[1] if match else None
        names = frozenset({"per_cpu"})
        if given is not None and given.isdecimal():
            return DrgnCode(f"per_cpu({variable}, {given})", "object", names)
        if given is None:
            crashed = 'max(prog["crashing_cpu"].value_(), 0)'
            return DrgnCode(f"per_cpu({variable}, {crashed})", "object", names)
        if given in ("a", "all"):
            cpus, names = "for_each_possible_cpu(prog)", names | {"for_each_possible_cpu"}
        else:
            ranges = [part.partition("-") for part in given.split(",")]
            chosen = [
                cpu
                for first, _, last in ranges
                for cpu in range(int(first), int(last or first) + 1)
            ]
            cpus = str(chosen)
        return DrgnCode(f"per_cpu({variable}, cpu)", "object", names, cpus=cpus)

    def _call(self, name: str) -> DrgnCode:
        self._expect("(")
        if name == "container_of":
            pointer = self.sum()
            rest = re.compile(r"\s*,\s*([\w\s]+?)\s*,\s*([\w.]+)\s*\)")
            match = self._skip(rest)
            if match is None:
                raise UnknownExpressionError(self._text)
            text = f'container_of({pointer.text}, "{type_name(match[1])}", "{match[2]}")'
            return pointer.with_(text, "value", name)
        self._accept("&")
        variable = f'prog["{self._take()}"]'
        self._expect(",")
        cpu = self.sum()
        self._expect(")")
        if name == "per_cpu":
            return cpu.with_(f"per_cpu({variable}, {cpu.text})", "object", name)
        return cpu.with_(f"per_cpu_ptr({variable}.address_of_(), {cpu.text})", "value", name)
