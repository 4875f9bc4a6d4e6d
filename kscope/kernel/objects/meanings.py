"""What the values of certain members say: names of flags, times, owners in tagged pointers.

Flags that are macros leave no trace in debug info. Only those are named here whose bits have been
the same through many releases; the rest of a word stays a number.
"""

import stat
from collections.abc import Callable

from drgn import Program
from drgn.helpers.linux.mm import decode_page_flags_value

from kscope.kernel.access.reading import READ_ERRORS
from kscope.kernel.machine.clocks import Clocks, duration, relative
from kscope.kernel.objects.identify_address import Addresses

Meaning = Callable[["Meanings", int], str]

_TASK_STATES = {
    0x1: "TASK_INTERRUPTIBLE",
    0x2: "TASK_UNINTERRUPTIBLE",
    0x4: "__TASK_STOPPED",
    0x8: "__TASK_TRACED",
    0x40: "TASK_PARKED",
    0x80: "TASK_DEAD",
    0x100: "TASK_WAKEKILL",
    0x200: "TASK_WAKING",
    0x400: "TASK_NOLOAD",
    0x800: "TASK_NEW",
    0x1000: "TASK_RTLOCK_WAIT",
    0x2000: "TASK_FREEZABLE",
    0x8000: "TASK_FROZEN",
}
_EXIT_STATES = {0x10: "EXIT_DEAD", 0x20: "EXIT_ZOMBIE"}
_TASK_FLAGS = {
    0x1: "PF_VCPU",
    0x2: "PF_IDLE",
    0x4: "PF_EXITING",
    0x10: "PF_IO_WORKER",
    0x20: "PF_WQ_WORKER",
    0x40: "PF_FORKNOEXEC",
    0x80: "PF_MCE_PROCESS",
    0x100: "PF_SUPERPRIV",
    0x200: "PF_DUMPCORE",
    0x400: "PF_SIGNALED",
    0x800: "PF_MEMALLOC",
    0x1000: "PF_NPROC_EXCEEDED",
    0x2000: "PF_USED_MATH",
    0x8000: "PF_NOFREEZE",
    0x20000: "PF_KSWAPD",
    0x40000: "PF_MEMALLOC_NOFS",
    0x80000: "PF_MEMALLOC_NOIO",
    0x100000: "PF_LOCAL_THROTTLE",
    0x200000: "PF_KTHREAD",
    0x400000: "PF_RANDOMIZE",
    0x4000000: "PF_NO_SETAFFINITY",
    0x8000000: "PF_MCE_EARLY",
    0x10000000: "PF_MEMALLOC_PIN",
    0x80000000: "PF_SUSPEND_TASK",
}


def _bits(prefix: str, names: str) -> dict[int, str]:
    """Names by bit, from the lowest one up; ``-`` stands for one that has changed."""
    return {1 << bit: f"{prefix}_{name}" for bit, name in enumerate(names.split()) if name != "-"}


