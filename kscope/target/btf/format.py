"""BTF as it lies in memory: a header, a section of type records and a section of strings.

The format is described in the kernel's Documentation/bpf/btf.rst. A type record is three words
(name, info, and a size or the id of another type) followed by as many words as its kind and its
number of members call for. Ids count the records from 1; 0 is void. A kernel module's BTF is
*split*: its ids and its string offsets continue where those of vmlinux end.

What is read here comes out of a crash dump, where a page may be missing, stale or hostile. When a
section is opened, its header and bounds, every record's kind, flags and length and every type's
name are checked, which no page of zeros or of something else passes. The names and ids that a type
refers to are checked when they are looked at, so that a damaged type takes no others with it; and
what needs the meaning of a type (members that leave their structure, a structure that contains
itself) by `kscope.target.btf.types` when that type is built. All raise `DamagedBtfError`.

A kernel has about 100,000 types, and opening a dump waits for this module: the only loop that runs
once per type does nothing but step from record to record, and everything else works on whole
columns at C speed.
"""

from __future__ import annotations

import enum
import re
import struct
from collections.abc import Iterable, Iterator
from itertools import compress

from kscope.target.btf.errors import DamagedBtfError

_HEADER = "HBBIIIII"
"""magic, version, flags, hdr_len, type_off, type_len, str_off, str_len."""
HEADER_SIZE = struct.calcsize("<" + _HEADER)
_MAGIC = 0xEB9F
MAX_SIZE = 1 << 28
"""Far above any kernel's BTF (4 to 10 MB); only keeps a damaged size from being believed."""
_UNUSED_INFO_BITS = 0x60FF0000


class Kind(enum.IntEnum):
    """BTF_KIND_*."""

    VOID = 0
    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    FWD = 7
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    RESTRICT = 11
    FUNC = 12
    FUNC_PROTO = 13
    VAR = 14
    DATASEC = 15
    FLOAT = 16
    DECL_TAG = 17
    TYPE_TAG = 18
    ENUM64 = 19


_FIXED_WORDS = {Kind.INT: 1, Kind.ARRAY: 3, Kind.VAR: 1, Kind.DECL_TAG: 1}
_WORDS_PER_ELEMENT = {
    Kind.STRUCT: 3,
    Kind.UNION: 3,
    Kind.ENUM: 2,
    Kind.FUNC_PROTO: 2,
    Kind.DATASEC: 3,
    Kind.ENUM64: 3,
}
_HAVE_KIND_FLAG = {
    Kind.STRUCT,
    Kind.UNION,
    Kind.FWD,
    Kind.ENUM,
    Kind.ENUM64,
    # Attributes other than tags, since Linux kernel commit ea70faa1f229 (in v6.15).
    Kind.DECL_TAG,
    Kind.TYPE_TAG,
}
_MUST_HAVE_NAME = {
    Kind.INT,
    Kind.FWD,
    Kind.TYPEDEF,
    Kind.FUNC,
    Kind.VAR,
    Kind.DATASEC,
    Kind.FLOAT,
    Kind.DECL_TAG,
    Kind.TYPE_TAG,
}
_MUST_NOT_HAVE_NAME = {
    Kind.PTR,
    Kind.ARRAY,
    Kind.VOLATILE,
    Kind.CONST,
    Kind.RESTRICT,
    Kind.FUNC_PROTO,
}
_IN_THE_MIDDLE = "a name starts in the middle of another name"
_BEYOND_THE_STRINGS = "a name lies beyond the end of the strings"

_IN_NAMES = bytes(set(range(0x20, 0x7F)) - set(b'"`$\\|;!<>')) + b"\0"
"""What names are made of, and tags such as ``address_space(1)``. Not what ends a string of Python
or leads crash to the shell: names become commands and code, which are copied to be run."""


def _flags(kinds: Iterable[Kind]) -> bytes:
    """A translation table that turns a column of kinds into a selector for `compress()`."""
    table = bytearray(256)
    for kind in kinds:
        table[kind] = 1
    return bytes(table)


_SELECT_NAMED = _flags(_MUST_HAVE_NAME)
_SELECT_UNNAMED = _flags(_MUST_NOT_HAVE_NAME)


