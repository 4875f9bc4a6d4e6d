"""The kernel's clocks, as they stood when the dump was taken."""

import drgn
from drgn.helpers.linux.timekeeping import ktime_get_coarse_ns, ktime_get_coarse_real_ns


def boot_time_ns(program: drgn.Program) -> int:
    """When the monotonic clock was zero, ns since 1970: what ``log -T`` adds to timestamps."""
    real: int = ktime_get_coarse_real_ns(program).value_()
    monotonic: int = ktime_get_coarse_ns(program).value_()
    return real - monotonic
