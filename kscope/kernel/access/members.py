"""Members and variables that not every kernel has: tried, and left out where there is none."""

import contextlib

from drgn import Object, Program


def member(structure: Object, path: str) -> Object | None:
    """A member such as ``rt.rt_throttled``; ``None`` if the structure has none of that name."""
    try:
        for name in path.split("."):
            structure = structure.member_(name)
    except LookupError:
        return None
    return structure


def number(structure: Object, *paths: str) -> int | None:
    """The value of the first of these members that there is, whether bare or an ``atomic_t``."""
    for path in paths:
        found = member(structure, path)
        if found is not None:
            return value_of(found)
    return None


def variable(program: Program, *names: str) -> Object | None:
    """The first of these variables that this kernel has."""
    for name in names:
        try:
            return program[name]
        except LookupError:
            continue
    return None


def value_of(found: Object) -> int:
    """A number, whether bare or in the coat of an ``atomic_t``."""
    with contextlib.suppress(LookupError, TypeError):
        found = found.member_("counter")
    return int(found.value_())
