"""Shapes of members that are arrays of arrays, which BTF has as one long array up to Linux 6.12.

``dimensions.txt`` is written by `kscope.target.btf.generate` from the DWARF of reference kernels.
Each line is a type and a member in the notation of `kscope.target.btf.expressions`, and the
member's shape in the reference kernels, newest first. A shape is believed of another kernel only
if it has exactly as many elements as that kernel's BTF says; else the member stays one long array.
"""

from __future__ import annotations

import math
import re
from functools import cache
from pathlib import Path

DIMENSIONS = Path(__file__).with_name("dimensions.txt")


@cache
def _shapes() -> dict[tuple[str, str], list[tuple[int, ...]]]:
    found = {}
    for line in DIMENSIONS.read_text().splitlines():
        type_name, member, *shapes = line.split("\t")
        found[type_name, member] = [tuple(map(int, re.findall(r"\d+", shape))) for shape in shapes]
    return found


def shape(type_name: str, member: str, length: int) -> tuple[int, ...] | None:
    """Lengths of a member's dimensions, outermost first, if it is known to be an array of arrays.

    :param type_name: The notation of the type that the member belongs to.
    :param length: Elements that the member has in all.
    """
    for dimensions in _shapes().get((type_name, member), ()):
        if math.prod(dimensions) == length:
            return dimensions
    return None
