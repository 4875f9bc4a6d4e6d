"""Task states and scheduling policies, as crash writes them."""

from drgn import FaultError, Program

from kscope.model.tasks import UNKNOWN

_INTERRUPTIBLE = 0x1
_UNINTERRUPTIBLE = 0x2
_STOPPED = 0x4
_TRACED = 0x8
_EXIT_DEAD = 0x10
_EXIT_ZOMBIE = 0x20
_PARKED = 0x40
_DEAD = 0x80
_WAKING = 0x200
_NOLOAD = 0x400
_NEW = 0x800
_RTLOCK_WAIT = 0x1000
_FROZEN = 0x8000

# Before Linux kernel commit 8ef9925b02c2 ("sched/debug: Add explicit TASK_PARKED printing") (in
# v4.14), TASK_PARKED came after TASK_WAKING and the others were one bit lower.
_BEFORE_4_14 = {0x40: _DEAD, 0x100: _WAKING, 0x200: _PARKED, 0x400: _NOLOAD, 0x800: _NEW}

_POLICIES = {0: "NORMAL", 1: "FIFO", 2: "RR", 3: "BATCH", 5: "IDLE", 6: "DEADLINE", 7: "EXT"}
"""``SCHED_*`` of include/uapi/linux/sched.h. 4 was reserved for SCHED_ISO and never used."""


class States:
    """Names the states of one kernel's tasks."""

    def __init__(self, program: Program) -> None:
        self._old = _has_old_bits(program)
        self._codes: dict[tuple[int, int], str] = {}

    def code(self, state: int, exit_state: int) -> str:
        """The code that crash writes for a task's ``state`` and ``exit_state``."""
        key = (state, exit_state)
        code = self._codes.get(key)
        if code is None:
            bits = state | exit_state
            if self._old:
                low = bits & 0x3F
                bits = low | sum(new for old, new in _BEFORE_4_14.items() if bits & old)
            code = self._codes[key] = _code(bits)
        return code


def _code(bits: int) -> str:
    if bits == 0:
        return "RU"
    if bits & _TRACED:
        return "TR"
    if bits & _STOPPED:
        return "ST"
    if bits & _EXIT_ZOMBIE:
        return "ZO"
    if bits & _UNINTERRUPTIBLE:
        return "ID" if bits & _NOLOAD else "UN"
    if bits & _INTERRUPTIBLE:
        return "IN"
    if bits & (_EXIT_DEAD | _DEAD):
        return "DE"
    if bits & (_RTLOCK_WAIT | _FROZEN):
        # As /proc/PID/stat has it: a sleeping spinlock's waiter since Linux kernel commit
        # 5f220be21418 ("sched/wakeup: Prepare for RT sleeping spin/rwlocks") (in v5.15), a frozen
        # task since f5d39b020809 ("freezer,sched: Rewrite core freezer logic") (in v6.1).
        return "UN"
    return {_PARKED: "PA", _WAKING: "WA", _NEW: "NE"}.get(bits, UNKNOWN)


def _has_old_bits(program: Program) -> bool:
    try:
        names = [bytes(name.string_()) for name in program["task_state_array"]]
    except (LookupError, FaultError):
        return False
    return bool(names) and not any(name.startswith(b"P ") for name in names)


def policy_name(policy: int) -> str:
    """The policy without its ``SCHED_``; the number where it is none that is known."""
    return _POLICIES.get(policy, str(policy))
