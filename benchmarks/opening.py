"""From nothing to the answer of ``sys``: kscope, drgn's crash mode and crash on one kdump."""

import sys
from collections.abc import Iterator

from benchmarks.processes import Command, Timing, compare
from tests.lab import debian13
from tests.lab.catalogue import LabDump, find

_DRGN_CRASH = (
    "import sys, drgn, logging;"
    "logging.disable();"
    "prog = drgn.Program(); prog.set_core_dump(sys.argv[1]);"
    "prog.load_debug_info([sys.argv[2]], main=True);"
    "from drgn.commands import run_command;"
    "prog.config['crash_scroll'] = False;"
    "run_command(prog, 'crash ' + sys.argv[3])"
)


def kscope(*arguments: str) -> tuple[str, ...]:
    """kscope as it is started by its users, in this interpreter."""
    return (sys.executable, "-m", "kscope", *arguments)


def drgn_crash(dump: LabDump, line: str) -> tuple[str, ...]:
    """drgn's crash mode with the vmlinux and nothing else to load."""
    return (sys.executable, "-c", _DRGN_CRASH, str(dump.vmcore), str(dump.vmlinux), line)


def crash(dump: LabDump) -> tuple[str, ...]:
    """crash with the same vmlinux; its commands come on standard input."""
    return (*debian13.program("crash"), "-s", str(dump.vmlinux), str(dump.vmcore))


def tables() -> Iterator[tuple[str, list[Timing]]]:
    """The comparisons, each with its title."""
    debian13.ensure_debian13()
    dump = find("sysrq", "6.1")
    vmcore, vmlinux = str(dump.vmcore), str(dump.vmlinux)
    yield (
        "`sys` of a 16 MB kdump",
        compare(
            [
                Command("kscope show system, no vmlinux", kscope("show", "system", vmcore)),
                Command("kscope show system -s vmlinux",
                        kscope("show", "system", vmcore, "-s", vmlinux)),
                Command("kscope survey, no vmlinux", kscope("survey", vmcore)),
                Command("kscope survey -s vmlinux", kscope("survey", vmcore, "-s", vmlinux)),
                Command("drgn-crash sys", drgn_crash(dump, "sys")),
                Command("crash sys", crash(dump), input="sys\nquit\n"),
            ]
        ),
    )  # fmt: skip
    yield (
        "from nothing to the list of tasks, types from the dump itself or from DWARF",
        compare(
            [
                Command("kscope show tasks, no vmlinux", kscope("show", "tasks", vmcore)),
                Command("kscope show tasks -s vmlinux",
                        kscope("show", "tasks", vmcore, "-s", vmlinux)),
                Command("drgn-crash ps", drgn_crash(dump, "ps")),
                Command("crash ps", crash(dump), input="ps\nquit\n"),
            ]
        ),
    )  # fmt: skip
    yield "the command line itself", compare([Command("kscope --version", kscope("--version"))])
