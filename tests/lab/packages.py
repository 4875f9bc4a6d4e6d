"""Debian packages: the tools installed on this machine, the kernels only downloaded."""

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.lab.cache import LabError, cache_directory, run, say

# program -> the package that has it
TOOLS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "busybox": "busybox-static",
    "/sbin/kexec": "kexec-tools",
    "/sbin/mke2fs": "e2fsprogs",
    "/sbin/debugfs": "e2fsprogs",
    "makedumpfile": "makedumpfile",
    "gcc-12": "gcc-12",
    "make": "make",
    "pahole": "dwarves",
    "patchelf": "patchelf",
    "xz": "xz-utils",
}
LIBRARIES = {
    "/usr/lib/x86_64-linux-gnu/libc.a": "libc6-dev",
    "/usr/share/seabios/bios-256k.bin": "seabios",
    "/usr/lib/x86_64-linux-gnu/libsnappy.so.1": "libsnappy1v5",
    "/usr/share/qemu/linuxboot_dma.bin": "qemu-system-data",
}
# dpkg is locked while somebody else installs.
PATIENCE = ["-o", "DPkg::Lock::Timeout=900"]


def _require_debian() -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise LabError(
            "the lab makes its kernels from Debian's packages: run it on Debian 12 (or in a "
            "container of it); here apt-get or dpkg-deb is missing"
        )


def missing_tools() -> list[str]:
    programs = [package for program, package in TOOLS.items() if shutil.which(program) is None]
    files = [package for file, package in LIBRARIES.items() if not Path(file).exists()]
    return sorted({*programs, *files})


def ensure_tools() -> None:
    """Install what is missing. Root is needed for this and for nothing else."""
    _require_debian()
    missing = missing_tools()
    if not missing:
        return
    if os.geteuid() != 0:
        raise LabError("missing packages; run as root: apt-get install " + " ".join(missing))
    ensure_lists()
    say("installing " + " ".join(missing))
    run(
        ["apt-get", *PATIENCE, "install", "-y", "--no-install-recommends", *missing],
        env={"DEBIAN_FRONTEND": "noninteractive"},
    )
    if still_missing := missing_tools():
        raise LabError("still missing after apt-get install: " + " ".join(still_missing))


def ensure_lists() -> None:
    """Fetch the package lists if they are not there, as in a fresh container."""
    _require_debian()
    if not _package_names("linux-headers-cloud-amd64"):
        update_lists()


def update_lists() -> None:
    if os.geteuid() != 0:
        raise LabError("package lists missing or too old; run as root: apt-get update")
    say("apt-get update")
    run(["apt-get", *PATIENCE, "update"])


def _package_names(pattern: str) -> list[str]:
    output = run(["apt-cache", "pkgnames"])
    return [name for name in output.splitlines() if re.fullmatch(pattern, name)]


def kernel_releases(series: str) -> list[str]:
    """Releases of cloud-amd64 kernels of that series in the lists, newest first."""
    names = _package_names(rf"linux-image-{re.escape(series)}\..*-cloud-amd64-dbg")
    releases = [name.removeprefix("linux-image-").removesuffix("-dbg") for name in names]
    return sorted(releases, key=_version_key, reverse=True)


def _version_key(release: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", release)]


def dependencies(package: str, pattern: str) -> list[str]:
    output = run(["apt-cache", "depends", package])
    return re.findall(rf"Depends: ({pattern})$", output, re.MULTILINE)


def download(names: Sequence[str]) -> dict[str, Path]:
    """Download packages into the cache; raises LabError if one cannot be had any more."""
    directory = cache_directory() / "packages"
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run(["apt-get", "download", *names], cwd=directory)
    found: dict[str, Path] = {}
    for name in names:
        files = sorted(directory.glob(f"{name}_*.deb"), key=lambda file: file.stat().st_mtime)
        if not files:
            raise LabError(f"{name} was not downloaded")
        found[name] = files[-1]
    return found


def extract(package: Path, into: Path) -> None:
    run(["dpkg-deb", "-x", package, into])


def extract_members(package: Path, into: Path, prefix: str) -> None:
    """Unpack only what lies under `prefix`, without unpacking the rest to disk."""
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE
    ) as archive:
        tar = ["tar", "-x", "-C", str(into), f"./{prefix}"]
        unpacking = subprocess.run(tar, stdin=archive.stdout, check=False)
    if archive.returncode != 0 or unpacking.returncode != 0:
        raise LabError(f"{package} could not be unpacked: disk full, or delete it if damaged")
