"""Which source line a BUG() or WARN() is on: the kernel's own table, lib/bug.c.

Each of them is an instruction that cannot be executed and an entry that says where it is.
"""

import struct
from dataclasses import dataclass

from drgn import Object, Program, offsetof, sizeof
from drgn.helpers.linux.module import address_to_module

from kscope.kernel.access.reading import READ_ERRORS
from kscope.model.text import printable

_WARNING = 1
"""``BUGFLAG_WARNING``."""


@dataclass(frozen=True)
class BugEntry:
    """Where a BUG() or WARN() is in the source."""

    file: str
    line: int
    warning: bool
    """WARN(), after which the kernel goes on."""


def bug_entry(program: Program, pc: int) -> BugEntry | None:
    """The entry for the instruction at ``pc``; ``None`` if it is not a BUG() or WARN()."""
    try:
        start, size = _table_for(program, pc)
        entry_type = program.type("struct bug_entry")
        entry_size = sizeof(entry_type)
        # Relative since Linux kernel commit b93a531e315e ("allow bug table entries to use relative
        # pointers (and use it on x86-64)") (in v2.6.33), on all since v6.1.
        displacement = offsetof(entry_type, "bug_addr_disp")
        data = program.read(start, size - size % entry_size)
        for at in range(displacement, len(data), entry_size):
            (distance,) = struct.unpack_from("<i", data, at)
            if start + at + distance == pc:
                return _read(program, start + at - displacement)
    except READ_ERRORS:
        return None
    return None


def _table_for(program: Program, pc: int) -> tuple[int, int]:
    module = address_to_module(program, pc)
    if module:
        entry_size = sizeof(program.type("struct bug_entry"))
        return module.bug_table.value_(), module.num_bugs.value_() * entry_size
    start = program.symbol("__start___bug_table").address
    return start, program.symbol("__stop___bug_table").address - start


def _read(program: Program, address: int) -> BugEntry:
    entry = Object(program, "struct bug_entry", address=address)
    file = "?"
    try:
        name = entry.file_disp
        file = printable(program.read_c_string(name.address_ + name.value_()))
    except READ_ERRORS:
        pass  # CONFIG_DEBUG_BUGVERBOSE is off, or the string's page is not there
    return BugEntry(file, entry.line.value_(), bool(entry.flags.value_() & _WARNING))
