"""Tasks that wait for a lock in interruptible sleep, as ``mutex_lock_interruptible()`` does.

Their state is that of thousands of idle tasks, so they are looked for by their stacks: whoever
sleeps in a lock's slow path has a return address into it among the innermost words.
"""

import struct
import time
from collections.abc import Iterator, Mapping

from drgn import Program, offsetof

from kscope.kernel.access.reading import READ_ERRORS, Readings

_SLOW_PATHS = (
    "__mutex_lock", "__mutex_lock_common", "__mutex_lock_interruptible_slowpath",
    "__ww_mutex_lock", "__ww_mutex_lock_interruptible_slowpath",
    "rwsem_down_read_slowpath", "rwsem_down_write_slowpath",
    "__down", "___down_common", "__down_common", "__down_interruptible", "__down_timeout",
    "rt_mutex_slowlock", "__rt_mutex_slowlock", "rt_mutex_slowlock_block",
)  # fmt: skip
_SUFFIXES = ("", ".constprop.0", ".isra.0", ".isra.0.constprop.0", ".constprop.0.isra.0")

_INNERMOST = 0x200
"""Bytes: more than the frames of ``__schedule()``, ``schedule_timeout()`` and a slow path take."""

_SECONDS = 3.0


def lock_sleepers(
    program: Program, stacks: Mapping[int, int | None], readings: Readings
) -> Iterator[int]:
    """Those tasks that sleep in a lock's slow path.

    :param stacks: address of each task to look at -> where its stack begins.
    """
    ranges = _slow_paths(program)
    if not ranges:
        return
    lowest, highest = min(start for start, _ in ranges), max(end for _, end in ranges)
    pointer_at = offsetof(program.type("struct task_struct"), "thread.sp")
    size = int(program["THREAD_SIZE"])
    unpack = struct.Struct(f"<{_INNERMOST // 8}Q").unpack
    until = time.process_time() + _SECONDS
    for task, stack in stacks.items():
        if time.process_time() > until:
            readings.note(
                "who waits for locks in interruptible sleep",
                f"not every stack could be looked at within {_SECONDS} s",
            )
            return
        try:
            pointer = program.read_u64(task + pointer_at)
            if stack is None or not stack <= pointer < stack + size - _INNERMOST:
                continue
            words = unpack(program.read(pointer, _INNERMOST))
        except READ_ERRORS:
            continue
        inside = [word for word in words if lowest <= word < highest]
        if inside and any(start <= word < end for word in inside for start, end in ranges):
            yield task


def _slow_paths(program: Program) -> list[tuple[int, int]]:
    return [
        (symbol.address, symbol.address + symbol.size)
        for name in _SLOW_PATHS
        for suffix in _SUFFIXES
        for symbol in program.symbols(name + suffix)
    ]
