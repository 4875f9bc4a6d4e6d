"""Which lock a CPU spins for: what its registers point to, as the slow paths leave them."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from drgn import Program

from kscope.kernel.waiting.spinning import lock_spun_for
from kscope.model.target import OpenQuery
from kscope.session.answering import finish
from kscope.target.opening import open_target
from tests.kernel.putting import put_bytes

SPINLOCK = "native_queued_spin_lock_slowpath"
VIRTUAL = "__pv_queued_spin_lock_slowpath"
READER, WRITER = "queued_read_lock_slowpath", "queued_write_lock_slowpath"


@dataclass
class Frame:
    name: str
    pointers: tuple[int, ...] = ()
    sp: int = 0xFFFF888000000000

    def registers(self) -> dict[str, int]:
        return {f"r{8 + index}": pointer for index, pointer in enumerate(self.pointers)}


@pytest.fixture(scope="module")
def program(demo: Path) -> Program:
    return finish(open_target(OpenQuery(path=str(demo))), None).program


def spun_for(program: Program, *frames: Frame) -> int | None:
    return lock_spun_for(program, list(frames), 0)


@pytest.fixture
def lock(program: Program) -> int:
    """A read-write lock that everybody knows; its first half could be a spinlock as well."""
    address: int = program.symbol("tasklist_lock").address
    return address


@pytest.mark.parametrize(
    ("function", "value"),
    [(SPINLOCK, 1), (SPINLOCK, 0x101), (SPINLOCK, 0x80001), (VIRTUAL, 1), (VIRTUAL, 0x80003)],
)
def test_a_spinlock_that_is_held(program: Program, lock: int, function: str, value: int) -> None:
    put_bytes(program, lock, value.to_bytes(4, "little"))
    assert spun_for(program, Frame(function, (lock,))) == lock


@pytest.mark.parametrize(
    ("function", "counts"),
    [(READER, 0x2FF), (WRITER, 0x1FF), (WRITER, 0x300)],
    ids=["a writer has it", "a writer has it and one waits", "a reader has it and a writer waits"],
)
def test_a_read_write_lock_is_not_taken_for_the_spinlock_inside_it(
    program: Program, lock: int, function: str, counts: int
) -> None:
    put_bytes(program, lock, counts.to_bytes(4, "little") + (1).to_bytes(4, "little"))
    assert spun_for(program, Frame(function, (lock + 4, lock))) == lock


def test_who_waits_for_the_spinlock_of_a_read_write_lock_waits_for_that(
    program: Program, lock: int
) -> None:
    put_bytes(program, lock, (0x1FF).to_bytes(4, "little") + (0x101).to_bytes(4, "little"))
    assert spun_for(program, Frame(SPINLOCK, (lock + 4,)), Frame(READER)) == lock


@pytest.mark.parametrize("counts", [0, 0xFFFFFFFF, 0x100])
def test_a_read_write_lock_that_nobody_has_is_none_to_spin_for(
    program: Program, lock: int, counts: int
) -> None:
    put_bytes(program, lock, counts.to_bytes(4, "little") + (0).to_bytes(4, "little"))
    assert spun_for(program, Frame(READER, (lock,))) is None
