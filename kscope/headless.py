"""The dashboard's views without a screen: the same Queries, answered in this process."""

import argparse
import contextlib
import os
import sys
import typing
from collections.abc import Iterator
from typing import Any, Literal, TypeVar

import msgspec

from kscope.dialect import views
from kscope.dialect.views import View
from kscope.model.base import Progress, Query, QueryError, Result
from kscope.model.codec import to_json
from kscope.model.target import OpenQuery
from kscope.model.text import printable

if typing.TYPE_CHECKING:
    from kscope.target.target import Target

R = TypeVar("R", bound=Result)

_BAR = 30
"""Columns of a progress bar."""


def add_query_options(parser: argparse.ArgumentParser, query_type: type[Query[Any]]) -> None:
    """Turn a Query's fields into options: ``sort: str`` becomes ``--sort SORT``.

    A field that has no default is a positional argument, and one that is marked
    ``extra={"positional": True}`` one that may be left out.
    """
    hints = typing.get_type_hints(query_type, include_extras=True)
    for field in msgspec.structs.fields(query_type):
        described, positional = _described(hints[field.name])
        option = "--" + field.name.replace("_", "-")
        if field.required:
            parser.add_argument(field.name, help=described)
        elif positional:
            parser.add_argument(field.name, nargs="?", default=field.default, help=described)
        elif field.default is False:
            parser.add_argument(option, action="store_true", help=described)
        else:
            parser.add_argument(
                option, default=field.default, help=described, metavar=field.name.upper()
            )


def _described(hint: object) -> tuple[str, bool]:
    """A field's help, and whether it is an argument that may be left out."""
    for extra in typing.get_args(hint)[1:]:
        if isinstance(extra, msgspec.Meta):
            return extra.description or "", bool((extra.extra or {}).get("positional"))
    return "", False


def query_from(options: argparse.Namespace, query_type: type[Query[Any]]) -> Query[Any]:
    """The Query that parsed options describe.

    :raises QueryError: if an option's value is of the wrong kind.
    """
    fields = {
        field.name: getattr(options, field.name) for field in msgspec.structs.fields(query_type)
    }
    try:
        query: Query[Any] = msgspec.convert(fields, query_type, strict=False)
        return query
    except msgspec.ValidationError as error:
        # As in "Expected `int`, got `str` - at `$.limit`", "Expected `int` >= 0 - at `$.limit`".
        expected, _, place = str(error).partition(" - at `$.")
        name = place.rstrip("`")
        what = expected
        if expected.startswith("Expected `int` >= 0"):
            what = "no number below 0"
        elif expected.startswith(("Expected `int", "Integer value out of range")):
            what = "a whole number"
        hint = typing.get_type_hints(query_type, include_extras=True)[name]
        option = name.upper() if _described(hint)[1] else f"--{name.replace('_', '-')}"
        raise QueryError(
            f"{option} takes {what}, not {printable(str(fields.get(name, '')))}.", kind="bad-usage"
        ) from error


def open_here(query: OpenQuery) -> "Target":
    """Open the target in this process; of an incomplete one it is said what it lacks.

    :raises QueryError: if it cannot be opened.
    """
    from kscope.session.answering import finish
    from kscope.target.opening import open_target

    with progress_line():
        target = finish(open_target(query), show_progress)
    identity = target.identity
    if not identity.complete:
        lacks = f"{identity.path} is incomplete: {identity.incomplete_why}."
        print(f"kscope: {lacks} What follows is of what there is.", file=sys.stderr)
    return target


def show(target: OpenQuery, view: View, query: Query[Any], as_json: bool) -> str:
    """The answer to ``query`` as text in crash's layout, or as JSON.

    :raises QueryError: if the target cannot be opened or the Query not answered.
    """
    result = ask(open_here(target), query)
    return to_json(result).decode() if as_json else view.text(query, result)


def ask(target: "Target", query: Query[R]) -> R:
    """The answer to ``query``; how far it has come is said on a terminal.

    :raises QueryError: if it cannot be answered.
    """
    from kscope.session.answering import answer

    with progress_line():
        return answer(target, query, show_progress)


@contextlib.contextmanager
def progress_line() -> Iterator[None]:
    """Take away what ``show_progress`` has left in the line where the answer will stand."""
    try:
        yield
    finally:
        if _can_show_progress():
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def _can_show_progress() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def show_progress(progress: Progress) -> None:
    """Say on a terminal how far a long answer has come."""
    if not _can_show_progress():
        return
    share = ""
    if progress.total:
        done = min(progress.done, progress.total)
        filled = _BAR * done // progress.total
        share = f" [{'=' * filled:<{_BAR}}] {100 * done // progress.total:>3} %"
    print(f"\r\033[K{progress.what}{share}\r", end="", file=sys.stderr, flush=True)


def show_parser(name: str, *, path: bool) -> tuple[View, argparse.ArgumentParser]:
    """The view called ``name`` and the parser of its options.

    :param path: whether the first argument is the VMCORE; with ``--live`` and ``--qemu`` there is
        none.
    :raises LookupError: if there is no such view.
    """
    view = views.find(name)
    parser = argparse.ArgumentParser(prog=f"kscope show {name}", description=view.__doc__)
    add_target_options(parser, path="needed" if path else "none")
    add_query_options(parser, view.QUERY)
    parser.add_argument("--json", action="store_true", help="the result as JSON")
    return view, parser


def add_target_options(
    parser: argparse.ArgumentParser, *, path: Literal["needed", "optional", "none"] = "optional"
) -> None:
    """The options that say what to open and how."""
    described = "a vmcore, a directory with one, or demo"
    if path == "needed":
        parser.add_argument("vmcore", help=described)
    elif path == "optional":
        parser.add_argument("vmcore", nargs="?", default="", help=described)
    else:
        parser.set_defaults(vmcore="")
    parser.add_argument("-s", "--vmlinux", default="", help="the kernel's vmlinux with debug info")
    parser.add_argument("--live", action="store_true", help="the running kernel")
    parser.add_argument("--qemu", default="", metavar="SOCKET", help="a QEMU guest, by QMP socket")
    parser.add_argument(
        "--debuginfod", action="store_true", help="download debug info from debuginfod"
    )


def target_from(options: argparse.Namespace) -> OpenQuery:
    """The target that parsed options name; ``demo`` is the dump that comes with kscope.

    :raises QueryError: if the bundled dump cannot be unpacked.
    """
    path = options.vmcore
    if path == "demo":
        from kscope.demo import unpack

        with progress_line():
            path = str(unpack(show_progress))
    return OpenQuery(
        path=path,
        live=options.live,
        qemu=options.qemu,
        vmlinux=options.vmlinux,
        debuginfod=options.debuginfod,
    )
