"""What a list head, a tree's root and their like hold, in a few words."""

import struct
from collections.abc import Callable

from drgn import FaultError, Program

_FAR = 1000
"""Elements after which a list is said to have more: looking further would keep one waiting."""


def _list_head(program: Program, address: int, raw: bytes) -> str:
    following, previous = struct.unpack("QQ", raw)
    if not following and not previous:
        return "never initialized"
    if following == address:
        return "empty"
    count = 0
    try:
        while following != address:
            if count >= _FAR:
                return f"more than {_FAR:,} entries"
            count += 1
            following = program.read_u64(following)
    except FaultError:
        return f"broken after {count}: {following:x}"
    return "1 entry" if count == 1 else f"{count} entries"


def _chain(program: Program, _address: int, raw: bytes) -> str:
    """A list that ends in NULL, the head pointing at its first node."""
    (node,) = struct.unpack_from("Q", raw)
    if not node:
        return "empty"
    count = 0
    try:
        while node & ~1:
            if count >= _FAR:
                return f"more than {_FAR:,} entries"
            count += 1
            node = program.read_u64(node)
            # hlist_nulls ends in an odd number.
            if node & 1:
                break
    except FaultError:
        return f"broken after {count}: {node:x}"
    return "1 entry" if count == 1 else f"{count} entries"


def _root(_program: Program, _address: int, raw: bytes) -> str:
    return "" if any(raw[:8]) else "empty"


def _maple_tree(program: Program, _address: int, raw: bytes) -> str:
    offset = program.type("struct maple_tree").member("ma_root").bit_offset // 8
    return "" if any(raw[offset : offset + 8]) else "empty"


def _xarray(program: Program, _address: int, raw: bytes) -> str:
    offset = program.type("struct xarray").member("xa_head").bit_offset // 8
    return "" if any(raw[offset : offset + 8]) else "empty"


COLLECTIONS: dict[str, Callable[[Program, int, bytes], str]] = {
    "list_head": _list_head,
    "plist_head": _list_head,
    "hlist_head": _chain,
    "hlist_nulls_head": _chain,
    "llist_head": _chain,
    "rb_root": _root,
    "rb_root_cached": _root,
    "maple_tree": _maple_tree,
    "xarray": _xarray,
}
