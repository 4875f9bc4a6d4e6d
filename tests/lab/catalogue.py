"""Where tests find the lab's dumps:

dump = find("deadlock", "6.1")
open_it(dump.vmcore, dump.vmlinux)
assert cycles == dump.manifest["cycles"]
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.build import running_guest
from tests.lab.cache import LabError, cache_directory
from tests.lab.kernel import SERIES, Kernel, cached_kernel
from tests.lab.scenarios import SCENARIOS
from tests.lab.variants import VARIANTS


class NotBuiltError(LabError):
    """The cache does not have that dump."""


@dataclass(frozen=True)
class LabDump:
    name: str
    series: str
    """"6.1" or "6.12"."""
    vmcore: Path
    vmlinux: Path
    """With DWARF; for "wrong-vmlinux" that of the other kernel."""
    manifest: dict[str, Any]
    """What is true in the dump: tests/lab/README.md says what each member means."""

    @property
    def directory(self) -> Path:
        return self.vmcore.parent

    @property
    def release(self) -> str:
        release: str = self.manifest["release"]
        return release

    @property
    def log(self) -> Path:
        """vmcore-dmesg.txt; only a real kdump has one."""
        return self.directory / "vmcore-dmesg.txt"

    @property
    def module(self) -> Path:
        """The lab's own kernel module, with DWARF and BTF."""
        return self.directory / "storlab.ko"

    def task(self, comm: str) -> dict[str, Any]:
        """What the manifest says of the first task of that name."""
        tasks: list[dict[str, Any]] = self.manifest["tasks"]
        return next(task for task in tasks if task["comm"] == comm)

    def lock(self, name: str) -> dict[str, Any]:
        locks: list[dict[str, Any]] = self.manifest["locks"]
        return next(lock for lock in locks if lock["name"] == name)


def names(series: str) -> list[str]:
    """All that can be built for that kernel, built or not."""
    variants = [variant.name for variant in VARIANTS if variant.series == series]
    return [scenario.name for scenario in SCENARIOS if series in scenario.series] + variants


def find(name: str, series: str = "6.1") -> LabDump:
    if name not in names(series):
        raise KeyError(f"the lab has no dump {name} for {series}")
    directory = cache_directory() / "dumps" / series / name
    manifest_file = directory / "manifest.json"
    if not manifest_file.exists():
        raise NotBuiltError(f"not built: python3 -m tests.lab build {name} --kernel {series}")
    manifest = json.loads(manifest_file.read_text())
    vmlinux = _kernel(manifest.get("vmlinux_series", series)).vmlinux
    return LabDump(name, series, directory / "vmcore", vmlinux, manifest)


def find_all(series: str | None = None) -> list[LabDump]:
    """Every dump that is built, damaged ones too (their manifest has "damage")."""
    found = []
    for each in SERIES if series is None else (series,):
        for name in names(each):
            try:
                found.append(find(name, each))
            except NotBuiltError:
                continue
    return found


@contextmanager
def live_guest(series: str = "6.1", scenario: str = "deadlock") -> Iterator[Path]:
    """A running guest's QMP socket; the guest ends with the block. It takes about 10 s to come."""
    with running_guest(_kernel(series), scenario) as guest:
        yield guest.qmp_path


def _kernel(series: str) -> Kernel:
    kernel = cached_kernel(series)
    if kernel is None:
        raise NotBuiltError(f"no {series} kernel: python3 -m tests.lab fetch --kernel {series}")
    return kernel