_VM_FLAGS = _bits(
    "VM",
    "READ WRITE EXEC SHARED MAYREAD MAYWRITE MAYEXEC MAYSHARE GROWSDOWN UFFD_MISSING PFNMAP -"
    " UFFD_WP LOCKED IO SEQ_READ RAND_READ DONTCOPY DONTEXPAND LOCKONFAULT ACCOUNT NORESERVE"
    " HUGETLB SYNC ARCH_1 WIPEONFORK DONTDUMP SOFTDIRTY MIXEDMAP HUGEPAGE NOHUGEPAGE MERGEABLE",
)
_SUPER_BLOCK_FLAGS = {
    1 << bit: f"SB_{name}"
    for bit, name in {
        0: "RDONLY", 1: "NOSUID", 2: "NODEV", 3: "NOEXEC", 4: "SYNCHRONOUS", 6: "MANDLOCK",
        7: "DIRSYNC", 10: "NOATIME", 11: "NODIRATIME", 15: "SILENT", 16: "POSIXACL",
        17: "INLINECRYPT", 22: "KERNMOUNT", 23: "I_VERSION", 25: "LAZYTIME", 26: "SUBMOUNT",
        27: "FORCE", 28: "NOSEC", 29: "BORN", 30: "ACTIVE", 31: "NOUSER",
    }.items()
}  # fmt: skip
_FILE_MODES = _bits("FMODE", "READ WRITE LSEEK PREAD PWRITE EXEC")
_OPEN_FLAGS = {
    # include/uapi/asm-generic/fcntl.h; the access mode is in the lowest two bits.
    0o1: "O_WRONLY", 0o2: "O_RDWR", 0o100: "O_CREAT", 0o200: "O_EXCL", 0o400: "O_NOCTTY",
    0o1000: "O_TRUNC", 0o2000: "O_APPEND", 0o4000: "O_NONBLOCK", 0o10000: "O_DSYNC",
    0o40000: "O_DIRECT", 0o100000: "O_LARGEFILE", 0o200000: "O_DIRECTORY", 0o400000: "O_NOFOLLOW",
    0o1000000: "O_NOATIME", 0o2000000: "O_CLOEXEC", 0o4000000: "__O_SYNC", 0o10000000: "O_PATH",
    0o20000000: "__O_TMPFILE",
}  # fmt: skip
_NETWORK_DEVICE_FLAGS = _bits(
    "IFF",
    "UP BROADCAST DEBUG LOOPBACK POINTOPOINT NOTRAILERS RUNNING NOARP PROMISC ALLMULTI MASTER"
    " SLAVE MULTICAST PORTSEL AUTOMEDIA DYNAMIC LOWER_UP DORMANT ECHO",
)
_THREAD_FLAGS = {0x2: "TIF_NOTIFY_RESUME", 0x4: "TIF_SIGPENDING", 0x8: "TIF_NEED_RESCHED"}
_SIGNAL_FLAGS = {0x1: "SIGNAL_STOP_STOPPED", 0x4: "SIGNAL_GROUP_EXIT", 0x40: "SIGNAL_UNKILLABLE"}
_MUTEX_FLAGS = {1: "MUTEX_FLAG_WAITERS", 2: "MUTEX_FLAG_HANDOFF", 4: "MUTEX_FLAG_PICKUP"}
_TCP_STATES = {
    1: "ESTABLISHED", 2: "SYN_SENT", 3: "SYN_RECV", 4: "FIN_WAIT1", 5: "FIN_WAIT2",
    6: "TIME_WAIT", 7: "CLOSE", 8: "CLOSE_WAIT", 9: "LAST_ACK", 10: "LISTEN", 11: "CLOSING",
    12: "NEW_SYN_RECV",
}  # fmt: skip
_ADDRESS_FAMILIES = {1: "AF_UNIX", 2: "AF_INET", 10: "AF_INET6", 16: "AF_NETLINK", 17: "AF_PACKET"}


class Meanings:
    """Says what values mean in one target."""

    def __init__(self, program: Program, addresses: Addresses) -> None:
        self.program = program
        self.addresses = addresses
        self.clocks = Clocks(program)

    def of(self, owner: str, name: str, type_name: str, value: int) -> str:
        """What ``value`` of the member ``name`` of ``struct owner`` says; empty if unknown."""
        meaning = _MEMBERS.get((owner, name)) or _TYPES.get(type_name)
        if meaning is None and name.endswith("_ns"):
            meaning = _span
        if meaning is None:
            return ""
        try:
            return meaning(self, value)
        except READ_ERRORS:
            return ""


def flags(value: int, names: dict[int, str], none: str = "") -> str:
    """The set bits by their names, those without one in hexadecimal: ``PF_KTHREAD|0x1000``."""
    if not value:
        return none
    found = [name for bit, name in names.items() if value & bit == bit]
    rest = value & ~sum(bit for bit in names if value & bit == bit)
    if not found:
        return ""
    return "|".join([*found, *([f"{rest:#x}"] if rest else [])])


def _flags(names: dict[int, str], none: str = "") -> Meaning:
    return lambda _, value: flags(value, names, none)


