"""CPUs that spin for a spinlock, the lock, and who is likely to hold it.

A queued spinlock records that it is held, not by whom. The lock's address is the first argument of
the slow path, which keeps it in a register while it spins; the holder is somebody who runs and has
the lock's address on its stack without spinning for it.
"""

import itertools
import re
import struct
from dataclasses import dataclass

from drgn import Object, Program, StackFrame
from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.sched import cpu_curr, idle_task

from kscope.kernel.access.reading import READ_ERRORS, Readings, reason
from kscope.kernel.machine.preempt_count import PREEMPT_MASK, preempt_count
from kscope.kernel.unwinding.telling import function_name
from kscope.kernel.waiting.lock_names import lock_name
from kscope.model.base import Address
from kscope.model.locks import Lock, Spinner, Waiter
from kscope.model.text import printable

_SLOW_PATH = re.compile(
    r"(?:native_|__pv_|pv_)?queued_spin_lock_slowpath|queued_(?:read|write)_lock_slowpath|"
    r"native_queued_spin_lock_slowpath|__raw_callee_save___pv_queued_spin_lock_slowpath"
)
_PANIC = {"panic", "vpanic"}
_READ_WRITE = re.compile(r"queued_(?:read|write)_lock_slowpath")
_LOCKING = re.compile(r"_*raw_(?:spin|read|write)_lock\w*|_*(?:spin|read|write)_lock\w*|do_raw_\w+")


@dataclass
class _OnCpu:
    cpu: int
    task: Object
    pid: int
    comm: str
    frames: list[StackFrame]
    used: bytes
    """The words of its stacks from the innermost frame on."""
    preempt_count: int
    """How often it has switched preemption off, but for panic()'s own; a held spinlock is one of
    them."""
    in_kernel: bool
    """Whether it runs kernel code apart from the interrupt that stopped it."""
    lock: int | None = None
    spins: bool = False
    read_write: bool = False
    """Whether it spins for a read-write lock."""
    caller: str = ""


def spinlocks(program: Program, readings: Readings) -> tuple[tuple[Lock, ...], tuple[Spinner, ...]]:
    """The spinlocks that CPUs spin for, and those CPUs."""
    on_cpus = _on_cpus(program, readings)
    for on_cpu in on_cpus:
        _look(program, on_cpu)
    spinners = [on_cpu for on_cpu in on_cpus if on_cpu.spins]
    by_lock: dict[int, list[_OnCpu]] = {}
    for spinner in spinners:
        if spinner.lock is not None:
            by_lock.setdefault(spinner.lock, []).append(spinner)
    locks = tuple(_lock(program, address, waiting, on_cpus) for address, waiting in by_lock.items())
    return locks, tuple(
        Spinner(
            cpu=spinner.cpu, pid=spinner.pid, comm=spinner.comm,
            task=Address(spinner.task.value_()),
            lock=None if spinner.lock is None else Address(spinner.lock), function=spinner.caller,
        )
        for spinner in spinners
    )  # fmt: skip


def _on_cpus(program: Program, readings: Readings) -> list[_OnCpu]:
    found = []
    # Not only the online ones: a panic that stops the other CPUs by itself marks them offline.
    for cpu in for_each_possible_cpu(program):
        try:
            task = cpu_curr(program, cpu)
            if task == idle_task(program, cpu):
                continue
            frames = list(program.stack_trace(task))
            count = preempt_count(program, cpu, task) & PREEMPT_MASK
            if not _PANIC.isdisjoint(frame.name for frame in frames):
                # Since Linux kernel commit 20bb759a66be ("panic: ensure preemption is disabled
                # during panic()") (in v5.4).
                count = max(count - 1, 0)
            found.append(
                _OnCpu(
                    cpu, task, task.pid.value_(), printable(task.comm.string_()), frames,
                    _used(program, frames), count, _in_kernel(frames),
                )
            )  # fmt: skip
        except READ_ERRORS as error:
            readings.note(f"what CPU {cpu} runs", reason(error))
    return found


def _in_kernel(frames: list[StackFrame]) -> bool:
    interrupted = [frame for frame in frames if frame.interrupted and frame.sp >> 63]
    return bool(interrupted)


def _used(program: Program, frames: list[StackFrame]) -> bytes:
    """What lies between the frames' stack pointers, several stacks one behind the other."""
    used = b""
    for frame, following in itertools.pairwise(frames):
        size = following.sp - frame.sp
        if 0 < size < 0x4000 and frame.sp >> 63:
            try:
                used += program.read(frame.sp, size)
            except READ_ERRORS:
                continue
    return used


def _look(program: Program, on_cpu: _OnCpu) -> None:
    for index, frame in enumerate(on_cpu.frames):
        if not _SLOW_PATH.match(function_name(frame.name or "")):
            continue
        on_cpu.spins = True
        on_cpu.caller = next(
            (
                function_name(outer.name or "")
                for outer in on_cpu.frames[index + 1 :]
                if not _LOCKING.match(outer.name or "") and not _SLOW_PATH.match(outer.name or "")
            ),
            "",
        )
        on_cpu.lock = lock_spun_for(program, on_cpu.frames, index)
        on_cpu.read_write = _in_read_write_lock(on_cpu.frames, index)
        return


