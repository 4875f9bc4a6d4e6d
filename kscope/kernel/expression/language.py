"""The language of the address bar: addresses, symbols, types, tasks and paths of members.

::

    ffff8b94182420c0   0xffffffff81000000   jiffies+8   schedule+0x20      addresses
    init_task   &init_net.dev_base_head   init_task.mm.pgd                 objects and members
    ((struct task_struct *)0xffff8b94182420c0)->mm->owner                  C
    runqueues:2   runqueues:a   runqueues:0,2-3.curr                       per-CPU variables
    task_struct 0xffff8b94182420c0   task_struct.pid,comm init_task        an object of a type
    pid 1   pid 1.mm                                                       tasks
    struct list_head   task_struct                                         types

Whatever is typed, the answer is a place or one sentence.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
from drgn import Object, Program, Type, TypeKind, cast, container_of
from drgn.helpers.linux.percpu import per_cpu_ptr
from drgn.helpers.linux.pid import find_task

from kscope.kernel.access import fields
from kscope.kernel.access.fields import Field
from kscope.kernel.access.names import names_of
from kscope.kernel.access.reading import READ_ERRORS, reason
from kscope.kernel.access.symbols import symbols_of
from kscope.kernel.expression.per_cpu import PerCpu
from kscope.kernel.expression.reader import (
    BARE_ADDRESS,
    BASE_TYPE_WORDS,
    DEEPEST,
    EXAMPLES,
    TYPE_KEYWORDS,
    Reader,
    checked,
    continues,
    skip_blanks,
)
from kscope.kernel.objects.identify_address import MMAP_MIN_ADDR, addresses_of
from kscope.model.base import Address, QueryError
from kscope.model.expressions import (
    PerCpuPlace,
    Place,
)
from kscope.model.text import printable
from kscope.target.btf import AmbiguousNameError
from kscope.target.target import Target

_TASK = re.compile(r"(?:pid|task)\s+[0-9]+(?![0-9a-fA-FxX])")
_LARGEST_PID = 1 << 22
"""include/linux/threads.h: ``PID_MAX_LIMIT`` where words have 64 bits."""
_CPUS = re.compile(r"\s*(a|all|\d{1,9}(?:-\d{1,9})?(?:,\d{1,9}(?:-\d{1,9})?)*)?(?![\w])")


@dataclass(frozen=True)
class Named:
    """What an expression came to."""

    object: Object | None
    """In memory, or a number or pointer; ``None`` of what has no type."""
    expression: str
    address: int = 0
    """Where it is, when ``object`` is ``None``."""
    copies: tuple[tuple[int, Object], ...] = ()
    """CPU and object, where several CPUs' copies were asked for."""
    loose: bool = False
    """Whether the expression needs parentheses before a ``.`` or ``[`` may follow."""
    typed: bool = True
    """Whether the type of ``object`` is known, or one made up to hold the place."""
    bit_field_of: "tuple[Named, str] | None" = None
    """Of a bit-field, which has no address: the structure and its name in it."""

    @property
    def tight(self) -> str:
        """The expression as it may be followed by a ``.`` or ``[``."""
        return f"({self.expression})" if self.loose else self.expression

    @property
    def pointer(self) -> str:
        """C for a pointer to it: ``&x``, and ``p`` for ``*p``."""
        if self.expression.startswith("*"):
            return self.expression[1:]
        return f"&{self.expression}"


class Located(NamedTuple):
    """A place, with its type as drgn has it: one without a tag cannot be found by name."""

    place: Place
    type: Type | None = None


