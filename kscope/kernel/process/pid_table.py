"""The tasks of the PID table."""

import struct
from collections.abc import Iterator

from drgn import FaultError, PlatformFlags, Program, TypeKind
from drgn.helpers.linux.pid import for_each_pid

from kscope.kernel.access.layout import Layout
from kscope.kernel.access.reading import READ_ERRORS, reason

_XA_NODE = 2
"""The low bits of an entry that is an inner node (``xa_is_internal`` of lib/xarray.c)."""
_XA_ZERO_LIMIT = 4096
"""Below are sibling, retry and zero entries, which are no nodes."""


class PidTable:
    """The tasks of the PID table, each with its PID."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.why_incomplete = ""

    def tasks(self) -> Iterator[tuple[int, int]]:
        """Address and PID of each task, in the order of PIDs."""
        program = self._program
        try:
            pid_layout = Layout(
                program, "struct pid", {"first": ("tasks[0].first",), "nr": ("numbers[0].nr",)}
            )
            # Since Linux kernel commit 2c4704756cab ("pids: Move the pgrp and session pid pointers
            # from task_struct to signal_struct") (in v4.19); before, in a struct pid_link.
            links = Layout(
                program,
                "struct task_struct",
                {"link": ("pid_links[0].next", "pids[0].node.next")},
            ).offset("link")
            pids = list(self._pids())
        except READ_ERRORS as error:
            self.why_incomplete = reason(error)
            return
        read = pid_layout.read
        for address in pids:
            try:
                first, nr = read(address)
            except FaultError as error:
                self.why_incomplete = reason(error)
                continue
            # A PID without a task is still the name of a process group or session.
            if first:
                yield first - links, nr

    def _pids(self) -> Iterator[int]:
        """Addresses of all ``struct pid``."""
        program = self._program
        namespace = program["init_pid_ns"]
        try:
            # Since Linux kernel commits 95846ecf9dac ("pid: replace pid bitmap implementation with
            # IDR API") (in v4.15) and f8d5d0cc145c ("xarray: Add definition of struct xarray") (in
            # v4.20).
            head = namespace.idr.idr_rt.xa_head.value_()
            node = program.type("struct xa_node")
        except (AttributeError, LookupError):
            yield from (pid.value_() for pid in for_each_pid(program))
            return
        slots = node.member("slots")
        assert slots.type.kind is TypeKind.ARRAY
        count = slots.type.length or 0
        platform = program.platform
        little = platform is None or PlatformFlags.IS_LITTLE_ENDIAN in platform.flags
        unpack = struct.Struct(f"{'<' if little else '>'}{count}Q")
        yield from self._entries(head, slots.bit_offset // 8, count * 8, unpack, 0)

    def _entries(
        self, entry: int, offset: int, size: int, unpack: struct.Struct, depth: int
    ) -> Iterator[int]:
        if not entry or entry & 1:
            return
        if entry & 3 != _XA_NODE:
            yield entry
            return
        if entry <= _XA_ZERO_LIMIT or depth > 11:
            return
        try:
            slots = unpack.unpack(self._program.read(entry - _XA_NODE + offset, size))
        except FaultError as error:
            self.why_incomplete = reason(error)
            return
        for slot in slots:
            if slot:
                yield from self._entries(slot, offset, size, unpack, depth + 1)
