"""Opening a target: identity first, then types, the best that can be had."""

import contextlib
import gc
import logging
import os
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import drgn
import msgspec

from kscope.model.base import Part, Progress, QueryError
from kscope.model.target import DebugInfo, Identity, Opened, OpenQuery
from kscope.model.text import printable
from kscope.target import btf, vmlinux
from kscope.target.identify import Core, dump_in, identify
from kscope.target.packages import fetch_commands
from kscope.target.target import Target
from kscope.target.vmcoreinfo import Vmcoreinfo

_NO_DWARF = (
    "No source lines, inline frames, arguments or local variables: they are only in the vmlinux.",
)


def open_target(query: OpenQuery) -> Generator[Progress | Part[Opened], None, Target]:
    """Open what ``query`` names; yields its identity before types are loaded.

    :raises QueryError: of kind ``cannot-open``, one sentence and what to do.
    """
    # Types and symbols are a hundred thousand objects that stay: looking for garbage among them
    # whenever 700 more have been made takes a twentieth of the time that opening does.
    gc.set_threshold(50_000, 20, 50)
    # What drgn would print about debug info it did not find is on the debug-info screen.
    logging.getLogger("drgn").setLevel(logging.CRITICAL)
    # drgn imports its plugins with the first target: all of its commands, a tenth of a second for
    # what only a crash command line needs and then imports itself. DRGN_PLUGINS still names others.
    os.environ.setdefault("DRGN_DISABLE_PLUGINS", "*")
    core = _identify(query)
    yield Part(result=Opened(identity=core.identity))
    if core.identity.format == "log":
        return Target(
            drgn.Program(), core.identity, core.vmcoreinfo, 0,
            DebugInfo(types="none", vmlinux="", searched=(), fetch=(),
                      missing=("it is a log, not a dump",)),
        )  # fmt: skip
    program = _open_program(query, core)
    if not core.vmcoreinfo.values:
        core = _described_by_program(program, core)
    return (yield from _with_debug_info(query, core, program))


def _identify(query: OpenQuery) -> Core:
    if query.qemu:
        identity = Identity(
            path=printable(query.qemu), name=printable(Path(query.qemu).name), format="qemu",
            compression="", dump_level=None, size_bytes=0, complete=True, missing_bytes=0,
            incomplete_why="", live=True, release="", version="", machine="", nodename="",
            build_id="", crash_time_seconds=None,
        )  # fmt: skip
        return Core(identity, Vmcoreinfo(), 0)
    if query.live:
        # The registers in its note are all zero: it is there because an ELF core has one.
        return replace(identify("/proc/kcore"), prstatus_notes=0)
    return identify(query.path)


def _open_program(query: OpenQuery, core: Core) -> drgn.Program:
    program = drgn.Program()
    name = core.identity.path
    try:
        if query.qemu:
            program.set_qemu_qmp(query.qemu)
        elif query.live:
            program.set_kernel()
        else:
            program.set_core_dump(dump_in(Path(query.path)))
    except Exception as error:  # libkdumpfile's errors reach Python as plain Exception
        if not core.identity.complete:
            raise QueryError(
                f"{name} cannot be opened: {core.identity.incomplete_why}.",
                "Copy it again from where it was captured.",
                kind="cannot-open",
            ) from error
        hint = _hint(error, query)
        # An OSError's own text has its number and the path once more.
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise QueryError(
            f"drgn cannot open {name}: {printable(why)}.", hint, kind="cannot-open"
        ) from error
    if not program.flags & drgn.ProgramFlags.IS_LINUX_KERNEL:
        raise QueryError(
            f"{name} is not a Linux kernel's memory.",
            "A process's core dump is for gdb or drgn.",
            kind="cannot-open",
        )
    return program


def _hint(error: Exception, query: OpenQuery) -> str:
    if isinstance(error, PermissionError):
        return "Run it as root."
    if query.qemu:
        return "Start QEMU with -qmp unix:SOCKET,server=on,wait=off -device vmcoreinfo."
    if "ARCH_NAME" in str(error):
        return (
            "It is QEMU's kdump format, whose header does not name the machine. Dump again as "
            "ELF: virsh dump --memory-only --format=elf DOMAIN FILE."
        )
    return "kscope survey of its vmcore-dmesg.txt may still tell what happened."


def _described_by_program(program: drgn.Program, core: Core) -> Core:
    """Take from drgn what a guest or a dump without a note of its own does not say by itself."""
    note = Vmcoreinfo()
    with contextlib.suppress(LookupError, drgn.FaultError):
        note = Vmcoreinfo.parse(program["VMCOREINFO"].string_())
    machine = program.platform.arch.name.lower() if program.platform else ""
    identity = msgspec.structs.replace(
        core.identity,
        release=printable(note.text("OSRELEASE")),
        build_id=printable(note.text("BUILD-ID")),
        machine=machine,
    )
    return Core(identity, note, core.prstatus_notes)


def _with_debug_info(
    query: OpenQuery, core: Core, program: drgn.Program
) -> Generator[Progress, None, Target]:
    identity = core.identity
    if query.vmlinux:
        search = vmlinux.Search(vmlinux.check(query.vmlinux, identity), (query.vmlinux,))
    else:
        search = vmlinux.find(identity)
    path = search.path
    if path is None and query.debuginfod:
        # Imports what speaks HTTP, which takes as long as many an answer.
        from kscope.target.fetching import by_debuginfod

        path = yield from by_debuginfod(identity)
    beside = _load_dwarf(program, path) if path else None
    if query.vmlinux and beside is None:
        raise QueryError(
            f"{printable(query.vmlinux)} holds no debug info that drgn can use for this dump.",
            "Leave -s away to use the types in the dump itself.",
            kind="cannot-open",
        )
    loaded: btf.BtfDebugInfo | None = None
    missing: tuple[str, ...] = ()
    if beside is None:
        try:
            loaded = btf.load(program)
            missing = (*_NO_DWARF, *loaded.missing)
        except btf.BtfError as error:
            missing = (error.sentence,)
    debug_info = DebugInfo(
        types="dwarf" if beside else "btf" if loaded else "none",
        vmlinux=printable(str(path)) if beside else "",
        searched=tuple(printable(place) for place in search.searched),
        missing=missing,
        fetch=() if beside else fetch_commands(identity),
    )
    modules = beside.describe if beside else loaded.modules if loaded else None
    return Target(program, identity, core.vmcoreinfo, core.prstatus_notes, debug_info, modules)


def _load_dwarf(program: drgn.Program, path: Path) -> btf.ModulesBesideDwarf | None:
    """Load vmlinux's own; what there is of modules is in the dump."""
    main = program.main_module("kernel", create=True)
    main.try_file(path)
    if main.debug_file_status is not drgn.ModuleFileStatus.HAVE:
        return None
    beside = btf.ModulesBesideDwarf(program)
    beside.enable()
    return beside
