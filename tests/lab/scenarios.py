"""What dumps there are: how each guest is set up, how it is captured and what is true in it.

The guest's side of a scenario is the shell script of its name in guest/scenarios/.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

# What kdump-tools uses: zlib, and leave out all that is zero, cache, user or free.
KDUMP_OPTIONS = "-c -d 31"


@dataclass(frozen=True)
class Scenario:
    name: str
    panic_kind: str
    """As in kscope's survey: "none" for a guest that did not panic."""
    capture: Literal["kdump", "qmp"]
    panic_comm: str | None = None
    """The task that ran on the CPU that panicked, if it is one of the lab's own."""
    culprits: tuple[str, ...] = ()
    """The tasks that are to blame, by comm."""
    cycles: int = 0
    """Rings of tasks that wait for each other's lock: checked against what the guest told."""
    memory_mib: int = 512
    cpus: str = "4"
    possible_cpus: int = 4
    settings: str = ""
    """More for the kernel's command line."""
    makedumpfile_options: str = KDUMP_OPTIONS
    """In the crash kernel; for a QMP dump on this machine, empty to leave it as ELF."""
    dump_disk_mib: int = 700
    data_disk: bool = False
    nmi: bool = False
    """Inject an NMI once the guest says that it is ready."""
    boot_timeout: float = 240
    capture_timeout: float = 420
    true: dict[str, Any] = field(default_factory=dict)
    """More for the manifest."""


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("sysrq", "sysrq", "kdump", panic_comm="crasher", culprits=("crasher",)),
        Scenario(
            "deadlock",
            "none",
            "qmp",
            culprits=("logrotated", "backupd"),
            cycles=1,
            memory_mib=256,
            makedumpfile_options="",
        ),
        Scenario(
            "demo",
            "hung-task",
            "kdump",
            culprits=("logrotated", "backupd"),
            cycles=1,
            # Pages stored uncompressed, since the whole file is compressed with xz afterwards.
            makedumpfile_options="-d 31",
            data_disk=True,
        ),
    )
}