def _choice(names: dict[int, str]) -> Meaning:
    return lambda _, value: names.get(value, "")


def _page_flags(meanings: Meanings, value: int) -> str:
    return decode_page_flags_value(meanings.program, value)


def _mode(_: Meanings, value: int) -> str:
    return f"{stat.filemode(value)} {value & 0o7777:04o}" if value else ""


def _span(_: Meanings, value: int) -> str:
    return duration(value) if 0 < value < 1 << 63 else ""


def _ktime(_: Meanings, value: int) -> str:
    # KTIME_MAX stands for "never".
    return "never" if value == (1 << 63) - 1 else duration(value) if value else ""


def _since(clock: str) -> Meaning:
    def meaning(meanings: Meanings, value: int) -> str:
        now: int | None = getattr(meanings.clocks, clock)
        if not value:
            return ""
        stamp = f"{value / 1e9:.3f} s"
        return stamp if now is None else f"{stamp}, {relative(now - value)}"

    return meaning


def _jiffies(meanings: Meanings, value: int) -> str:
    now, hertz = meanings.clocks.jiffies, meanings.clocks.ticks_per_second
    if now is None or not hertz or not value:
        return ""
    ticks = (now - value) & 0xFFFFFFFF
    ticks -= (ticks & 0x80000000) << 1
    if abs(now - value) >= 1 << 31:
        return ""
    return relative(ticks * 1_000_000_000 // hertz)


def _hexadecimal(_: Meanings, value: int) -> str:
    return f"{value:#x}" if value > 9 else ""


def _ticks(meanings: Meanings, value: int) -> str:
    hertz = meanings.clocks.ticks_per_second
    return duration(value * 1_000_000_000 // hertz) if hertz and value else ""


_WORD = (1 << 64) - 1
"""An atomic_long_t is signed: of a pointer in it the sign is to be left out of account."""


def _mutex_owner(meanings: Meanings, value: int) -> str:
    if not value:
        return "unlocked"
    owner = value & _WORD & ~7
    named = meanings.addresses.identify(owner).text if owner else "no owner"
    return " ".join(filter(None, (named, flags(value & 7, _MUTEX_FLAGS))))


def _rwsem_owner(meanings: Meanings, value: int) -> str:
    # Since Linux kernel commit 94a9717b3c40 ("locking/rwsem: Make rwsem->owner an
    # atomic_long_t") (in v5.3): bit 0 says that a reader was the last to write it.
    if not value:
        return ""
    owner = value & _WORD & ~7
    named = meanings.addresses.identify(owner).text if owner else "unknown"
    return f"a reader, perhaps {named}" if value & 1 else named


def _rwsem_count(_: Meanings, value: int) -> str:
    # Since Linux kernel commit 64489e78004c ("locking/rwsem: Implement a new locking scheme")
    # (in v5.3).
    if not value:
        return "unlocked"
    readers = (value & _WORD >> 1) >> 8
    words = ["a writer" if value & 1 else "", f"{readers} readers" if readers else ""]
    words += ["waiters" if value & 2 else "", "handoff" if value & 4 else ""]
    return ", ".join(filter(None, words))


def _rb_parent(_: Meanings, value: int) -> str:
    colour = "black" if value & 1 else "red"
    return f"parent {value & ~3:#x}, {colour}" if value & ~3 else f"the root, {colour}"


_TYPES: dict[str, Meaning] = {
    "ktime_t": _ktime,
}

_MEMBERS: dict[tuple[str, str], Meaning] = {
    ("task_struct", "__state"): _flags(_TASK_STATES, "TASK_RUNNING"),
    # Until Linux kernel commit 2f064a59a11f ("sched: Change task_struct::state") (in v5.14).
    ("task_struct", "state"): _flags(_TASK_STATES, "TASK_RUNNING"),
    ("task_struct", "exit_state"): _flags(_EXIT_STATES),
    ("task_struct", "flags"): _flags(_TASK_FLAGS),
    ("thread_info", "flags"): _flags(_THREAD_FLAGS),
    ("signal_struct", "flags"): _flags(_SIGNAL_FLAGS),
    ("page", "flags"): _page_flags,
    ("folio", "flags"): _page_flags,
    ("slab", "__page_flags"): _page_flags,
    ("vm_area_struct", "vm_flags"): _flags(_VM_FLAGS),
    ("vm_area_struct", "__vm_flags"): _flags(_VM_FLAGS),
    ("super_block", "s_flags"): _flags(_SUPER_BLOCK_FLAGS),
    ("file", "f_mode"): _flags(_FILE_MODES),
    ("file", "f_flags"): _flags(_OPEN_FLAGS, "O_RDONLY"),
    ("inode", "i_mode"): _mode,
    ("net_device", "flags"): _flags(_NETWORK_DEVICE_FLAGS),
    ("sock_common", "skc_state"): _choice(_TCP_STATES),
    ("sock_common", "skc_family"): _choice(_ADDRESS_FAMILIES),
    ("mutex", "owner"): _mutex_owner,
    ("rw_semaphore", "owner"): _rwsem_owner,
    ("rw_semaphore", "count"): _rwsem_count,
    ("rb_node", "__rb_parent_color"): _rb_parent,
    # Nanoseconds that were spent.
    **{
        (owner, name): _span
        for owner, names in {
            "task_struct": "utime stime gtime",
            "signal_struct": "utime stime cutime cstime gtime cgtime sum_sched_runtime",
            "sched_entity": "sum_exec_runtime prev_sum_exec_runtime slice",
            "sched_dl_entity": "dl_runtime dl_deadline dl_period runtime",
            "sched_info": "run_delay",
            "rq": "avg_idle",
        }.items()
        for name in names.split()
    },
    # Times of the scheduler's clock.
    **{
        (owner, name): _since("scheduler_ns")
        for owner, names in {
            "sched_entity": "exec_start",
            "sched_info": "last_arrival last_queued",
            "rq": "clock clock_task clock_pelt clock_idle idle_stamp",
            "sched_dl_entity": "deadline",
        }.items()
        for name in names.split()
    },
    ("task_struct", "start_time"): _since("monotonic_ns"),
    # real_start_time until Linux kernel commit cf25e24db61c ("time: Rename tsk->real_start_time
    # to ->start_boottime") (in v5.5).
    ("task_struct", "start_boottime"): _since("boottime_ns"),
    ("task_struct", "real_start_time"): _since("boottime_ns"),
    ("request", "start_time_ns"): _since("monotonic_ns"),
    ("request", "io_start_time_ns"): _since("monotonic_ns"),
    # Times in jiffies.
    **{
        (owner, name): _jiffies
        for owner, names in {
            "task_struct": "last_switch_time wakee_flip_decay_ts",
            "rq": "next_balance calc_load_update last_blocked_load_update_tick wake_stamp",
            "timer_list": "expires",
            "timer_base": "clk next_expiry",
            "request": "deadline",
            "inode": "dirtied_when dirtied_time_when",
            "worker": "last_active",
            "worker_pool": "watchdog_ts",
            "rcu_state": "gp_start gp_end gp_activity gp_req_activity jiffies_stall jiffies_resched"
            " jiffies_force_qs jiffies_kick_kthreads",
            "netdev_queue": "trans_start",
            "neighbour": "confirmed updated used",
        }.items()
        for name in names.split()
    },
    # Addresses in user space.
    **{
        (owner, name): _hexadecimal
        for owner, names in {
            "vm_area_struct": "vm_start vm_end",
            "mm_struct": "mmap_base mmap_legacy_base mmap_compat_base mmap_compat_legacy_base"
            " task_size highest_vm_end start_code end_code start_data end_data start_brk brk"
            " start_stack arg_start arg_end env_start env_end",
            "thread_struct": "fsbase gsbase",
        }.items()
        for name in names.split()
    },
    ("sched_rt_entity", "time_slice"): _ticks,
    ("sched_rt_entity", "timeout"): _ticks,
}