class _RecordLengths(dict[int, int]):
    """Words in a record by its info word, checking each distinct info word once.

    A kernel has 100,000 records but only some 300 different info words.
    """

    def __missing__(self, info: int) -> int:
        number = info >> 24 & 0x1F
        if info & _UNUSED_INFO_BITS or not Kind.INT <= number <= Kind.ENUM64:
            raise DamagedBtfError(f"a type record has the unknown kind {info:#010x}")
        kind = Kind(number)
        count = info & 0xFFFF
        if info >> 31 and kind not in _HAVE_KIND_FLAG:
            raise DamagedBtfError(f"a type record of kind {kind.name} has a kind flag")
        if kind is Kind.FUNC:
            if count > 2:  # BTF_FUNC_STATIC, BTF_FUNC_GLOBAL, BTF_FUNC_EXTERN
                raise DamagedBtfError(f"a function has the unknown linkage {count}")
        elif count and kind not in _WORDS_PER_ELEMENT:
            raise DamagedBtfError(f"a type record of kind {kind.name} has {count} members")
        length = 3 + _FIXED_WORDS.get(kind, 0) + _WORDS_PER_ELEMENT.get(kind, 0) * count
        self[info] = length
        return length


class Strings:
    """The names in a BTF section; the offsets of a split section's continue those of its base."""

    def __init__(self, data: bytes, base: Strings | None = None) -> None:
        self._data = data
        self._base = base
        self._first: int = base.end if base else 0
        self.end: int = self._first + len(data)

    @property
    def all(self) -> bytes:
        """The base's strings and these."""
        return (self._base.all if self._base else b"") + self._data

    def __getitem__(self, offset: int) -> str:
        start = self._start(offset)
        if start < 0:
            assert self._base is not None
            return self._base[offset]
        return self._data[start : self._data.index(0, start)].decode("ascii")

    def _start(self, offset: int) -> int:
        """Where in these strings one starts; negative if it is one of the base's."""
        start = offset - self._first
        if start >= len(self._data):
            raise DamagedBtfError(_BEYOND_THE_STRINGS)
        # Every name starts where another ended: neither libbpf, which writes the kernel's BTF, nor
        # the kernel when it relocates a module's, lets one string be the tail of another.
        if start > 0 and self._data[start - 1]:
            raise DamagedBtfError(_IN_THE_MIDDLE)
        return start

    def has(self, offset: int, text: str) -> bool:
        """Whether the string at an offset is this one."""
        start = self._start(offset)
        if start < 0:
            assert self._base is not None
            return self._base.has(offset, text)
        return self._data.startswith(_terminated(text), start)

    def offsets_of(self, text: str) -> Iterator[int]:
        """Where a string lies, in the base's strings too: once, or a second time if it is damaged.

        Searching for one string is much faster than listing all of them by what they say.
        """
        if self._base:
            yield from self._base.offsets_of(text)
        wanted = _terminated(text)
        if self._data.startswith(wanted):
            yield self._first
        position = -1
        while (position := self._data.find(b"\0" + wanted, position + 1)) >= 0:
            yield self._first + position + 1


