"""The views that have a dialect, by the names they have on the command line."""

import importlib
import pkgutil
from typing import Any, Protocol, cast, runtime_checkable

import msgspec

import kscope.dialect
from kscope.model.base import Query, Result, subsystem_of

_NOT_VIEWS = {"views", "crash_words", "layout", "walked", "drgn_code"}


class Equivalent(msgspec.Struct, frozen=True):
    """How to get in other tools what a Query shows."""

    crash: str
    """A crash 8 command line; empty when crash has nothing near it."""
    drgn: str
    """Code that runs as it is, imports included, with ``prog`` set."""
    note: str = ""
    """Where the crash command shows less or other than kscope does, and what."""


class View(Protocol):
    """What each dialect module holds."""

    QUERY: type[Query[Any]]

    def equivalent(self, query: Any) -> Equivalent:
        """The crash command and drgn code for ``query``."""

    def text(self, query: Any, result: Any) -> str:
        """``result`` as text in crash's layout, without a newline at its end."""


@runtime_checkable
class AnsweredView(View, Protocol):
    """A dialect module whose Query leaves to the target what the other tools must be told."""

    def answered(self, query: Any, result: Any) -> Equivalent:
        """As ``equivalent``, with address, type and kind as ``result`` has them."""


def names() -> list[str]:
    """The views' names as on the command line."""
    return [
        module.name.replace("_", "-")
        for module in pkgutil.iter_modules(kscope.dialect.__path__)
        if module.name not in _NOT_VIEWS and not module.ispkg
    ]


def find(name: str) -> View:
    """The view of that name.

    :raises LookupError: if there is none.
    """
    if name not in names():
        raise LookupError(name)
    return cast(View, importlib.import_module(f"kscope.dialect.{name.replace('-', '_')}"))


def equivalent(query: Query[Any], result: Result | None = None) -> Equivalent:
    """The crash command and drgn code for any Query that has a view.

    :param result: the answer, which says what the Query leaves to the target: of ``list START``,
        as what START is walked.
    """
    view = find(subsystem_of(type(query)).replace("_", "-"))
    if result is not None and isinstance(view, AnsweredView):
        return view.answered(query, result)
    return view.equivalent(query)
