"""Filesystems: which one is frozen, and to which one a lock belongs."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from drgn import Object, Program, sizeof
from drgn.helpers.linux.list import list_for_each_entry

from kscope.kernel.access.reading import READ_ERRORS
from kscope.model.text import printable

_UNFROZEN = 0
_MOST = 10_000


@dataclass(frozen=True)
class Filesystem:
    """A mounted filesystem."""

    address: int
    """``struct super_block *``"""
    size: int
    kind: str
    """Such as ext4."""
    device: str
    """``super_block.s_id``"""
    frozen: int
    """``SB_FREEZE_*`` of include/linux/fs.h; 0 if it is not."""

    def __str__(self) -> str:
        return f"{self.kind} on {self.device}"

    def holds(self, address: int) -> bool:
        """Whether something is part of its ``super_block``."""
        return self.address <= address < self.address + self.size


def filesystems(program: Program) -> Iterator[Filesystem]:
    """All of them, a damaged one left out."""
    for block in super_blocks(program):
        try:
            yield _read(block)
        except READ_ERRORS:
            continue


def super_blocks(program: Program) -> Iterator[Object]:
    """``struct super_block *`` of each."""
    blocks = list_for_each_entry(
        "struct super_block", program["super_blocks"].address_of_(), "s_list"
    )
    return islice(blocks, _MOST)


def _read(block: Object) -> Filesystem:
    return Filesystem(
        address=block.value_(),
        size=sizeof(block[0]),
        kind=printable(block.s_type.name.string_()),
        device=printable(block.s_id.string_()),
        frozen=int(block.s_writers.frozen.value_()),
    )


def filesystem_of(program: Program, address: int) -> Filesystem | None:
    """The one whose ``super_block`` the lock at ``address`` is part of; none if that is damaged."""
    size = sizeof(program.type("struct super_block"))
    for block in super_blocks(program):
        if block.value_() <= address < block.value_() + size:
            try:
                return _read(block)
            except READ_ERRORS:
                return None
    return None


def frozen_filesystem_of(program: Program, lock: int) -> Filesystem | None:
    """The frozen one that keeps out those who wait for ``lock``; ``None`` if it is no such lock.

    Whoever writes to a filesystem takes ``s_writers.rw_sem`` for reading; freezing has taken it for
    writing, and nobody is recorded as its owner.
    """
    try:
        found = filesystem_of(program, lock)
    except READ_ERRORS:
        return None
    return found if found and found.frozen != _UNFROZEN else None