def _terminated(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace") + b"\0"


class Btf:
    """One BTF section, indexed and checked. Types are addressed by their id."""

    def __init__(self, data: bytes, *, little_endian: bool = True, base: Btf | None = None) -> None:
        """
        :param data: The section, from its header to the end of its strings.
        :param base: vmlinux's BTF if *data* is the split BTF of a module.
        :raises DamagedBtfError: if any of it is damaged.
        """
        self.base = base
        self.first_id: int = base.end_id if base else 1
        types, strings = _sections(data, little_endian, split=base is not None)
        self.strings: Strings = Strings(strings, base.strings if base else None)
        self.end_id: int = self.first_id
        self._ids_by_kind: dict[Kind, list[int]] = {}

        if little_endian == (struct.pack("=H", 1) == b"\1\0"):
            self.words = memoryview(types).cast("I")
        else:
            swapped = struct.unpack(f"{'<' if little_endian else '>'}{len(types) // 4}I", types)
            self.words = memoryview(struct.pack(f"={len(swapped)}I", *swapped)).cast("I")
        self._index()
        self._check_names()

    def _index(self) -> None:
        words = self.words
        self.starts: list[int] = []
        """Index into `words` of each record."""
        append = self.starts.append
        lengths = _RecordLengths()
        position = 0
        end = len(words)
        try:
            while position < end:
                append(position)
                position += lengths[words[position + 1]]
        except IndexError:
            position = end + 1
        if position != end:
            raise DamagedBtfError("the last type record is cut off")
        self.end_id = self.first_id + len(self.starts)
        self.infos = [words[start + 1] for start in self.starts]
        self.kinds = bytes([info >> 24 & 0x1F for info in self.infos])

    def _check_names(self) -> None:
        self.names = [self.words[start] for start in self.starts]
        """String offset of each type's name."""
        if not all(compress(self.names, self.kinds.translate(_SELECT_NAMED))):
            raise DamagedBtfError("a type that must have a name has none")
        if any(compress(self.names, self.kinds.translate(_SELECT_UNNAMED))):
            raise DamagedBtfError("a type that cannot have a name has one")
        before = b"\0" + self.strings.all[:-1]
        try:
            if any(map(before.__getitem__, self.names)):
                raise DamagedBtfError(_IN_THE_MIDDLE)
        except IndexError:
            raise DamagedBtfError(_BEYOND_THE_STRINGS) from None

    def string(self, offset: int) -> str:
        """The string at an offset that the type section tells.

        :raises DamagedBtfError: if none starts there.
        """
        return self.strings[offset]

    def ids(self, kind: Kind) -> list[int]:
        """Ids of this section's own types of a kind, in their order."""
        ids = self._ids_by_kind.get(kind)
        if ids is None:
            pattern = re.escape(bytes([kind]))
            ids = [self.first_id + found.start() for found in re.finditer(pattern, self.kinds)]
            self._ids_by_kind[kind] = ids
        return ids

    def kind(self, type_id: int) -> int:
        """`Kind` of a type of this section or its base.

        :raises DamagedBtfError: if there is no type of that id.
        """
        if type_id >= self.end_id:
            raise DamagedBtfError(f"a type refers to type {type_id} of {self.end_id - 1}")
        if type_id >= self.first_id:
            return self.kinds[type_id - self.first_id]
        return self.base.kind(type_id) if self.base else Kind.VOID

    def name(self, type_id: int) -> str:
        """Name of one of this section's own types; empty if it is anonymous."""
        return self.string(self.names[type_id - self.first_id])

    def info(self, type_id: int) -> int:
        """Info word of one of this section's own types."""
        return self.infos[type_id - self.first_id]

    def size_or_type(self, type_id: int) -> int:
        """Third word of one of this section's own types."""
        return self.words[self.starts[type_id - self.first_id] + 2]

    def payload(self, type_id: int, words: int) -> memoryview:
        """The words that follow the first three of one of this section's own types."""
        start = self.starts[type_id - self.first_id] + 3
        return self.words[start : start + words]


def _sections(data: bytes, little_endian: bool, *, split: bool) -> tuple[bytes, bytes]:
    """The type section and the string section of BTF data, by its checked header."""
    if len(data) > MAX_SIZE:
        raise DamagedBtfError(f"it claims to be {len(data)} bytes long, which no kernel's is")
    (type_start, type_size), (string_start, string_size) = _header(data, len(data), little_endian)
    strings = data[string_start : string_start + string_size]
    if not strings and not split:
        raise DamagedBtfError("it has no strings")
    if strings and (strings[-1] or (strings[0] and not split)):
        raise DamagedBtfError("its strings are not terminated")
    if strings.translate(None, delete=_IN_NAMES):
        raise DamagedBtfError("its strings hold bytes that no name has")
    # Equal strings are written once, and the empty one is the first of vmlinux's: two zeros in a
    # row are a page that was zeroed, and members whose names were there would seem to be anonymous.
    if b"\0\0" in strings:
        raise DamagedBtfError("its strings are empty where names should be")
    return data[type_start : type_start + type_size], strings


def string_section(header: bytes, size: int, little_endian: bool) -> tuple[int, int]:
    """Offset and size of the string section of BTF that is so large, by its header.

    :raises DamagedBtfError: if the header is damaged.
    """
    return _header(header, size, little_endian)[1]


def _header(data: bytes, size: int, little_endian: bool) -> tuple[tuple[int, int], tuple[int, int]]:
    """Offset and size of the type section and of the string section."""
    if len(data) < HEADER_SIZE:
        raise DamagedBtfError(f"it is {len(data)} bytes long, which is shorter than its header")
    magic, version, _flags, header, type_start, type_size, string_start, string_size = (
        struct.unpack_from(("<" if little_endian else ">") + _HEADER, data)
    )
    if magic != _MAGIC:
        raise DamagedBtfError(f"it does not start with its magic number but with {magic:#06x}")
    if version != 1:
        raise DamagedBtfError(f"it has version {version}; only version 1 is known")
    if header < HEADER_SIZE:
        raise DamagedBtfError(f"its header is {header} bytes long")
    if type_start % 4 or type_size % 4 or header % 4:
        raise DamagedBtfError("its type section is not aligned")
    type_start += header
    string_start += header
    if type_start + type_size > size or string_start + string_size > size:
        raise DamagedBtfError("a section lies beyond its end")
    if type_start < string_start + string_size and string_start < type_start + type_size:
        raise DamagedBtfError("its sections overlap")
    return (type_start, type_size), (string_start, string_size)
