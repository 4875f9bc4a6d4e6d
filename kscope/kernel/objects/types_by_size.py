"""Which structures may hold a list or tree node at an offset, when only a size is known.

An object from a ``kmalloc`` cache says no more of itself than how much room it has. All of the
kernel's structures are gone through for those that have such a node just there.
"""

from typing import NamedTuple

from drgn import Program

from kscope.kernel.access.names import btf_of
from kscope.target.btf import BtfError
from kscope.target.btf.format import Btf, Kind

_MOST = 20


class Holder(NamedTuple):
    """A structure that has the node at the offset."""

    tag: str
    member: str
    size: int


def holders(program: Program, node: str, offset: int, room: int) -> list[Holder]:
    """Structures with a ``struct node`` at ``offset`` that fit in ``room``, the tightest first.

    One that needs no more than half of the room would have come from a smaller cache.
    """
    btf = btf_of(program)
    if btf is None:
        return []
    try:
        found = [
            holder
            for holder in _with_node(btf, node).get(offset, ())
            if room // 2 < holder.size <= room
        ]
    except BtfError:
        return []
    return sorted(found, key=lambda holder: (room - holder.size, holder.tag))[:_MOST]


def _with_node(btf: Btf, node: str) -> dict[int, list[Holder]]:
    """The structures that have a ``struct node`` as a direct member, by its offset."""
    wanted = next((i for i in btf.ids(Kind.STRUCT) if btf.name(i) == node), None)
    found: dict[int, list[Holder]] = {}
    if wanted is None:
        return found
    for type_id in btf.ids(Kind.STRUCT):
        tag = btf.name(type_id)
        if not tag:
            continue
        info = btf.info(type_id)
        words = btf.payload(type_id, 3 * (info & 0xFFFF))
        if wanted not in words[1::3]:
            continue
        for name, member, at in zip(words[0::3], words[1::3], words[2::3], strict=True):
            if member == wanted:
                # With the kind flag the highest byte is a bit-field's size.
                bits = at & 0xFFFFFF if info >> 31 else at
                holder = Holder(tag, btf.string(name), btf.size_or_type(type_id))
                found.setdefault(bits // 8, []).append(holder)
    return found
