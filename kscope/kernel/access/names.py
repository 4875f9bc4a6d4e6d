"""All names of symbols and types, to complete what is typed and to find what was meant."""

from bisect import bisect_left
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from drgn import Program, SymbolKind

from kscope.kernel.access.reading import READ_ERRORS
from kscope.kernel.access.symbols import symbols_of
from kscope.model.base import Progress
from kscope.model.expressions import CandidateKind
from kscope.model.text import printable
from kscope.target.btf.format import Btf, Kind
from kscope.target.btf.kernel_btf import KernelBtf
from kscope.target.target import Target

_TYPE_KINDS: dict[Kind, CandidateKind] = {
    Kind.STRUCT: "struct",
    Kind.UNION: "union",
    Kind.TYPEDEF: "typedef",
    Kind.ENUM: "enum",
    Kind.ENUM64: "enum",
}
NAMES = "kscope names"
"""Where a program's cache has them."""
_SYMBOLS_AT_ONCE = 20_000
"""Symbols taken in before the worker may look for other work: some 10 ms."""


@dataclass(frozen=True)
class Names:
    """Names in alphabetical order, with what each is."""

    names: list[str]
    kinds: list[CandidateKind]
    folded: str
    """All of them in lower case, each between newlines."""
    starts: list[int]
    """Where each begins in ``folded``."""

    @classmethod
    def of(cls, entries: Sequence[tuple[str, CandidateKind]]) -> "Names":
        """Names in alphabetical order, each with what it is."""
        names = [name for name, _ in entries]
        starts, position = [], 1
        for name in names:
            starts.append(position)
            position += len(name) + 1
        folded = "\n" + "\n".join(names).lower() + "\n"
        if len(folded) != position:  # a letter whose lower case is longer
            folded = "\n" + "\n".join(names) + "\n"
        return cls(names, [kind for _, kind in entries], folded, starts)

    def beginning_with(self, prefix: str) -> range:
        """Indexes of the names that begin with ``prefix``."""
        first = bisect_left(self.names, prefix)
        return range(first, bisect_left(self.names, prefix + "\U0010ffff", first))

    def containing(self, text: str, limit: int) -> list[int]:
        """Indexes of the first names that contain ``text``, in whatever case."""
        found: list[int] = []
        text = text.lower()
        position = self.folded.find(text)
        while position >= 0 and len(found) < limit:
            index = bisect_left(self.starts, position + 1) - 1
            found.append(index)
            position = self.folded.find(text, self.folded.find("\n", position))
        return found

    def ending_with(self, suffix: str, limit: int) -> list[int]:
        """Indexes of the first names that end in ``suffix``, in whatever case."""
        found: list[int] = []
        text = suffix.lower() + "\n"
        position = self.folded.find(text)
        while position >= 0 and len(found) < limit:
            found.append(bisect_left(self.starts, position + 1) - 1)
            position = self.folded.find(text, position + 1)
        return found

    def like(self, word: str, limit: int = 4, *, types: bool = False) -> list[str]:
        """Names that are spelt much like ``word``.

        :param types: only types are meant.
        """
        from difflib import get_close_matches

        if len(word) < 3:
            return []
        # The whole 200,000 would take seconds: those that begin or end alike, or hold it. What is
        # mistyped in one place has one half of the word as it should be.
        nearby = self.containing(word, 40)
        for length in (len(word) - 1, len(word) // 2, 4, 3, 2):
            candidates = self.beginning_with(word[:length])
            if length > 0 and 0 < len(candidates) < 4000:
                nearby += candidates
        nearby += self.ending_with(word[len(word) // 2 :], 4000)
        unique = list(
            dict.fromkeys(
                name
                for name, kind in ((self.names[index], self.kinds[index]) for index in nearby)
                if len(name) <= 2 * len(word) + 8
                and not (types and kind in ("function", "variable"))
            )
        )
        return get_close_matches(word, unique, limit, 0.6) or unique[:limit]


def names_in_slices(target: Target) -> Generator[Progress, None, Names]:
    """The names of ``target``, made when they are first asked for."""
    cache = target.program.cache
    if NAMES not in cache:
        cache[NAMES] = yield from _collect(target)
    found: Names = cache[NAMES]
    return found


def names_of(target: Target) -> Names:
    """The names of ``target``, at once."""
    slices = names_in_slices(target)
    while True:
        try:
            next(slices)
        except StopIteration as stop:
            found: Names = stop.value
            return found


def _collect(target: Target) -> Generator[Progress, None, Names]:
    kinds: set[tuple[str, CandidateKind]] = set()
    symbols = symbols_of(target)
    everything = symbols.all()
    yield Progress(0, len(everything), "reading symbols")
    for count, symbol in enumerate(everything, 1):
        name = symbol.name
        if symbol.kind in (SymbolKind.FILE, SymbolKind.SECTION):
            continue
        # Sections' and compilers' own marks lead nowhere that anyone wants to go.
        if name.isprintable() and not name.startswith((".", "__ksymtab", "__kstrtab", "__pfx_")):
            kinds.add((name, "function" if symbols.is_code(symbol) else "variable"))
        if count % _SYMBOLS_AT_ONCE == 0:
            yield Progress(count, len(everything), "reading symbols")
    # A name may be both: mutex is a structure and somebody's variable.
    kinds.update(_types(target.program))
    yield Progress(len(everything), len(everything), "sorting names")
    entries = sorted(kinds)
    yield Progress(len(everything), len(everything), "sorting names")
    return Names.of(entries)


def _types(program: Program) -> list[tuple[str, CandidateKind]]:
    """The named types, which drgn cannot list."""
    btf = btf_of(program)
    if btf is None:
        return []
    return [
        (printable(name), kind)
        for btf_kind, kind in _TYPE_KINDS.items()
        for type_id in btf.ids(btf_kind)
        if (name := btf.name(type_id))
    ]


def btf_of(program: Program) -> Btf | None:
    """The BTF that the kernel has in its memory, which lists its types whatever drgn uses."""

    def address(name: str) -> int | None:
        found = program.symbols(name)
        return found[0].address if len(found) == 1 else None

    try:
        return KernelBtf(program, address).read()
    except READ_ERRORS:
        return None
