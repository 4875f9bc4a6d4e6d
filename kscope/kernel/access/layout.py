"""Many members of one structure by one read and one unpack.

Reading an attribute of a drgn object costs some ten microseconds, and a task has twenty that are
worth showing. Where the members lie is the same for every task: it is looked up once, in whatever
types there are, and a task is then one read of memory.
"""

import struct
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any

from drgn import FaultError, PlatformFlags, Program, Type, TypeKind, sizeof

from kscope.kernel.access.reading import reason

_CODES = {
    (1, False): "B", (1, True): "b", (2, False): "H", (2, True): "h",
    (4, False): "I", (4, True): "i", (8, False): "Q", (8, True): "q",
}  # fmt: skip


class Member:
    """Where one member lies, and how it is unpacked."""

    def __init__(self, program: Program, type_: Type, path: str) -> None:
        """
        :param path: ``pid`` or ``thread.sp``; ``rss_stat.count[1]`` for an element of an array.
        :raises LookupError: if the structure has no such member.
        """
        self.offset = 0
        for name in path.replace("[", ".[").split("."):
            type_ = _underlying(type_)
            if name.startswith("["):
                if type_.kind is not TypeKind.ARRAY:
                    raise LookupError(f"{type_.type_name()} is not an array")
                type_ = type_.type
                self.offset += int(name[1:-1]) * sizeof(type_)
                continue
            if type_.kind not in (TypeKind.STRUCT, TypeKind.UNION, TypeKind.CLASS):
                raise LookupError(f"{type_.type_name()} has no members")
            member = type_.member(name)
            if member.bit_field_size is not None:
                raise LookupError(f"{path} is a bit field")
            self.offset += member.bit_offset // 8
            type_ = member.type
        type_ = _underlying(type_)
        self.code = _code(program, type_)
        self.size = struct.calcsize("<" + self.code)


def _underlying(type_: Type) -> Type:
    while type_.kind in (TypeKind.TYPEDEF, TypeKind.ENUM):
        following = type_.type
        if following is None:
            raise LookupError(f"{type_.type_name()} is not complete")
        type_ = following
    return type_


def _code(program: Program, type_: Type) -> str:
    if type_.kind is TypeKind.POINTER:
        type_size, signed = type_.size, False
    elif type_.kind in (TypeKind.INT, TypeKind.BOOL):
        type_size, signed = type_.size, type_.kind is TypeKind.INT and type_.is_signed
    elif type_.kind is TypeKind.ARRAY and type_.type.size == 1:
        return f"{type_.length or 0}s"
    elif type_.kind is TypeKind.STRUCT and type_.members and len(type_.members) == 1:
        # atomic_t, atomic_long_t, refcount_t, kuid_t: a number in a coat.
        return _code(program, _underlying(type_.members[0].type))
    else:
        raise LookupError(f"{type_.type_name()} is not a number")
    return _CODES[type_size, signed]


class Layout:
    """Where the wanted members of a structure lie, and how to take them out of its bytes."""

    def __init__(
        self, program: Program, type_name: str, members: Mapping[str, tuple[str, ...]]
    ) -> None:
        """
        :param members: for each wanted value the member it is in, newest kernel first. A value
            that this kernel has in none of them comes out as ``None``.
        :raises LookupError: if there is no such structure.
        """
        self._program = program
        type_ = program.type(type_name)
        if type_.members is None:
            raise LookupError(f"{type_name} is not complete")
        self.size = type_.size or 0
        self.names = tuple(members)
        self.absent: dict[str, str] = {}
        """Values that this kernel has not, and the members that were looked for."""
        self._members: dict[str, Member] = {}
        for name, paths in members.items():
            for path in paths:
                try:
                    self._members[name] = Member(program, type_, path)
                except LookupError:
                    continue
                break
            else:
                self.absent[name] = " or ".join(paths)
        order = sorted(self._members, key=lambda name: self._members[name].offset)
        platform = program.platform
        little = platform is None or PlatformFlags.IS_LITTLE_ENDIAN in platform.flags
        self._prefix = "<" if little else ">"
        self.start = min((m.offset for m in self._members.values()), default=0)
        self.end = max((m.offset + m.size for m in self._members.values()), default=0)
        format_, at = self._prefix, self.start
        packed: list[str] = []
        for name in order:
            member = self._members[name]
            if member.offset < at:
                raise LookupError(f"{type_name}.{name} overlaps another member")
            format_ += f"{member.offset - at}x{member.code}"
            at = member.offset + member.size
            packed.append(name)
        self._unpack = struct.Struct(format_).unpack
        # What the structure lacks is the None behind what was unpacked.
        positions = [packed.index(n) if n in self._members else len(packed) for n in self.names]
        self._in_order: Callable[[tuple[Any, ...]], tuple[Any, ...]] = (
            itemgetter(*positions) if len(positions) > 1 else lambda values: (values[positions[0]],)
        )

    def offset(self, name: str) -> int:
        """Where the member lies.

        :raises KeyError: if this kernel has none.
        """
        return self._members[name].offset

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def read(self, address: int) -> tuple[Any, ...]:
        """The values of the structure at ``address``, in the order they were asked for.

        :raises FaultError: if not all of it is in the dump.
        """
        data = self._program.read(address + self.start, self.end - self.start)
        return self._in_order((*self._unpack(data), None))

    def read_what_is_there(self, address: int) -> tuple[tuple[Any, ...], dict[str, str]]:
        """The same for a structure of which a part is missing: each member is read by itself.

        :return: the values, ``None`` for those that cannot be read, and by name why they cannot.
        """
        values: list[Any] = []
        unreadable: dict[str, str] = {}
        for name in self.names:
            member = self._members.get(name)
            if member is None:
                values.append(None)
                continue
            try:
                data = self._program.read(address + member.offset, member.size)
            except FaultError as error:
                values.append(None)
                unreadable[name] = reason(error)
            else:
                values.append(struct.unpack(self._prefix + member.code, data)[0])
        return tuple(values), unreadable
