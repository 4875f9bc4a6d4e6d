"""Types of global variables written as text, and read back into the types of a dump.

The notation is prefix, so that it needs no rules of precedence, and names types instead of
describing them, so that their layout always comes from the dump:

====================  ========================================================
``struct page``       also ``union …`` and ``enum …``
``u32``               a typedef, or an integer such as ``unsigned long``
``*T``                pointer to T
``[8]T``, ``[]T``     array of 8 T; array whose length is not known
``const T``           also ``volatile T`` and ``restrict T``
``func(T,T,...)T``    function taking two T and more, returning the last T
``struct{a b}``       the anonymous structure with exactly these members (also
                      ``union{…}``, and ``enum{…}`` with these enumerators);
                      a member that is itself anonymous is written ``-``
====================  ========================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable

from drgn import Program, Qualifiers, Type, TypeKind, TypeParameter

_QUALIFIERS = {
    "const": Qualifiers.CONST,
    "volatile": Qualifiers.VOLATILE,
    "restrict": Qualifiers.RESTRICT,
}
_KEYWORDS = {TypeKind.STRUCT: "struct", TypeKind.UNION: "union", TypeKind.ENUM: "enum"}
_TOKEN = re.compile(r"\*|\[\d*\]|func\(|\.\.\.|[),]|\w+(?: \w+)*(?:\{[^}]*\})?")


def write(drgn_type: Type) -> str:
    """The notation for a type.

    :raises ValueError: if it has no notation.
    """
    qualifiers = "".join(f"{word} " for word, q in _QUALIFIERS.items() if q in drgn_type.qualifiers)
    return qualifiers + _write_unqualified(drgn_type)


def _write_unqualified(drgn_type: Type) -> str:
    kind = drgn_type.kind
    if kind == TypeKind.VOID:
        return "void"
    if kind == TypeKind.POINTER:
        return "*" + write(drgn_type.type)
    if kind == TypeKind.ARRAY:
        length = "" if drgn_type.length is None else drgn_type.length
        return f"[{length}]{write(drgn_type.type)}"
    if kind == TypeKind.FUNCTION:
        parameters = [write(parameter.type) for parameter in drgn_type.parameters]
        if drgn_type.is_variadic:
            parameters.append("...")
        return f"func({','.join(parameters)}){write(drgn_type.type)}"
    if kind in _KEYWORDS:
        keyword = _KEYWORDS[kind]
        if drgn_type.tag is not None:
            return f"{keyword} {drgn_type.tag}"
        names = drgn_type.enumerators if kind == TypeKind.ENUM else drgn_type.members
        if not names:
            raise ValueError(f"an anonymous {keyword} without members cannot be named")
        return f"{keyword}{{{' '.join(item.name or '-' for item in names)}}}"
    return str(drgn_type.name)


class Reader:
    """Reads the notation into the types of one program."""

    def __init__(
        self, prog: Program, find_anonymous: Callable[[str, tuple[str, ...]], Type | None]
    ) -> None:
        """
        :param find_anonymous: Finds an anonymous type by ``struct``, ``union`` or ``enum`` and the
            names of its members.
        """
        self._prog = prog
        self._find_anonymous = find_anonymous

    def read(self, expression: str) -> Type:
        """
        :raises LookupError: if the dump has no type of a name in it.
        :raises ValueError: if it is not in the notation.
        """
        tokens = _TOKEN.findall(expression)
        if "".join(tokens).replace(" ", "") != expression.replace(" ", ""):
            raise ValueError(f"cannot be read as a type: {expression}")
        tokens.reverse()
        drgn_type = self._read(tokens)
        if tokens:
            raise ValueError(f"cannot be read as a type: {expression}")
        return drgn_type

    def _read(self, tokens: list[str]) -> Type:
        """The type at the end of *tokens*, which are in reverse and are used up."""
        if not tokens:
            raise ValueError("a type ends too early")
        token = tokens.pop()
        if token == "*":
            return self._prog.pointer_type(self._read(tokens))
        if token.startswith("["):
            length = token[1:-1]
            return self._prog.array_type(self._read(tokens), int(length) if length else None)
        if token == "func(":
            return self._read_function(tokens)
        first, _, rest = token.partition(" ")
        if first in _QUALIFIERS:
            if rest:
                tokens.append(rest)
            drgn_type = self._read(tokens)
            return drgn_type.qualified(drgn_type.qualifiers | _QUALIFIERS[first])
        if token.endswith("}"):
            keyword, _, names = token[:-1].partition("{")
            found = self._find_anonymous(keyword, tuple(names.replace("-", "").split(" ")))
            if found is None:
                raise LookupError(f"could not find anonymous {token}")
            return found
        if token == "void":
            return self._prog.void_type()
        return self._prog.type(token)

    def _read_function(self, tokens: list[str]) -> Type:
        parameters = []
        variadic = False
        while tokens and tokens[-1] != ")":
            if tokens[-1] == "...":
                variadic = True
                tokens.pop()
            else:
                parameters.append(TypeParameter(self._read(tokens)))
            if tokens and tokens[-1] == ",":
                tokens.pop()
        if not tokens:
            raise ValueError("a function type is not closed")
        tokens.pop()
        return self._prog.function_type(self._read(tokens), parameters, variadic)
