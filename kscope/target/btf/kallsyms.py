"""Finds the tables of kallsyms where VMCOREINFO does not name them, as before Linux 6.0.

The tables lie in the kernel's read-only data. Up to Linux 6.3 their order is (scripts/kallsyms.c)::

    offsets        one 32-bit word for each symbol
    relative_base  the address that they count from
    num_syms
    names          for each symbol its length and that many bytes, each standing for a token
    markers        where in names every 256th symbol begins
    token_table    256 strings
    token_index    where in token_table each of them begins

Later kernels order them otherwise, but those name them. Nothing here is guessed: a place is taken
only if the markers are exactly those of the names found, and the index exactly that of the tokens;
and `load()` refuses tables that contradict the addresses that VMCOREINFO does tell.
"""

from __future__ import annotations

import re
import struct
from itertools import accumulate
from typing import NamedTuple

from drgn import FaultError, Program, SymbolIndex
from drgn.helpers.linux import kallsyms as drgn_kallsyms

_CHUNK = 1 << 20
_PAGE = 4096
_MOST_IMAGE_BYTES = 64 << 20
"""Text and read-only data of a large kernel, which come first in its image."""
_CONFIRMING = ("_stext", "init_uts_ns", "init_top_pgt", "vmap_area_list", "prb", "log_buf")
"""Symbols that VMCOREINFO names for themselves, not for what they point to."""
_SYMBOLS = range(1000, 1 << 21)
_DIGITS = b"".join(b"%d\0" % digit for digit in range(10))
"""Every digit occurs in names, so the token of each is itself."""
_FIRST_DIGIT = ord("0")
_MOST_TOKEN_BYTES = 1 << 14


class Tables(NamedTuple):
    """Addresses of the tables."""

    names: int
    token_table: int
    token_index: int
    num_syms: int
    offsets: int
    relative_base: int


def find(prog: Program, text: int) -> Tables | None:
    """Look for the tables.

    :param text: Address of the kernel's text, ``_stext``.
    """
    start = text & ~0x1FFFFF
    image = _read_image(prog, start)
    for base in dict.fromkeys((text, text & ~0xFFFF, start)):
        position = -1
        while (position := image.find(struct.pack("<Q", base), position + 1)) >= 0:
            found = None if position % 8 else _tables_after(image, position)
            if found is not None:
                return Tables(*(start + offset for offset in found))
    return None


def load(prog: Program, tables: Tables, vmcoreinfo: str) -> SymbolIndex | None:
    """Symbols from tables that were found, or None if they cannot be the right ones."""
    known = {
        name: int(address, 16)
        for name, address in re.findall(r"^SYMBOL\((\w+)\)=([0-9a-fA-F]+)$", vmcoreinfo, re.M)
    }
    # What drgn's load_vmlinux_kallsyms() calls with the addresses that VMCOREINFO gives.
    load_tables = drgn_kallsyms._linux_helper_load_builtin_kallsyms  # type: ignore[attr-defined]
    index: SymbolIndex = load_tables(prog, *tables, 0, known["_stext"])
    for name in _CONFIRMING:
        symbols = index(None, name, None, False)
        if name in known and known[name] not in [symbol.address for symbol in symbols]:
            return None
    return index


def _read_image(prog: Program, start: int) -> bytes:
    """The kernel's image, with zeros for pages that it has given back or the dump does not hold."""
    chunks = []
    for chunk in range(start, start + _MOST_IMAGE_BYTES, _CHUNK):
        try:
            chunks.append(prog.read(chunk, _CHUNK))
        except FaultError:
            chunks.extend(_read_page(prog, page) for page in range(chunk, chunk + _CHUNK, _PAGE))
    return b"".join(chunks)


def _read_page(prog: Program, address: int) -> bytes:
    try:
        page: bytes = prog.read(address, _PAGE)
    except FaultError:
        return bytes(_PAGE)
    return page


def _tables_after(image: bytes, relative_base: int) -> Tables | None:
    """Offsets of the tables, if the word at an offset is ``kallsyms_relative_base``."""
    num_syms = relative_base + 8
    names = num_syms + 8
    count = int.from_bytes(image[num_syms : num_syms + 8], "little")
    offsets = relative_base - _aligned(4 * count)
    if count not in _SYMBOLS or offsets < 0:
        return None
    end_of_markers = _check_names(image, names, count)
    if end_of_markers is None:
        return None
    tokens = _find_tokens(image, end_of_markers)
    if tokens is None:
        return None
    token_table, token_index = tokens
    return Tables(names, token_table, token_index, num_syms, offsets, relative_base)


def _check_names(image: bytes, names: int, count: int) -> int | None:
    """Where the markers end, if the names are followed by the markers of just these names."""
    markers = []
    position = names
    try:
        for index in range(count):
            if index % 256 == 0:
                markers.append(position - names)
            length = image[position]
            if not length:
                return None
            if length & 0x80:
                # Names of 128 tokens and more have two bytes of length since Linux kernel commit
                # 73bbb94466fd ("kallsyms: support "big" kernel symbols") (in v6.1).
                position += 1
                length = length & 0x7F | image[position] << 7
            position += length + 1
    except IndexError:
        return None
    start = names + _aligned(position - names)
    # Words of 64 bits before Linux kernel commit 80ffbaa5b1bd ("kallsyms: reduce size a little on
    # 64-bit") (in v4.20).
    for word in ("I", "Q"):
        expected = struct.pack(f"<{len(markers)}{word}", *markers)
        if image.startswith(expected, start):
            return start + len(expected)
    return None


def _find_tokens(image: bytes, after: int) -> tuple[int, int] | None:
    """Offsets of the token table and of its index, which must describe it."""
    # kallsyms_seqs_of_names (3 bytes for each symbol) may come between.
    digits = image.find(_DIGITS, after)
    for start in range(_aligned(max(after, digits - _MOST_TOKEN_BYTES)), max(digits, 0), 8):
        if image.count(b"\0", start, digits) != _FIRST_DIGIT:
            continue
        tokens = image[start : start + _MOST_TOKEN_BYTES].split(b"\0", 256)[:256]
        beginnings = list(accumulate((len(token) + 1 for token in tokens), initial=0))
        index = start + _aligned(beginnings.pop())
        if image.startswith(struct.pack("<256H", *beginnings), index):
            return start, index
    return None


def _aligned(size: int) -> int:
    return size + 7 & ~7
