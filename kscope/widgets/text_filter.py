"""What is typed after ``/``: a piece of text or a regular expression, ``!`` in front inverts it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TextFilter:
    """A compiled filter. Small letters match both cases; a capital asks for exactly that."""

    source: str = ""
    """As it was typed."""

    inverted: bool = False

    pattern: re.Pattern[str] | None = None
    """``None`` when nothing was typed, or when it is no regular expression."""

    error: str = ""
    """Why the source is not a regular expression, as far as was typed."""

    @property
    def active(self) -> bool:
        """Whether it leaves anything out."""
        return self.pattern is not None

    def matches(self, text: str) -> bool:
        if self.pattern is None:
            return True
        return (self.pattern.search(text) is None) is self.inverted

    def matches_any(self, texts: Iterable[str]) -> bool:
        """Whether one of these matches; if inverted, whether it is found in none of them."""
        matching = (self.matches(text) for text in texts)
        return all(matching) if self.inverted else any(matching)

    def select(self, texts: Sequence[str]) -> list[int]:
        """The indices of the texts that match, in order.

        A hundred thousand task names take 10 to 40 ms: fast enough for every key typed.
        """
        if self.pattern is None:
            return list(range(len(texts)))
        search = self.pattern.search
        if self.inverted:
            return [i for i, text in enumerate(texts) if search(text) is None]
        return [i for i, text in enumerate(texts) if search(text) is not None]

    def ranges(self, text: str) -> Iterable[tuple[int, int]]:
        """Where to highlight ``text``: (start, end) of each match."""
        if self.pattern is None or self.inverted:
            return ()
        return (match.span() for match in self.pattern.finditer(text) if match.group())


def parse_filter(source: str) -> TextFilter:
    """The filter for what was typed. What is not a regular expression filters nothing."""
    wanted = source.removeprefix("!")
    inverted = wanted != source
    if not wanted:
        return TextFilter(source, inverted)
    flags = re.NOFLAG if any(c.isupper() for c in wanted) else re.IGNORECASE
    try:
        pattern = re.compile(wanted, flags)
    except re.error as error:
        return TextFilter(source, inverted, error=str(error))
    except (OverflowError, RecursionError):
        return TextFilter(source, inverted, error="too large")
    return TextFilter(source, inverted, pattern)
