"""From a Query to the function that answers it: in the worker, and for the headless commands.

The answer to a Query of ``kscope.model.tasks`` is in ``ANSWERS`` of ``kscope.kernel.tasks`` or
``kscope.triage.tasks``: a function of the target and the Query that returns the result. One that
takes long is a generator: each ``yield`` of a ``Progress`` or a ``Part`` ends a slice, after which
the worker looks for other work.
"""

import importlib
import importlib.util
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar

from kscope.model.base import Part, Progress, Query, QueryError, Result, subsystem_of

if TYPE_CHECKING:
    from kscope.target.target import Target

R = TypeVar("R", bound=Result)
T = TypeVar("T")
Slices = Generator[Progress | Part[Any], None, Result]
_ANSWERING = ("kscope.kernel", "kscope.triage")


def begin(target: "Target", query: Query[R]) -> R | Slices:
    """Start answering ``query``: its result, or the slices that end in it.

    :raises QueryError: if it cannot be answered.
    """
    query_type = type(query)
    subsystem = subsystem_of(query_type)
    for package in _ANSWERING:
        name = f"{package}.{subsystem}"
        if importlib.util.find_spec(name) is None:
            continue
        answers: dict[type[Query[Any]], Callable[..., R | Slices]] = importlib.import_module(
            name
        ).ANSWERS
        if query_type in answers:
            return answers[query_type](target, query)
    raise QueryError(f"Nothing answers a {query_type.__name__}.", kind="bug")


def answer(
    target: "Target", query: Query[R], progress: Callable[[Progress], None] | None = None
) -> R:
    """Answer ``query`` in this process, from beginning to end.

    :raises QueryError: if it cannot be answered.
    """
    begun = begin(target, query)
    if not isinstance(begun, Generator):
        return begun
    return finish(begun, progress)  # type: ignore[return-value]


def finish(slices: Generator[Any, None, T], progress: Callable[[Progress], None] | None) -> T:
    """Run slices to their end."""
    while True:
        try:
            step = next(slices)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        if progress is not None and isinstance(step, Progress):
            progress(step)
