"""Twenty thousand threads: from nothing to the list of tasks, and to their stacks grouped."""

from collections.abc import Iterator

from benchmarks.opening import crash, drgn_crash, kscope
from benchmarks.processes import Command, Timing, compare
from tests.lab import debian13
from tests.lab.catalogue import find

_RUNS = 1
"""After an unmeasured one; drgn and crash need a minute for each."""


def tables() -> Iterator[tuple[str, list[Timing]]]:
    """The comparisons, each with its title."""
    debian13.ensure_debian13()
    dump = find("many", "6.12")  # crash opens no 6.1 dump of a guest that did not panic
    vmcore, vmlinux = str(dump.vmcore), str(dump.vmlinux)
    yield (
        "tasks of a dump with 20,000 threads, with RSS",
        compare(
            [
                Command("kscope show tasks, no vmlinux", kscope("show", "tasks", vmcore)),
                Command("kscope show tasks -s vmlinux",
                        kscope("show", "tasks", vmcore, "-s", vmlinux)),
                Command("drgn-crash ps", drgn_crash(dump, "ps")),
                Command("crash ps", crash(dump), input="set scroll off\nps\nquit\n"),
            ],
            _RUNS,
        ),
    )  # fmt: skip
    yield (
        "stacks of the same, grouped and one by one",
        compare(
            [
                Command("kscope show stacks, no vmlinux", kscope("show", "stacks", vmcore)),
                Command("kscope show stacks -s vmlinux",
                        kscope("show", "stacks", vmcore, "-s", vmlinux)),
                Command("kscope run 'foreach bt', no vmlinux",
                        kscope("run", vmcore, "foreach bt")),
                Command("drgn-crash foreach bt", drgn_crash(dump, "foreach bt")),
                Command("crash foreach bt", crash(dump),
                        input="set scroll off\nforeach bt\nquit\n"),
            ],
            _RUNS,
        ),
    )  # fmt: skip
