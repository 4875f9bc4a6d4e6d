"""C expressions over the kernel's objects, with C's precedence and C's conversions.

Names, per-CPU variables and types are looked up as everywhere in kscope (``Expressions``);
arithmetic is drgn's, which converts integers as C does.
"""

import operator
import re
from collections.abc import Callable

from drgn import Object, Type, TypeKind, cast, sizeof

from kscope.kernel.access.symbols import symbols_of
from kscope.kernel.expression.language import Expressions, Named
from kscope.model.base import QueryError
from kscope.model.text import printable
from kscope.target.target import Target

_LONGEST = 1000
_DEEPEST = 60
_MASK = (1 << 64) - 1

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>(?:0[xX][0-9a-fA-F]+|[0-9][0-9a-fA-F]*)[uUlL]*(?:[kKmMgG](?![\w]))?)
      | (?P<character>'(?:\\.|[^'\\])')
      | (?P<name>[A-Za-z_$][A-Za-z0-9_$]*(?::(?:a(?:ll)?|\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*)?(?!:))?)
      | (?P<sign>->|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^~!<>?:()\[\].,])
      | (?P<other>\S)
    )""",
    re.VERBOSE,
)
_UNITS = {"k": 10, "m": 20, "g": 30}
_TYPE_WORDS = {
    "struct", "union", "enum", "unsigned", "signed", "long", "int", "short", "char", "_Bool",
    "float", "double", "void", "const", "volatile",
}  # fmt: skip
_ESCAPES = {"n": 10, "t": 9, "r": 13, "0": 0, "a": 7, "b": 8, "f": 12, "v": 11}


def _divide(left: Object, right: Object) -> Object:
    if not right.value_():
        raise QueryError("Division by zero.")
    return left / right


def _remainder(left: Object, right: Object) -> Object:
    if not right.value_():
        raise QueryError("Division by zero.")
    return left % right


_UNARY: dict[str, Callable[[Object], object]] = {
    "-": operator.neg, "+": operator.pos, "~": operator.invert,
}  # fmt: skip
_BINARY: list[dict[str, Callable[[Object, Object], object]]] = [
    {"|": operator.or_},
    {"^": operator.xor},
    {"&": operator.and_},
    {"==": operator.eq, "!=": operator.ne},
    {"<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge},
    {"<<": operator.lshift, ">>": operator.rshift},
    {"+": operator.add, "-": operator.sub},
    {"*": operator.mul, "/": _divide, "%": _remainder},
]
"""What binds least first."""


class Evaluator:
    """Evaluates one expression."""

    def __init__(self, target: Target, text: str, *, addresses: bool) -> None:
        """:param addresses: whether a symbol stands for its address, and digits that are no
        decimal number for a hexadecimal one, as in crash's ``eval``."""
        if len(text) > _LONGEST:
            raise QueryError("This is too long for an expression.")
        self._program = target.program
        self._target = target
        self._text = text
        self._addresses = addresses
        self._expressions = Expressions(target)
        self._position = 0
        self._depth = 0

    def evaluate(self) -> Named | Object:
        """What the whole expression comes to; ``Named`` where it is several CPUs' objects.

        :raises QueryError: if it means nothing.
        """
        if not self._text.strip():
            raise QueryError("There is no expression.")
        value = self._conditional()
        if self._peek()[1]:
            rest = printable(self._text[self._position :].strip())
            raise QueryError(f"What {rest} means here is not clear.")
        return value

    # Tokens.

    def _match(self) -> re.Match[str] | None:
        return _TOKEN.match(self._text, self._position)

    def _peek(self) -> tuple[str, str]:
        match = self._match()
        if match is None or match.lastgroup is None:
            return "", ""
        return match.lastgroup, match[match.lastgroup]

    def _take(self) -> tuple[str, str]:
        match = self._match()
        if match is None or match.lastgroup is None:
            raise QueryError("Something is missing at the end.")
        self._position = match.end()
        return match.lastgroup, match[match.lastgroup]

    def _accept(self, sign: str) -> bool:
        if self._peek() == ("sign", sign):
            self._take()
            return True
        return False

    def _expect(self, sign: str) -> None:
        if not self._accept(sign):
            found = printable(self._peek()[1])
            raise QueryError(
                f"There should be a {sign} {f'before {found}' if found else 'at the end'}."
            )

    # Operators, what binds least first.

    def _conditional(self) -> Named | Object:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise QueryError("This is nested too deeply.")
        value = self._logical_or()
        if self._accept("?"):
            chosen = self._conditional()
            self._expect(":")
            other = self._conditional()
            value = chosen if self._truth(value) else other
        self._depth -= 1
        return value

    def _logical_or(self) -> Named | Object:
        value = self._logical_and()
        while self._accept("||"):
            right = self._logical_and()
            value = self._int(self._truth(value) or self._truth(right))
        return value

    def _logical_and(self) -> Named | Object:
        value = self._binary(0)
        while self._accept("&&"):
            right = self._binary(0)
            value = self._int(self._truth(value) and self._truth(right))
        return value

    def _binary(self, level: int) -> Named | Object:
        if level == len(_BINARY):
            return self._unary()
        value = self._binary(level + 1)
        while True:
            kind, sign = self._peek()
            function = _BINARY[level].get(sign) if kind == "sign" else None
            if function is None:
                return value
            self._take()
            value = self._computed(function, value, self._binary(level + 1))

    def _computed(
        self,
        function: Callable[[Object, Object], object],
        left: Named | Object,
        right: Named | Object,
    ) -> Object:
        operands = self._operand(left), self._operand(right)
        for one, other in (operands, operands[::-1]):
            shift = other.value_() if _is_integer(other) else 0
            if (
                function in (operator.lshift, operator.rshift)
                and one is operands[0]
                and (shift < 0 or shift > 127)
            ):
                raise QueryError(f"A shift by {shift} bits means nothing.")
        try:
            result = function(*operands)
        except TypeError as error:
            raise QueryError(f"This cannot be computed: {printable(str(error))}.") from error
        return self._int(result) if isinstance(result, bool) else _object(result)

    def _operand(self, value: Named | Object) -> Object:
        found = self._object(value)
        kind = found.type_.unaliased_kind()
        if kind is TypeKind.FUNCTION or (kind is TypeKind.ARRAY and found.address_ is not None):
            # As in C, an array or function stands for a pointer to its beginning.
            return found.address_of_() if kind is TypeKind.FUNCTION else found + 0
        return found

    def _unary(self) -> Named | Object:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise QueryError("This is nested too deeply.")
        try:
            return self._prefixed()
        finally:
            self._depth -= 1

    def _prefixed(self) -> Named | Object:
        kind, sign = self._peek()
        if kind == "sign" and sign in "-+~!&*":
            self._take()
            return self._signed(sign, self._unary())
        if (kind, sign) == ("name", "sizeof"):
            self._take()
            return self._sizeof()
        type_ = self._parenthesized_type()
        if type_ is not None:
            return self._cast(type_, self._unary())
        return self._postfix(self._primary())

    def _signed(self, sign: str, value: Named | Object) -> Object:
        if sign == "!":
            return self._int(not self._truth(value))
        found = self._object(value)
        try:
            if sign == "&":
                # A symbol is its address already.
                return found if self._addresses else found.address_of_()
            if sign == "*":
                _refuse_null(found)
                return found[0]
            return _object(_UNARY[sign](found))
        except (TypeError, ValueError) as error:
            raise QueryError(f"{sign} cannot be applied: {printable(str(error))}.") from error

    def _sizeof(self) -> Object:
        type_ = self._parenthesized_type()
        if type_ is None:
            found = self._object(self._unary())
            type_ = found.type_
        return Object(self._program, "unsigned long", sizeof(type_))

    def _parenthesized_type(self) -> Type | None:
        """The type of ``(struct foo *)`` if that comes next."""
        start = self._position
        if not self._accept("("):
            return None
        words, stars = [], 0
        while self._peek()[0] == "name" and ":" not in self._peek()[1]:
            words.append(self._take()[1])
        while self._accept("*"):
            stars += 1
        if words and self._accept(")"):
            known = words[0] in _TYPE_WORDS
            # "(a)" is a variable in parentheses if there is one, and a cast if there is a type.
            variable = len(words) == 1 and not stars and self._is_variable(words[0])
            if not variable:
                type_ = self._expressions.type_named(" ".join(words), must=known)
                if type_ is not None:
                    for _ in range(stars):
                        type_ = self._program.pointer_type(type_)
                    return type_
        self._position = start
        return None

    def _is_variable(self, name: str) -> bool:
        return bool(symbols_of(self._target).named(name))

    def _cast(self, type_: Type, value: Named | Object) -> Object:
        found = self._operand(value)
        try:
            return cast(type_, found)
        except (TypeError, ValueError) as error:
            raise QueryError(f"This cannot be cast: {printable(str(error))}.") from error

    def _postfix(self, value: Named | Object) -> Named | Object:
        while True:
            if self._accept("->") or self._accept("."):
                value = self._member(value)
            elif self._accept("["):
                index = self._integer(self._conditional())
                self._expect("]")
                found = self._object(value)
                _refuse_null(found)
                try:
                    value = found[index]
                except TypeError as error:
                    raise QueryError("What is before [ is no array and no pointer.") from error
            else:
                return value

    def _member(self, value: Named | Object) -> Named | Object:
        kind, name = self._take()
        if kind != "name":
            raise QueryError("A member's name follows a . or ->.")
        if isinstance(value, Named) and value.copies:
            copies = tuple((cpu, _member_of(found, name)) for cpu, found in value.copies)
            return Named(None, f"{value.expression}.{name}", copies=copies)
        found = self._object(value)
        _refuse_null(found)
        return _member_of(found, name)

    def _primary(self) -> Named | Object:
        if self._accept("("):
            value = self._conditional()
            self._expect(")")
            return value
        kind, text = self._take()
        if kind == "number":
            return self._number(text)
        if kind == "character":
            body = text[1:-1]
            code = _ESCAPES.get(body[1], ord(body[1])) if body[0] == "\\" else ord(body)
            return self._int(code)
        if kind == "name":
            return self._name(text)
        raise QueryError(f"{printable(text)} cannot stand here.")

    def _number(self, text: str) -> Object:
        digits = text.rstrip("uUlL")
        shift = _UNITS.get(digits[-1].lower(), 0)
        if shift:
            digits = digits[:-1]
        try:
            if digits[:2] in ("0x", "0X"):
                number = int(digits, 16)
            elif digits[0] == "0" and digits.isdecimal() and not self._addresses:
                number = int(digits, 8)
            else:
                number = int(digits, 10 if digits.isdecimal() and len(digits) < 16 else 16)
        except ValueError:
            raise QueryError(f"{text} is no number.") from None
        number <<= shift
        if number > _MASK:
            raise QueryError(f"{text} does not fit into 64 bits.")
        if self._addresses:
            return Object(self._program, "unsigned long", number)
        suffixes = text[len(text.rstrip("uUlL")) :].lower()
        for name, bits in (("int", 31), ("unsigned int", 32), ("long", 63), ("unsigned long", 64)):
            unsigned = name.startswith("unsigned")
            # A decimal number without a u is never unsigned in C, but for one that is too long.
            if unsigned and bits == 32 and "u" not in suffixes and not digits.startswith("0"):
                continue
            if not unsigned and "u" in suffixes:
                continue
            if number >> bits == 0 and not ("l" in suffixes and bits < 60):
                return Object(self._program, name, number)
        return Object(self._program, "unsigned long", number)

    def _name(self, text: str) -> Named | Object:
        name, colon, _ = text.partition(":")
        if self._addresses:
            found = symbols_of(self._target).named(name)
            if found and not colon:
                return Object(self._program, "unsigned long", found[0].address)
            if re.fullmatch("[0-9a-fA-F]{1,16}", text):
                return Object(self._program, "unsigned long", int(text, 16))
        named = self._expressions.evaluate(text)
        return named if named.copies or named.object is None else named.object

    # Values.

    def _object(self, value: Named | Object) -> Object:
        if isinstance(value, Object):
            return value
        if value.copies:
            raise QueryError(f"{value.expression} is several objects: name one CPU.")
        if value.object is not None:
            return value.object
        raise QueryError(
            f"'{value.expression}' has unknown type; cast it to its declared type.",
            f"Its address is {value.address:#x}.",
        )

    def _integer(self, value: Named | Object) -> int:
        found = self._object(value)
        if not _is_integer(found):
            raise QueryError("There should be a number.")
        return int(found.value_())

    def _truth(self, value: Named | Object) -> bool:
        try:
            return bool(self._operand(value))
        except TypeError:
            raise QueryError("This is neither true nor false.") from None

    def _int(self, number: int) -> Object:
        return Object(self._program, "int", int(number))


def _object(value: object) -> Object:
    assert isinstance(value, Object)
    return value


def _is_integer(found: Object) -> bool:
    return found.type_.unaliased_kind() in (TypeKind.INT, TypeKind.ENUM, TypeKind.BOOL)


def _refuse_null(found: Object) -> None:
    if found.type_.unaliased_kind() is TypeKind.POINTER and not found.value_():
        raise QueryError("Cannot access memory at address 0x0.", kind="unreadable")


def _member_of(found: Object, name: str) -> Object:
    try:
        return found.member_(name)
    except LookupError:
        type_ = found.type_
        if type_.unaliased_kind() is TypeKind.POINTER:
            type_ = type_.unaliased().type
        raise QueryError(f"There is no member named {name} in {type_.type_name()}.") from None
    except TypeError:
        raise QueryError(f"{found.type_.type_name()} has no members.") from None
