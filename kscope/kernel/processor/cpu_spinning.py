"""CPUs that busily wait: for a lock, for its owner, or for other CPUs."""

import re
from collections.abc import Sequence

from drgn import Program

from kscope.kernel.access.reading import READ_ERRORS
from kscope.kernel.processor.cpu_stacks import Stretch
from kscope.kernel.processor.ipis import awaited
from kscope.kernel.waiting.lock_names import lock_name
from kscope.kernel.waiting.spinning import lock_spun_for
from kscope.model.base import Address
from kscope.model.cpus import Spinning

_NEAR = 4
"""The spinning function may have called something, such as the hypervisor's wait for a kick."""

_SPINLOCK = re.compile(r"\w*queued_spin_lock_slowpath|queued_(?:read|write)_lock_slowpath")
_LOCKING = re.compile(
    r"_*raw_(?:spin|read|write)_\w*lock\w*|_*(?:spin|read|write)_lock\w*|do_raw_\w+"
    r"|queued_(?:spin|read|write)_lock|\w*_slowpath"
)
_OTHERS = {
    "mutex_spin_on_owner": "the owner of a mutex",
    "mutex_optimistic_spin": "the owner of a mutex",
    "rwsem_spin_on_owner": "the owner of a read-write semaphore",
    "rwsem_optimistic_spin": "the owner of a read-write semaphore",
    "osq_lock": "its turn to spin for a mutex or read-write semaphore",
    "multi_cpu_stop": "all CPUs to stop (stop_machine)",
}
_CALLING = ("csd_lock_wait", "smp_call_function_many_cond", "smp_call_function_single")


def spinning(program: Program, cpu: int, found: Sequence[Stretch]) -> Spinning | None:
    """What a CPU busily waits for; ``None`` if it does not."""
    for stretch in found:
        if stretch.stopped or stretch.kind == "user":
            continue
        functions = stretch.functions
        for index, function in enumerate(functions[:_NEAR]):
            if _SPINLOCK.fullmatch(function):
                frames = list(stretch.drgn_frames)
                lock = lock_spun_for(program, frames, index)
                return Spinning(
                    function=function,
                    caller=_caller(functions[index + 1 :]),
                    what="a spinlock" if "spin_lock" in function else "a read-write lock",
                    lock=None if lock is None else Address(lock),
                    name="" if lock is None else lock_name(program, lock),
                )
            if function in _OTHERS:
                return Spinning(
                    function=function,
                    caller=_caller(functions[index + 1 :]),
                    what=_OTHERS[function],
                    lock=None,
                    name="",
                )
            if function in _CALLING:
                return _caller_of_others(program, cpu, functions, index)
    return None


def _caller_of_others(program: Program, cpu: int, functions: Sequence[str], index: int) -> Spinning:
    try:
        cpus, function = awaited(program, cpu)
    except READ_ERRORS:
        cpus, function = (), None  # that it waits busily is known from its stack alone
    who = "other CPUs"
    if cpus:
        who = f"CPU{'s' if len(cpus) > 1 else ''} {', '.join(map(str, cpus))}"
    return Spinning(
        function=functions[index],
        caller=next((name for name in functions[index + 1 :] if name not in _CALLING), ""),
        what=f"{who} to handle {'an IPI' if function is None else function.name}",
        lock=None,
        name="",
        cpus=cpus,
    )


def _caller(functions: Sequence[str]) -> str:
    return next((name for name in functions if not _LOCKING.fullmatch(name)), "")
