"""What a stack says in a few words: what is waited in, and who came there from where."""

import re
from collections.abc import Iterable, Iterator, Sequence

from kscope.model.stacks import Frame

_SCHEDULER = re.compile(
    r"context_switch|(__|io_|rt_mutex_|preempt_)?schedule(_\w+)?|__cond_resched|preempt_\w+"
    r"|wait_woken"
)
"""Frames in which every sleeping task is."""

_WAITS = (
    (re.compile(r"(__)?mutex_lock\w*"), "mutex_lock"),
    (re.compile(r"ww_mutex_\w+|__ww_mutex_\w+"), "ww_mutex_lock"),
    (re.compile(r"(__)?rt_mutex_\w*lock\w*|rt_mutex_wait\w*"), "rt_mutex_lock"),
    (re.compile(r"rwsem_down_read\w*|(__)?down_read\w*"), "down_read"),
    (re.compile(r"rwsem_down_write\w*|(__)?down_write\w*"), "down_write"),
    (re.compile(r"percpu_(rwsem|down)\w*|__percpu_down\w*"), "percpu_down"),
    (re.compile(r"_{0,3}down(_common|_killable|_interruptible|_timeout)?"), "down"),
    (re.compile(r"(__|do_)*wait_for_common|wait_for_completion\w*"), "wait_for_completion"),
    (re.compile(r"(__)?wait_on_bit\w*|out_of_line_wait_on_bit\w*|bit_wait\w*"), "wait_on_bit"),
    (re.compile(r"folio_wait_bit\w*|(__)?folio_lock\w*|wait_on_page_bit\w*"), "folio_lock"),
    (re.compile(r"(__)?futex_wait\w*"), "futex_wait"),
    (re.compile(r"native_queued_spin_lock_slowpath|queued_spin_lock\w*"), "spin_lock"),
    (re.compile(r"(do|hrtimer)_nanosleep|common_nsleep\w*"), "nanosleep"),
)
"""The parts a wait consists of, and the name that it is known by."""

_ENTRY = re.compile(
    r"do_syscall_\w+|x64_sys_call|ia32_sys_call|do_fast_syscall_32|__do_fast_syscall_32|entry_\w+"
    r"|asm_\w+|ret_from_fork\w*|el0\w+|invoke_syscall|do_el0_svc"
)
"""How every system call, interrupt and thread begins."""

_SYSTEM_CALL = re.compile(r"(__(x64|arm64|ia32|do|se)_)+(compat_)?sys_")
_SUFFIX = re.compile(r"\.(constprop|isra|part|cold|llvm)\b.*")

_MOST = 3


def function_name(function: str) -> str:
    """The name in the source: ``__mutex_lock.constprop.0`` is ``__mutex_lock``."""
    return _SUFFIX.sub("", function)


def summary(frames: Sequence[Frame], most: int = _MOST) -> tuple[str, ...]:
    """The telling functions of a stack, innermost first."""
    return tuple(name for _, name in _telling(frames, most))


def telling_frames(frames: Sequence[Frame], most: int = _MOST) -> tuple[int, ...]:
    """Which frames ``summary`` names; of a wait that takes several, the outermost."""
    return tuple(index for index, _ in _telling(frames, most))


def _telling(frames: Sequence[Frame], most: int) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    for index, name in _in_words(frame.function for frame in frames):
        if found and found[-1][1] == name:
            found[-1] = (index, name)
        elif len(found) == most:
            break
        else:
            found.append((index, name))
    return found


def _in_words(functions: Iterable[str]) -> Iterator[tuple[int, str]]:
    sleeping = True
    for index, function in enumerate(functions):
        name = function_name(function)
        if not name:
            continue
        if sleeping and _SCHEDULER.fullmatch(name):
            continue
        if _ENTRY.fullmatch(name):
            return
        for pattern, wait in _WAITS:
            if pattern.fullmatch(name):
                yield index, wait
                break
        else:
            sleeping = False
            if not name.startswith("ksys_"):
                yield index, _SYSTEM_CALL.sub("sys_", name)


_IDLE_WORKERS = {"worker_thread", "rescuer_thread", "smpboot_thread_fn", "kthread_worker_fn"}
_IDLE_CPU = re.compile(
    r"(\w+_)?safe_halt|default_idle\w*|\w+_idle|arch_cpu_idle|mwait_\w+|acpi_processor_\w+"
    r"|acpi_idle_\w+|cpuidle_\w+|call_cpuidle|intel_idle\w*|poll_idle|cpu_do_idle|schedule_idle"
)


def is_idle_worker(state: str, frames: Sequence[Frame]) -> bool:
    """Whether a task of this state waits like an idle CPU, or like a worker without work."""
    names = [function_name(frame.function) for frame in frames if not frame.inline]
    if "do_idle" in names:
        above = names[: names.index("do_idle")]
        return all(_SCHEDULER.fullmatch(name) or _IDLE_CPU.fullmatch(name) for name in above)
    telling = summary(frames, most=1)
    return state in ("ID", "IN") and bool(telling) and telling[0] in _IDLE_WORKERS
