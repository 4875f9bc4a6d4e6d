"""Walking a kernel list that may be damaged: what was found before the damage stands."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from kscope.kernel.access.reading import READ_ERRORS, Readings, reason

T = TypeVar("T")

_LONGEST = 100_000
"""A list with more entries than that leads round in circles."""


def collect(
    readings: Readings, what: str, items: Callable[[], Iterable[T]], longest: int = _LONGEST
) -> tuple[T, ...]:
    """What ``items()`` yields until it ends or cannot be read on, which is then noted."""
    found: list[T] = []
    try:
        for item in items():
            if len(found) >= longest:
                readings.note(what, f"it does not end after {longest} entries")
                break
            found.append(item)
    except READ_ERRORS as error:
        readings.note(what, f"after {len(found)}: {reason(error)}" if found else reason(error))
    return tuple(found)
