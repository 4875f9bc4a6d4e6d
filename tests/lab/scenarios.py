"""Which guests there are: how each is set up, how its dump is taken and what is true in it.

The guest's side of a scenario is a shell script in guest/scenarios/.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tests.lab.cache import GUEST_SOURCES
from tests.lab.kernel import NEWEST, SERIES

# What kdump-tools uses: zlib, and leave out all that is zero, cache, user or free.
KDUMP_OPTIONS = "-c -d 31"


@dataclass(frozen=True)
class Scenario:
    name: str
    panic_kind: str
    """As in kscope's survey: "none" for a guest that did not panic."""

    capture: Literal["kdump", "qmp"]
    """By the guest's own crash kernel, or from outside by QEMU."""
    script_name: str = ""
    """In guest/scenarios, without .sh; that of the scenario's name when empty."""
    memory_mib: int = 512
    cpus: str = "4"
    """As for QEMU's -smp."""
    settings: str = ""
    """More for the kernel's command line."""
    makedumpfile_options: str = KDUMP_OPTIONS
    """In the crash kernel; for a QMP dump on this machine, empty to keep what QEMU wrote."""
    qmp_format: Literal["elf", "kdump-zlib"] = "elf"
    data_disk: bool = False
    """One more disk, with an empty ext4 on it."""
    failing_disk: bool = False
    """The same, and the last one: after some 64 MB it answers no more."""
    modules: tuple[str, ...] = ()
    """Modules of the kernel that the script loads; those that it has built in are left out."""
    program: str = ""
    """In guest/scenarios, without .c: what only this scenario's guest runs besides."""
    series: tuple[str, ...] = SERIES
    """The kernels that it is made on."""

    panic_comm: str | None = None
    """The task that ran on the CPU that panicked, if it is one of the lab's own."""
    culprits: tuple[str, ...] = ()
    """The tasks that are to blame, by comm."""
    cycles: int = 0
    """Rings of tasks that wait for each other's lock: checked against what the guest told."""
    possible_cpus: int = 4
    true: dict[str, Any] = field(default_factory=dict)
    """More for the manifest."""

    @property
    def script(self) -> Path:
        return GUEST_SOURCES / "scenarios" / f"{self.script_name or self.name}.sh"

    @property
    def program_source(self) -> Path | None:
        return GUEST_SOURCES / "scenarios" / f"{self.program}.c" if self.program else None

    def machine(self) -> str:
        """All that makes the dump what it is, as text: not what is only said of it."""
        machine = (
            self.capture,
            self.memory_mib,
            self.cpus,
            self.settings,
            self.makedumpfile_options,
            self.qmp_format,
            self.data_disk,
            self.failing_disk,
        )
        # Others' dumps were made before there were modules.
        return repr((*machine, self.modules) if self.modules else machine)


def _oops(kind: str) -> Scenario:
    return Scenario(kind, kind, "kdump", panic_comm="crasher", culprits=("crasher",))