def lock_spun_for(program: Program, frames: list[StackFrame], index: int) -> int | None:
    """The lock: a pointer in a register or in the frames that takes a lock that is taken."""
    candidates: list[int] = []
    registers = frames[index].registers()
    for name in ("rdi", "x0"):
        if name in registers:
            candidates.append(registers[name])
    candidates += registers.values()
    outer = frames[min(index + 2, len(frames) - 1)]
    size = outer.sp - frames[index].sp
    if 0 < size < 0x1000:
        try:
            data = program.read(frames[index].sp, size)
            candidates += struct.unpack(f"<{len(data) // 8}Q", data)
        except READ_ERRORS:
            pass
    text = range(program.symbol("_stext").address, program.symbol("_etext").address)
    own = _READ_WRITE.match(function_name(frames[index].name or ""))
    for candidate in candidates:
        if candidate >> 63 == 0 or candidate % 4 or candidate in text:
            continue
        try:
            if own and _is_read_write_lock_held(program, candidate):
                return candidate
            if not own and _is_spinlock_held(program, candidate):
                # The spinlock of a read-write lock is where those wait whose turn it is not yet.
                return candidate - _WAIT_LOCK * _in_read_write_lock(frames, index)
        except READ_ERRORS:
            continue
    return None


_WAIT_LOCK = 4
"""``struct qrwlock`` is the counts, 32 bits, and the spinlock of those who wait."""

_WRITE_LOCKED, _WRITER_WAITS = 0xFF, 0x100
_READER_SHIFT = 9
_MOST_READERS = 1 << 16


def _in_read_write_lock(frames: list[StackFrame], index: int) -> bool:
    names = (function_name(frame.name or "") for frame in frames[index : index + 2])
    return any(map(_READ_WRITE.match, names))


def _is_spinlock_held(program: Program, address: int) -> bool:
    # struct qspinlock: the locked byte is 1, or 3 where a virtual CPU that waits has asked to be
    # woken; bit 8 says that a CPU is next in line, the bits up to 16 are unused, then follows the
    # last CPU of the queue.
    return program.read_u32(address) & 0xFEFF in (1, 3)


def _is_read_write_lock_held(program: Program, address: int) -> bool:
    counts = program.read_u32(address)
    if counts >> _READER_SHIFT >= _MOST_READERS:
        return False
    if counts & _WRITE_LOCKED == _WRITE_LOCKED:
        return True
    # Readers have it, and the first of those who wait is a writer.
    wants = counts & (_WRITER_WAITS | _WRITE_LOCKED) == _WRITER_WAITS
    return (
        wants and counts >> _READER_SHIFT > 0 and _is_spinlock_held(program, address + _WAIT_LOCK)
    )


def _holder(lock: int, on_cpus: list[_OnCpu]) -> tuple[_OnCpu | None, str]:
    """Who is likely to hold the lock, and why it is thought so."""
    # A holder does not sleep and is not preempted: it is on a CPU, in the kernel.
    needle = struct.pack("<Q", lock)
    others = [on_cpu for on_cpu in on_cpus if not on_cpu.spins]
    named = [on_cpu for on_cpu in others if needle in on_cpu.used]
    if len(named) == 1:
        return named[0], f"CPU {named[0].cpu} has its address on its stack and does not spin"
    able = [on_cpu for on_cpu in others if on_cpu.preempt_count and on_cpu.in_kernel]
    if len(able) == 1:
        return able[0], (
            f"CPU {able[0].cpu} is the only other one that runs the kernel with preemption off "
            f"(preempt_count {able[0].preempt_count:#x})"
        )
    return None, f"{len(able)} other CPUs run the kernel with preemption off" if able else ""


def _lock(program: Program, address: int, waiting: list[_OnCpu], on_cpus: list[_OnCpu]) -> Lock:
    holder, why = _holder(address, on_cpus)
    value = program.read_u32(address)
    if any(spinner.read_write for spinner in waiting):
        note = f"cnts {value:#x}: a read-write lock does not record who holds it"
    else:
        note = f"val {value:#x}: a spinlock does not record who holds it"
    note += f"; {why}" if why else ""
    return Lock(
        kind="spinlock",
        address=Address(address),
        name=lock_name(program, address),
        owner=holder.pid if holder else None,
        owner_comm=holder.comm if holder else "",
        owner_task=Address(holder.task.value_()) if holder else None,
        owner_certain=False,
        owner_note=note,
        possible_owners=(holder.pid,) if holder else (),
        waiters=tuple(
            Waiter(
                pid=spinner.pid, comm=spinner.comm, task=Address(spinner.task.value_()),
                state="RU", since_last_arrival_ns=None, mode="exclusive", waiter=Address(0),
            )
            for spinner in waiting
        ),
    )  # fmt: skip
