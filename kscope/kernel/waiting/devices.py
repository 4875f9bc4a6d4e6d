"""Which block device a task waits for.

What a task sleeps on when it waits for I/O is a bit of a folio or buffer, an event of a journal or
a completion on its own stack: none of these names the device, but each leads to it.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property

from drgn import Object, Program
from drgn.helpers.linux.block import disk_name, for_each_disk
from drgn.helpers.linux.kthread import kthread_data
from drgn.helpers.linux.slab import slab_object_info

from kscope.kernel.access.reading import READ_ERRORS
from kscope.kernel.machine.block_requests import busy_requests
from kscope.kernel.unwinding.blocked_stack import Stack
from kscope.kernel.waiting.wait_categories import is_throttled
from kscope.kernel.waiting.waits import Wait
from kscope.model.text import printable

_MOST_BIOS = 1000

JOURNAL_THREAD = "jbd2/"
"""How the comm of a journal's kernel thread begins: ``jbd2/PARTITION-INODE``."""


class Devices:
    """Finds the device of waits; reads requests and journals once, when they are needed."""

    def __init__(self, program: Program, journal_threads: Mapping[int, str]) -> None:
        """:param journal_threads: address of each journal's ``task_struct`` -> its comm."""
        self._program = program
        self._journal_threads = journal_threads

    def of(self, wait: Wait | None, stack: Stack) -> str:
        """The disk's name, such as ``vda``; empty if it cannot be told."""
        for way in (self._by_wait, self._by_request, self._by_writeback):
            try:
                found = way(wait, stack)
            except READ_ERRORS:
                continue
            if found:
                return found
        return ""

    def _by_wait(self, wait: Wait | None, stack: Stack) -> str:  # noqa: ARG002
        if wait is None:
            return ""
        if wait.is_for_folio:
            return self._of_folio(wait.lock)
        info = slab_object_info(self._program, wait.lock)
        if info is None:
            return ""
        if info.slab_cache.name.string_() == b"buffer_head":
            buffer = Object(self._program, "struct buffer_head", address=info.address)
            return printable(disk_name(buffer.b_bdev.bd_disk))
        return self._journals.get(info.address, "")

    def _of_folio(self, address: int) -> str:
        folio = Object(self._program, "struct folio", address=address)
        block = folio.mapping.host.i_sb
        if not block.s_bdev:
            return ""
        return printable(disk_name(block.s_bdev.bd_disk))

    def _by_request(self, wait: Wait | None, stack: Stack) -> str:  # noqa: ARG002
        """By a request in flight that leads back to something that the task has on its stack."""
        words = {*stack.words, *range(stack.start, stack.start + 8 * len(stack.words), 8)}
        return next((disk for key, disk in self._in_flight.items() if key in words), "")

    def _by_writeback(self, wait: Wait | None, stack: Stack) -> str:  # noqa: ARG002
        """A writer that is throttled has the device's ``bdi_writeback`` on its stack."""
        if not is_throttled(stack.functions):
            return ""
        return next((self._writebacks[w] for w in stack.words if w in self._writebacks), "")

    @cached_property
    def _writebacks(self) -> dict[int, str]:
        found = {}
        for disk in for_each_disk(self._program):
            try:
                found[disk.bdi.wb.address_of_().value_()] = printable(disk_name(disk))
            except READ_ERRORS:
                continue
        return found

    @cached_property
    def _journals(self) -> dict[int, str]:
        """The disk of each ``journal_t``, which its thread is given."""
        found = {}
        for address, comm in self._journal_threads.items():
            try:
                task = Object(self._program, "struct task_struct *", address)
                journal = kthread_data(task).value_()
            except READ_ERRORS:
                continue
            found[journal] = self._disk_of_journal(journal, comm)
        return found

    def _disk_of_journal(self, address: int, comm: str) -> str:
        try:
            journal = Object(self._program, "struct journal_s", address=address)
            return printable(disk_name(journal.j_dev.bd_disk))
        except READ_ERRORS:
            # Without jbd2's types: of a journal on a partition, that is the partition.
            return comm.removeprefix(JOURNAL_THREAD).rpartition("-")[0]

    @cached_property
    def _in_flight(self) -> dict[int, str]:
        """Each request, its bios and their ``bi_private``, with the disk that it was given to."""
        found: dict[int, str] = {}
        for disk, request in busy_requests(self._program):
            try:
                found.update((key, disk) for key in _keys(request) if key >> 63)
            except READ_ERRORS:
                continue
        return found


def _keys(request: Object) -> Iterator[int]:
    yield request.value_()
    bio = request.bio
    for _ in range(_MOST_BIOS):
        if not bio:
            return
        yield bio.value_()
        yield bio.bi_private.value_()
        bio = bio.bi_next