class Expressions:
    """Evaluates expressions in one target."""

    def __init__(self, target: Target) -> None:
        target.need_types("Objects")
        self._target = target
        self._program = target.program
        self._symbols = symbols_of(target)
        self._per_cpu_variables = PerCpu(target)

    @property
    def program(self) -> Program:
        """The target's program."""
        return self._program

    # The whole input.

    def locate(self, text: str) -> Located:
        """What ``text`` names.

        :raises QueryError: if it names nothing; a sentence that says why.
        """
        text = checked(text)
        try:
            typed = self._type_and_rest(text)
            if typed is None:
                whole = self._per_cpu_variables.names(text)
                return self._located(self.evaluate(f"{text}:a" if whole else text))
            type_, members, rest = typed
            if rest:
                located = self.at_address(type_, self.evaluate(rest))
                return Located(msgspec.structs.replace(located.place, members=members), type_)
            if members:
                fields.resolve(fields.of_type(self._program, type_), members.split(",")[0])
            name = type_.type_name()
            return Located(Place(kind="type", expression=name, type=name, members=members), type_)
        except RecursionError:
            raise QueryError("This is nested too deeply.") from None
        except READ_ERRORS as error:
            raise QueryError(
                f"{text} cannot be read: {reason(error)}.", kind="unreadable"
            ) from error

    def at_address(self, type_: Type, named: Named) -> Located:
        """What is at an address, as an object of another type."""
        name = type_.type_name()
        if named.copies:
            return self._copies(named, type_, follow=True)
        address = named.address if named.object is None else _address_of(named.object)
        return Located(
            Place(kind="object", expression=f"({name} *){address:#x}", type=name,
                  address=Address(address)),
            type_,
        )  # fmt: skip

    def _copies(self, named: Named, type_: Type, *, follow: bool) -> Located:
        """:param follow: where they point if they are pointers, in place of where they are."""
        copies = tuple(
            PerCpuPlace(cpu, Address(_address_of(found) if follow else found.address_ or 0))
            for cpu, found in named.copies
        )
        return Located(
            Place(kind="objects", expression=named.expression, type=type_.type_name(),
                  copies=copies, address=copies[0].address),
            type_,
        )  # fmt: skip

    def _located(self, named: Named) -> Located:
        if named.copies:
            if not named.typed:
                raise QueryError(
                    f"The type of {named.expression} is not known.",
                    f"TYPE {named.expression} says it.",
                )
            return self._copies(named, named.copies[0][1].type_.unqualified(), follow=False)
        if named.bit_field_of is not None:
            structure, name = named.bit_field_of
            located = self._located(structure)
            return Located(msgspec.structs.replace(located.place, members=name), located.type)
        found = named.object
        if found is None:
            return self._at(named.address, named.expression)
        if not named.typed:
            return self._at(_address_of(found), named.expression)
        if found.absent_:
            raise QueryError(f"{named.expression} is not in this dump.", kind="unreadable")
        if found.address_ is not None:
            if found.type_.unaliased_kind() is TypeKind.FUNCTION:
                return self._at(found.address_, named.expression)
            return _object(named.pointer, found.type_, found.address_)
        value = found.value_()
        if found.type_.unaliased_kind() is TypeKind.POINTER and isinstance(value, int):
            pointed = found.type_.unaliased().type
            if pointed.unaliased_kind() in (TypeKind.VOID, TypeKind.FUNCTION):
                return self._at(value, named.expression)
            return _object(named.expression, pointed, value)
        if isinstance(value, int):
            return self._at(value & (1 << 64) - 1, named.expression)
        raise QueryError(f"{named.expression} is no place in memory.")

    def _at(self, address: int, expression: str) -> Located:
        if expression.isdecimal() and address < MMAP_MIN_ADDR * 100:
            raise QueryError(
                f"{expression} is no address.", f"A task is pid {expression}, an address 0x…."
            )
        symbol = self._symbols.at(address)
        is_code = symbol is not None and self._symbols.is_code(symbol)
        identity = addresses_of(self._target).identify(address)
        if identity.kind == "task" and identity.start == address:
            type_ = self._program.type("struct task_struct")
            located = _object(f"(struct task_struct *){address:#x}", type_, address)
            return Located(msgspec.structs.replace(located.place, what=identity.text), type_)
        return Located(
            Place(kind="code" if is_code else "memory", expression=expression,
                  address=Address(address), what=identity.text)
        )  # fmt: skip

    # Types.

    def _type_and_rest(self, text: str) -> tuple[Type, str, str] | None:
        """``task_struct.pid,comm init_task`` in its parts; ``None`` if it is no such thing."""
        reader = Reader(text)
        kind, word = reader.peek()
        if kind != "name" or _TASK.match(text):
            return None
        keyword = word in TYPE_KEYWORDS
        if keyword:
            reader.take()
            kind, name = reader.peek()
            if kind != "name":
                raise QueryError(f"{word} what?", f"A type's name follows {word}.")
        reader.take()
        while word in BASE_TYPE_WORDS and reader.peek()[1] in BASE_TYPE_WORDS:
            reader.take()
        end = reader.position
        type_ = self.type_named(text[:end], must=False)
        if type_ is None:
            if keyword:
                raise QueryError(f"There is no {text[:end]}.", self._near(name, types=True))
            return None
        rest = text[end:]
        members = ""
        if rest.startswith("."):
            members, _, rest = rest[1:].partition(" ")
        rest = rest.strip()
        if rest.startswith("*") and not rest.strip("* "):
            raise QueryError(f"{text} is a type of pointers.", f"Type {text[:end]} for what it is.")
        if keyword or not rest:
            # A variable or function goes before a type of its name: jiffies, not a typedef.
            if not keyword and not members and self._is_object(word):
                return None
            return type_, members, rest
        # "list_head + 8" continues an expression, "list_head 0xffff…" does not.
        if rest[0] in "+-.[:" or (members and self._is_object(word)):
            return None
        return type_, members, rest

    def _is_object(self, name: str) -> bool:
        return bool(self._symbols.named(name))

    def type_named(self, name: str, *, must: bool = True) -> Type | None:
        """The type that ``name`` means, with its keyword or without.

        :param must: whether it is an error that there is none.
        """
        name = " ".join(name.split())
        attempts = [name]
        if not name.startswith(TYPE_KEYWORDS):
            # crash takes "task_struct" for the structure even where a typedef has the name.
            attempts = [f"struct {name}", f"union {name}", name, f"enum {name}"]
        for attempt in attempts:
            try:
                return self._program.type(attempt)
            except (LookupError, SyntaxError, ValueError):
                continue
        if must:
            bare = name.split()[-1] if name.split() else name
            raise QueryError(f"There is no type {printable(name)}.", self._near(bare, types=True))
        return None

    def _near(self, word: str, *, types: bool = False) -> str:
        similar = names_of(self._target).like(word, types=types)
        if word in similar:
            return "It is a type inside of a function, which only BTF can be asked for: without -s."
        return f"Near it: {', '.join(similar)}." if similar else ""

    # Expressions.

    def evaluate(self, text: str) -> Named:
        """What an expression comes to.

        :raises QueryError: if it is none, or cannot be read.
        """
        reader = Reader(checked(text))
        try:
            named = self._sum(reader)
            if reader.peek()[1]:
                raise QueryError(
                    f"What {reader.text[reader.position :].strip()} means here is not clear."
                )
        except RecursionError:
            raise QueryError("This is nested too deeply.") from None
        except READ_ERRORS as error:
            raise QueryError(
                f"{text.strip()} cannot be read: {reason(error)}.", kind="unreadable"
            ) from error
        return named

    def _sum(self, reader: Reader) -> Named:
        left = self._unary(reader)
        while True:
            kind, sign = reader.peek()
            if kind != "sign" or sign not in "+-":
                return left
            reader.take()
            left = self._add(left, self._unary(reader), sign)

    def _add(self, left: Named, right: Named, sign: str) -> Named:
        number = _number(right)
        if number is None:
            raise QueryError(f"{right.expression} is no number to add.")
        offset = number if sign == "+" else -number
        expression = f"{left.expression} {sign} {number:#x}" if number > 9 else (
            f"{left.expression} {sign} {number}"
        )  # fmt: skip
        if left.object is not None and not left.copies and left.object.address_ is None:
            # Pointers count in what they point to, as in C.
            found = left.object + offset
            return Named(found, expression, loose=True)
        if left.copies:
            raise QueryError(f"{left.expression} is several objects: name one CPU.")
        # A symbol counts in bytes, as in crash and in a stack trace.
        address = left.address if left.object is None else _address_of(left.object)
        return Named(None, expression, (address + offset) & (1 << 64) - 1, loose=True)

    def _unary(self, reader: Reader) -> Named:
        reader.depth += 1
        if reader.depth > DEEPEST:
            raise QueryError("This is nested too deeply.")
        try:
            if reader.accept("&"):
                return self._address_of(self._unary(reader))
            if reader.accept("*"):
                return self._dereference(self._unary(reader))
            target = self._cast(reader)
            if target is not None:
                return self._as(target, self._unary(reader))
            return self._postfix(reader, self._primary(reader))
        finally:
            reader.depth -= 1

    def _address_of(self, named: Named) -> Named:
        found = named.object
        if found is None:
            return named
        if found.address_ is None or found.bit_offset_:
            raise QueryError(f"{named.expression} has no address.")
        return Named(found.address_of_(), named.pointer, loose=True)

    def _dereference(self, named: Named) -> Named:
        found = _need_object(named)
        if found.type_.unaliased_kind() not in (TypeKind.POINTER, TypeKind.ARRAY):
            raise QueryError(f"{named.expression} is no pointer.")
        _refuse_null(found, named.expression)
        return Named(found[0], f"*{named.expression}", loose=True)

    def _cast(self, reader: Reader) -> Type | None:
        """The type of ``(struct foo *)`` if that comes next."""
        start = reader.position
        if not reader.accept("("):
            return None
        words, stars = [], 0
        while reader.peek()[0] == "name":
            words.append(reader.take()[1])
        while reader.accept("*"):
            stars += 1
        # "(a)" is a name in parentheses, whatever types there are.
        if words and (stars or words[0] in TYPE_KEYWORDS or len(words) > 1) and reader.accept(")"):
            type_ = self.type_named(" ".join(words))
            assert type_ is not None
            for _ in range(stars):
                type_ = self._program.pointer_type(type_)
            return type_
        reader.go_to(start)
        return None

    def _as(self, type_: Type, named: Named) -> Named:
        found = named.object
        expression = f"({type_.type_name()}){named.tight}"
        if found is None:
            return Named(Object(self._program, type_, named.address), expression, loose=True)
        if found.address_ is not None and found.type_.unaliased_kind() in (
            TypeKind.STRUCT, TypeKind.UNION, TypeKind.ARRAY, TypeKind.FUNCTION,
        ):  # fmt: skip
            return Named(Object(self._program, type_, found.address_), expression, loose=True)
        try:
            return Named(cast(type_, found.read_()), expression, loose=True)
        except TypeError:
            raise QueryError(f"{named.expression} cannot be a {type_.type_name()}.") from None

    def _postfix(self, reader: Reader, named: Named) -> Named:
        while True:
            if reader.accept(".") or reader.accept("->"):
                kind, name = reader.take()
                if kind != "name":
                    raise QueryError("A member's name follows a . or ->.")
                named = self._member(named, name)
            elif reader.accept("["):
                index = _number(self._sum(reader))
                reader.expect("]")
                if index is None:
                    raise QueryError("An index is a number.")
                named = self._index(named, index)
            else:
                return named

    def _member(self, named: Named, name: str) -> Named:
        if named.copies:
            copies = tuple((cpu, _member(found, name)) for cpu, found in named.copies)
            return Named(None, f"{named.expression}.{name}", copies=copies)
        found = _need_object(named)
        arrow = "."
        if found.type_.unaliased_kind() is TypeKind.POINTER:
            arrow = "->"
            _refuse_null(found, named.expression)
        member = _member(found, name)
        return Named(
            member,
            f"{named.tight}{arrow}{name}",
            bit_field_of=(named, name) if member.bit_field_size_ is not None else None,
        )

    def _index(self, named: Named, index: int) -> Named:
        found = _need_object(named)
        kind = found.type_.unaliased_kind()
        if kind not in (TypeKind.POINTER, TypeKind.ARRAY):
            raise QueryError(f"{named.expression} is no array.")
        length = found.type_.unaliased().length if kind is TypeKind.ARRAY else None
        if length and not 0 <= index < length:
            raise QueryError(f"{named.expression} has {length} elements: there is no [{index}].")
        return Named(found[index], f"{named.tight}[{index}]")

    def _primary(self, reader: Reader) -> Named:
        start = reader.position
        bare = BARE_ADDRESS.match(reader.text, skip_blanks(reader.text, start))
        if bare is not None and not continues(reader.text, bare.end()):
            address = self._bare_address(bare[0])
            if address is not None:
                reader.go_to(bare.end())
                return Named(None, f"{address:#x}", address)
        if reader.accept("("):
            named = self._sum(reader)
            reader.expect(")")
            return named
        kind, text = reader.take()
        if kind == "hexadecimal":
            return self._literal(int(text, 16), text)
        if kind == "digits":
            return self._digits(text)
        if kind == "name":
            return self._name(reader, text)
        if not text:
            raise QueryError("Something is missing at the end.", EXAMPLES)
        raise QueryError(f"{text} cannot stand here.", EXAMPLES)

    def _bare_address(self, digits: str) -> int | None:
        # "deadbeef" may be a name; "12345678" is a number until it is as long as an address.
        if digits.isdecimal() and len(digits) < 12:
            return None
        if not digits[0].isdecimal() and self._is_object(digits):
            return None
        return int(digits, 16)

    def _literal(self, number: int, text: str) -> Named:
        if number >> 64:
            raise QueryError(f"{text} is longer than an address.")
        return Named(None, text, number)

    def _digits(self, text: str) -> Named:
        if text.isdecimal():
            return self._literal(int(text), text)
        return self._literal(int(text, 16), f"0x{text}")

    def _name(self, reader: Reader, name: str) -> Named:
        kind, following = reader.peek()
        if name in ("pid", "task") and kind == "digits" and following.isdecimal():
            reader.take()
            return self._task(int(following))
        if following == "(" and name in ("per_cpu", "per_cpu_ptr", "container_of"):
            return self._call(reader, name)
        found = self._variable(reader, name)
        if reader.peek() == ("sign", ":"):
            return self._per_cpu(reader, found, name)
        if self._is_per_cpu(found):
            raise QueryError(
                f"{name} is a per-CPU variable.", f"{name}:0 is CPU 0's, {name}:a all CPUs'."
            )
        return found

    def _variable(self, reader: Reader, name: str) -> Named:
        if name in TYPE_KEYWORDS:
            raise QueryError("A type cannot stand here.", "(struct TYPE *)0x… is a cast.")
        full = self._dotted(reader, name)
        found = self._named(name)
        # schedule.cold is no member of schedule.
        is_clone = full != name and (
            found is None or found.type_.unaliased_kind() is TypeKind.FUNCTION
        )
        if found is not None and not is_clone:
            return Named(found, name)
        symbols = self._symbols.named(full)
        if symbols:
            if full != name:
                reader.go_to(reader.position - len(name) + len(full))
            return Named(None, printable(full), symbols[0].address)
        if self.type_named(name, must=False) is not None:
            raise QueryError(f"{name} is a type, not a variable.", f"{name} ADDRESS shows one.")
        raise QueryError(f"There is no symbol or type {name}.", self._near(name))

    def _named(self, name: str) -> Object | None:
        """The variable or function ``name``, if its type is known and also where it is."""
        try:
            found = self._program[name]
            # Of a function in several pieces, as do_exit() and do_exit.cold, drgn knows no
            # address, but there is a symbol.
            return None if found.absent_ and self._symbols.named(name) else found
        except AmbiguousNameError as error:
            raise QueryError(error.sentence, error.hint) from error
        except LookupError:
            return None

    def _dotted(self, reader: Reader, name: str) -> str:
        """Compilers name clones ``foo.cold`` and statics ``__already_done.4``."""
        match = re.match(r"(?:\.[A-Za-z0-9_$]+)+", reader.text[reader.position :])
        while match is not None and match[0]:
            full = name + match[0]
            while "." in full:
                if self._symbols.named(full):
                    return full
                full = full.rpartition(".")[0]
            break
        return name

    def _task(self, pid: int) -> Named:
        if not pid:
            raise QueryError(
                "Each CPU has an idle task with PID 0.", "runqueues:2.idle is CPU 2's."
            )
        task = find_task(self._program, pid) if pid <= _LARGEST_PID else None
        if not task:
            raise QueryError(f"There is no task with PID {pid}.", kind="unreadable")
        return Named(task, f"((struct task_struct *){task.value_():#x})")

    # Per-CPU variables.

    def _is_per_cpu(self, named: Named) -> bool:
        found = named.object
        address = named.address if found is None else found.address_
        return address is not None and self._per_cpu_variables.has(address)

    def _per_cpu(self, reader: Reader, named: Named, name: str) -> Named:
        reader.take()
        match = _CPUS.match(reader.text, reader.position)
        if match is None:
            raise QueryError(
                f"{name}: names no CPUs.", f"As in {name}:2, {name}:0,2-3 or {name}:a for all."
            )
        spec = match[1] or ""
        reader.go_to(match.end())
        if not spec and reader.peek() == ("sign", "-"):
            raise QueryError("CPUs are counted from 0.", f"{name}:a is all CPUs'.")
        if not self._is_per_cpu(named):
            raise QueryError(f"{name} is no per-CPU variable.")
        cpus = list(self._per_cpu_variables.cpus(spec))
        typed = named.object is not None
        variable = (
            Object(self._program, "unsigned char", address=named.address)
            if named.object is None
            else named.object
        )
        found = [(cpu, per_cpu_ptr(variable.address_of_(), cpu)[0]) for cpu in cpus]
        if len(found) == 1:
            return Named(found[0][1], f"per_cpu({name}, {found[0][0]})", typed=typed)
        return Named(None, f"{name}:{spec}", copies=tuple(found), typed=typed)

    def _call(self, reader: Reader, name: str) -> Named:
        reader.expect("(")
        if name == "container_of":
            pointer = _need_object(self._sum(reader))
            reader.expect(",")
            type_text, _, rest = reader.text[reader.position :].partition(",")
            member, closed, _ = rest.partition(")")
            if not closed:
                raise QueryError("container_of(POINTER, TYPE, MEMBER) is not closed.")
            reader.go_to(reader.position + len(type_text) + 1 + len(member) + 1)
            type_ = self.type_named(type_text)
            assert type_ is not None
            found = container_of(pointer, type_, member.strip())
            return Named(found, f"(({type_.type_name()} *){found.value_():#x})")
        reader.accept("&")
        kind, variable = reader.take()
        if kind != "name":
            raise QueryError(f"{name}(VARIABLE, CPU) takes a variable's name.")
        named = self._variable(reader, variable)
        reader.expect(",")
        cpu = _number(self._sum(reader))
        reader.expect(")")
        if named.object is None or cpu is None or not self._is_per_cpu(named):
            raise QueryError(f"{variable} is no per-CPU variable.")
        list(self._per_cpu_variables.cpus(str(cpu)))
        pointer = per_cpu_ptr(named.object.address_of_(), cpu)
        if name == "per_cpu_ptr":
            return Named(pointer, f"per_cpu_ptr({variable}, {cpu})")
        return Named(pointer[0], f"per_cpu({variable}, {cpu})")


