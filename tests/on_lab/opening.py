"""Opening the lab's dumps as users do, for the tests beside this file."""

from functools import lru_cache

import pytest

from kscope.model.target import OpenQuery
from kscope.session.answering import finish
from kscope.target.opening import open_target
from kscope.target.target import Target
from tests.lab.catalogue import LabDump, NotBuiltError, find, names

SERIES = ("6.1", "6.12")
PANICS = (
    "sysrq", "bug", "warn", "oom", "hung-task", "null-deref", "bad-page-fault",
    "general-protection", "soft-lockup", "rcu-stall", "unknown-nmi",
)  # fmt: skip
"""Dumps taken by a real kdump after a panic of that kind."""
CAPTURED = ("deadlock", "hard-lockup", "cpus64")
"""Dumps taken from outside, of guests that had not panicked."""
_NO_DUMPS = ("empty", "text", "damaged-header", "flattened", "qemu-kdump", "wrong-vmlinux")
"""What kscope refuses to open, saying why; QEMU writes its kdumps flattened, too."""
EVERY = [
    (name, series) for series in SERIES for name in names(series) if name not in _NO_DUMPS
]  # fmt: skip
"""Each dump of the lab, damaged ones too."""


@lru_cache(maxsize=4)
def open_lab(name: str, series: str, types: str = "btf") -> Target:
    """The dump, with types from its own BTF or from its vmlinux's DWARF."""
    dump = find(name, series)
    vmlinux = str(dump.vmlinux) if types == "dwarf" else ""
    return finish(open_target(OpenQuery(path=str(dump.vmcore), vmlinux=vmlinux)), None)


def find_or_skip(name: str, series: str) -> LabDump:
    try:
        return find(name, series)
    except NotBuiltError as error:
        pytest.skip(str(error))
