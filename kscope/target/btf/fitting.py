"""Whether a variable of a type can lie where its symbol does."""

from __future__ import annotations

from drgn import Type, TypeKind, sizeof

_PAGE = 4096


def fills(drgn_type: Type, address: int, room: int) -> bool:
    """Whether a variable of this type ends where the next symbol's alignment leaves off.

    In the reference kernels' data that holds for all variables but one in a thousand, and
    for few types of other kernels that are not the variable's.

    :param room: Bytes to the next symbol, or 0 if they are not known.
    """
    if not room or drgn_type.kind == TypeKind.FUNCTION or not drgn_type.is_complete():
        return True
    following = address + room
    alignment = min(following & -following, _PAGE)
    padding: int = room - sizeof(drgn_type)
    return 0 <= padding < alignment
