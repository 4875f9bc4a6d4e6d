"""What kscope shows, its crash command and its drgn code, against each other.

Views are shown in several states. Their crash commands are run in crash 8.0.6 where that opens the
dump, all in one run, and their drgn code in one process; both must show the same.
"""

import contextlib
import io
import os
import re
from collections.abc import Iterable, Iterator

import drgn
import pytest

from kscope.target.target import Target
from tests.lab.catalogue import find
from tests.lab.oracle import crash
from tests.on_lab.opening import CAPTURED, PANICS, SERIES, open_lab
from tests.on_lab.shown import Shown, bare, shown

pytestmark = pytest.mark.lab

IN_FULL = "hung-task"
"""The dump on which every view is shown, also what takes long; on the others a part of them."""
_PARTS = 4
NAMES = (
    (*PANICS, *CAPTURED, "offline-cpu", "many")
    if os.environ.get("KSCOPE_ALL_DUMPS")
    else (IN_FULL,)
)
"""crash takes minutes to start on all of these; KSCOPE_ALL_DUMPS=1 does that."""
CASES = [
    (name, series, types)
    for name in NAMES
    for series in SERIES
    for types in ("btf", "dwarf")
    # Both on one of the dumps, else one each.
    if name == IN_FULL or (types == "btf") == (series == "6.1")
]
_CRASH_CANNOT = re.compile(
    r"Usage:|command not found|invalid (?:option|argument|data structure|input|task|start)|"
    r"not (?:supported|applicable)|does not exist|^\w+: .*: (?:not|no such)", re.MULTILINE
)  # fmt: skip


@pytest.mark.parametrize(("name", "series", "types"), CASES)
def test_crash_and_drgn_show_the_same(name: str, series: str, types: str) -> None:
    views = list(shown(open_lab(name, series, types), everything=name == IN_FULL))
    if name != IN_FULL:
        views = views[NAMES.index(name) % _PARTS :: _PARTS]
    different = list(_in_drgn(open_lab(name, series, "dwarf"), views))
    # crash 8.0.6 cannot open a 6.1 dump of a machine that did not panic.
    if series != "6.1" or name in (*PANICS, "offline-cpu"):
        different += _in_crash(name, series, views)
    assert not different, "\n".join(different)


def _in_drgn(target: Target, views: list[Shown]) -> Iterator[str]:
    drgn.set_default_prog(target.program)
    try:
        for view in filter(lambda view: view.equivalent.drgn, views):
            printed = io.StringIO()
            code = compile(view.equivalent.drgn, view.what, "exec")
            try:
                with contextlib.redirect_stdout(printed):
                    exec(code, {"prog": target.program})
            except Exception as error:
                yield f"{view.what}: drgn: {type(error).__name__}: {error}"
                continue
            wanted = view.facts if view.drgn_facts is None else view.drgn_facts
            exact = view.exact and bool(view.in_drgn) and view.drgn_facts is None
            yield from _differences(
                view, "drgn", printed.getvalue(), wanted, view.in_drgn, exact=exact
            )
    finally:
        drgn.set_default_prog(None)


def _in_crash(name: str, series: str, views: list[Shown]) -> Iterator[str]:
    views = [view for view in views if view.equivalent.crash]
    commands = [view.equivalent.crash for view in views]
    for view, printed in zip(views, crash(find(name, series), commands), strict=True):
        if _CRASH_CANNOT.search(printed[:400]) or (view.facts and not printed.strip()):
            yield f"{view.what}: crash> {view.equivalent.crash}: {printed[:200]}"
            continue
        yield from _differences(view, "crash", printed, view.facts, view.in_crash, exact=view.exact)


def _differences(
    view: Shown, tool: str, printed: str, wanted: Iterable[str], pattern: str, *, exact: bool
) -> Iterator[str]:
    text = bare(printed)
    if pattern:
        # Of a pattern with several groups one matches.
        found = [
            "".join(filter(None, match.groups())) or match[0]
            for match in re.finditer(pattern, text, re.MULTILINE)
        ]
        missing = sorted(set(wanted) - set(found))
        more = sorted(set(found) - set(wanted)) if exact else []
    else:
        missing, more = [fact for fact in wanted if fact not in text], []
    if missing or more:
        command = view.equivalent.crash if tool == "crash" else ""
        yield (
            f"{view.what}: {tool} {command}: {len(missing)} missing, "
            f"{missing[:3]}; more: {more[:3]}; {text[:200]!r}"
        )