def _need_object(named: Named) -> Object:
    if named.copies:
        raise QueryError(f"{named.expression} is several objects: name one CPU.")
    if named.object is None:
        raise QueryError(
            f"The type of {named.expression} is not known.", "(struct TYPE *) before it says it."
        )
    return named.object


def _member(found: Object, name: str) -> Object:
    type_ = found.type_.unaliased()
    if type_.kind is TypeKind.POINTER:
        type_ = type_.type.unaliased()
    if type_.kind not in (TypeKind.STRUCT, TypeKind.UNION, TypeKind.CLASS):
        raise QueryError(f"A {found.type_.type_name()} has no members.")
    if not type_.has_member(name):
        hint = fields.near(name, list(Field(type_).names()))
        raise QueryError(f"{type_.type_name()} has no member {name}.", hint)
    return found.member_(name)


def _number(named: Named) -> int | None:
    if named.copies:
        return None
    if named.object is None:
        return named.address
    if named.object.type_.unaliased_kind() in (TypeKind.INT, TypeKind.BOOL, TypeKind.ENUM):
        return int(named.object.value_())
    return None


def _address_of(found: Object) -> int:
    """Where the object is, or where the pointer points."""
    if found.type_.unaliased_kind() is TypeKind.POINTER:
        value: int = found.value_()
        return value
    if found.address_ is not None:
        return int(found.address_)
    number: int = found.value_()
    return number


def _object(expression: str, type_: Type, address: int) -> Located:
    bare = type_.unqualified()
    return Located(
        Place(kind="object", expression=expression, type=bare.type_name(),
              address=Address(address)),
        bare,
    )  # fmt: skip


def _refuse_null(found: Object, expression: str) -> None:
    if found.type_.unaliased_kind() is TypeKind.POINTER and not found:
        raise QueryError(f"{expression} is NULL.", kind="unreadable")