# The slowest come first: two guests run at a time, and the last one should be short.
SCENARIOS = (
    Scenario("many", "none", "qmp", memory_mib=3072, true={"threads": 20_000}),
    Scenario(
        "demo",
        "hung-task",
        "kdump",
        culprits=("logrotated", "backupd"),
        cycles=1,
        # Pages are stored uncompressed, since the whole file is compressed with xz afterwards.
        makedumpfile_options="-d 31",
        data_disk=True,
    ),
    Scenario("sysrq", "sysrq", "kdump", panic_comm="crasher", culprits=("crasher",)),
    Scenario(
        "deadlock",
        "none",
        "qmp",
        culprits=("logrotated", "backupd"),
        cycles=1,
        memory_mib=256,
        makedumpfile_options="",
        series=(*SERIES, NEWEST),
    ),
    Scenario(
        "soft-lockup",
        "soft-lockup",
        "kdump",
        panic_comm="spinner",
        culprits=("spinner",),
        # Who reports a stall of RCU puts the watchdog off.
        settings="rcupdate.rcu_cpu_stall_timeout=60",
    ),
    Scenario(
        "rcu-stall",
        "rcu-stall",
        "kdump",
        culprits=("rcuhog",),
        settings="rcupdate.rcu_cpu_stall_timeout=5",
    ),
    Scenario("hung-task", "hung-task", "kdump", culprits=("stuckd",)),
    Scenario("oom", "oom", "kdump", panic_comm="memhog", culprits=("memhog",)),
    _oops("bug"),
    _oops("null-deref"),
    _oops("bad-page-fault"),
    _oops("general-protection"),
    Scenario("warn", "warn", "kdump", panic_comm="crasher", culprits=("crasher",)),
    Scenario("unknown-nmi", "unknown-nmi", "kdump"),
    # Debian 12's own cloud kernel is configured without CONFIG_X86_MCE.
    Scenario("machine-check", "machine-check", "kdump", panic_comm="busy", series=("6.12", NEWEST)),
    Scenario(
        "kdump-elf",
        "sysrq",
        "kdump",
        script_name="sysrq",
        panic_comm="crasher",
        culprits=("crasher",),
        makedumpfile_options="-E -d 31",
        series=("6.1",),
    ),
    Scenario(
        "offline-cpu",
        "sysrq",
        "kdump",
        panic_comm="crasher",
        culprits=("crasher",),
        true={"offline_cpus": [3]},
    ),
    Scenario(
        "io-stuck",
        "none",
        "qmp",
        memory_mib=256,
        data_disk=True,
        failing_disk=True,
    ),
    Scenario("memory-low", "none", "qmp", memory_mib=256),
    Scenario(
        "remote-stuck",
        "none",
        "qmp",
        memory_mib=256,
        # makedumpfile leaves out pages of the newest kernel that are in use.
        makedumpfile_options="",
        modules=(
            *("netfs", "fscache", "dns_resolver", "sunrpc", "auth_rpcgss", "grace", "lockd"),
            *("nfs_acl", "nfs", "nfsv4", "nfsd", "fuse"),
        ),
        program="remote-task",
        series=(*SERIES, NEWEST),
        true={
            # By comm, what those have asked for who wait for an answer, by kernel series where it
            # is not the same. One more task waits for a lock of one of these.
            "servers": {
                "nfs": {
                    "address": "127.0.0.1",
                    "mounted": "/mail",
                    "waiting": {
                        "mailtail": {"6.1": "READ", "6.12": "READ_PLUS", NEWEST: "READ_PLUS"},
                        "mailreader": {"6.1": "READ", "6.12": "READ_PLUS", NEWEST: "READ_PLUS"},
                        "mailwriter": "WRITE",
                        "mailmaker": "CREATE",
                        "mailstat": "LOOKUP",
                    },
                    "behind": {"behindmaker": "mailmaker"},
                },
                "quiet": {"address": "127.0.0.2", "waiting": {"mountquiet": "NULL"}},
                "absent": {"address": "192.0.2.1", "waiting": {"mountabsent": "NULL"}},
                "fuse": {
                    "source": "archive:/srv",
                    "mounted": "/archive",
                    "task": "archivefs",
                    "waiting": {"archiver": "READ", "archivestat": "LOOKUP"},
                },
            },
        },
    ),
    Scenario(
        "offline-cpu-1",
        "sysrq",
        "kdump",
        panic_comm="crasher",
        culprits=("crasher",),
        true={"offline_cpus": [1]},
    ),
    Scenario(
        "offline-cpu-1-elf",
        "sysrq",
        "kdump",
        script_name="offline-cpu-1",
        panic_comm="crasher",
        culprits=("crasher",),
        makedumpfile_options="-E -d 31",
        series=("6.1",),
        true={"offline_cpus": [1]},
    ),
    Scenario("hard-lockup", "none", "qmp", culprits=("stuck",), memory_mib=256),
    Scenario(
        "stuck-cpus",
        "none",
        "qmp",
        culprits=("stuck",),
        memory_mib=256,
        # Without a shared cache, so that a wakeup is a call to the other CPU.
        cpus="4,sockets=4",
        settings="rcupdate.rcu_cpu_stall_timeout=5",
        true={
            # By comm; CPU 3 is left out, where the queue keeps moving. Deadline and real-time tasks
            # in the order in which they would run.
            "queued": {
                "1": {
                    "dl": ["deadline-a", "deadline-b"],
                    "rt": ["rt-high", "rt-low"],
                    "fair": ["normal-c"],
                },
                "2": {"dl": [], "rt": [], "fair": ["behind-a", "behind-b", "behind-c"]},
            },
            "realtime": {"3": ["rt-ahead", "rt-behind"]},
            "realtime_throttled": {"6.1": [3], "6.12": []},
            "calls": {
                "1": [
                    {"function": "storlab_called_and_awaited", "from": 2, "waits": True},
                    {"function": "storlab_called", "from": None, "waits": False},
                ]
            },
            "wakeups": {"1": ["sleeper"]},
            "work": {"1": ["storlab_late_work_fn", "storlab_later_work_fn"]},
            "overdue": {"1": ["storlab_late_timer_fn", "storlab_late_hrtimer_fn"]},
        },
    ),
    Scenario(
        "deferred-work",
        "none",
        "qmp",
        memory_mib=256,
        # Otherwise 6.12's workqueues notice after 10 ms that an item uses up a CPU, and start the
        # next one beside it.
        settings="workqueue.cpu_intensive_thresh_us=0",
        true={
            "work": {"2": ["storlab_late_work_fn", "storlab_later_work_fn"]},
            "stalled_by": {"2": "storlab_busy_work_fn"},
            "in_softirq": {"3": "storlab_spinning_timer_fn"},
        },
    ),
    Scenario(
        "panic-stopped",
        "sysrq",
        "qmp",
        panic_comm="crasher",
        culprits=("crasher",),
        memory_mib=256,
        true={"stopped_cpus": [0, 1, 3]},
    ),
    Scenario(
        "cpus64",
        "none",
        "qmp",
        script_name="idle",
        memory_mib=384,
        # Not as hotplug (4,maxcpus=64): Linux 6.12 then allows no more than are there.
        cpus="64",
        settings="maxcpus=4",
        possible_cpus=64,
    ),
    Scenario(
        "qemu-kdump",
        "none",
        "qmp",
        script_name="idle",
        memory_mib=256,
        makedumpfile_options="",
        qmp_format="kdump-zlib",
        series=("6.1",),
    ),
)


def scenario(name: str) -> Scenario:
    return next(scenario for scenario in SCENARIOS if scenario.name == name)
