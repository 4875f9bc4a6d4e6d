"""Debian's cloud kernels: image, vmlinux with DWARF, drivers for the guest, headers."""

import json
import lzma
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.lab import packages
from tests.lab.cache import LabError, cache_directory, locked, making, say

SERIES = ("6.1", "6.12")
NEWEST = "newest"
"""The newest kernel that Debian has for Debian 13. See newest.py."""

# What the guests load; on 6.12 all but virtio_blk and qemu_fw_cfg are built in.
DRIVERS = (
    "virtio_ring",
    "virtio",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "virtio_blk",
    "qemu_fw_cfg",
)


@dataclass(frozen=True)
class Kernel:
    series: str
    """"6.1", "6.12" or "newest"."""
    release: str
    """What uname -r says."""
    packages: dict[str, str]
    """Debian package -> version, of everything it was made from."""

    @property
    def directory(self) -> Path:
        return cache_directory() / "kernels" / self.release

    @property
    def vmlinux(self) -> Path:
        return self.directory / "vmlinux"

    @property
    def vmlinuz(self) -> Path:
        return self.directory / "vmlinuz"

    @property
    def image(self) -> Path:
        """What Debian's package of the kernel has in it, its modules for one."""
        return self.directory / "image"

    @property
    def drivers(self) -> Path:
        return self.directory / "drivers"

    @property
    def build(self) -> Path:
        """Where kbuild finds this kernel's headers and configuration."""
        return self.directory / "headers/usr/src" / f"linux-headers-{self.release}"

    @property
    def make_options(self) -> list[str]:
        """For kbuild, where the kernel was made with another compiler than ours."""
        compiler = self.directory / "cc"
        return [f"CC={compiler}", "CONFIG_DEBUG_INFO_BTF_MODULES="] if compiler.exists() else []


def cached_kernel(series: str) -> Kernel | None:
    """The kernel of that series that the cache holds, if any."""
    description = cache_directory() / "kernels" / series / "kernel.json"
    if not description.exists():
        return None
    return Kernel(**json.loads(description.read_text()))


def ensure_kernel(series: str) -> Kernel:
    """The cached kernel of that series, or the newest that can be downloaded whole.

    The lists may name a -dbg package that has already left the pool, so older ones are tried.
    """
    with locked(cache_directory() / "kernels" / series):
        if series == NEWEST:
            from tests.lab import newest

            return cached_kernel(series) or newest.make_kernel()
        return cached_kernel(series) or _newest_kernel(series)


def _newest_kernel(series: str) -> Kernel:
    packages.ensure_lists()
    kernel = _try_releases(series)
    if kernel is None:
        # Security updates replace kernels every few weeks, and the lists may be older than that.
        packages.update_lists()
        kernel = _try_releases(series)
    if kernel is None:
        raise LabError(
            f"no {series} cloud kernel could be downloaded with its debug symbols and headers; "
            "Debian 12 with its security updates has them"
        )
    return kernel


def _try_releases(series: str) -> Kernel | None:
    for release in packages.kernel_releases(series)[:4]:
        try:
            return _make(series, release)
        except LabError as error:
            say(f"{release} cannot be had: {error}")
    return None


def _make(series: str, release: str) -> Kernel:
    image, debug = f"linux-image-{release}", f"linux-image-{release}-dbg"
    headers = f"linux-headers-{release}"
    parts = packages.dependencies(headers, r"linux-(?:headers-\S+-common|kbuild-\S+)")
    say(f"downloading {release} (about 340 MB)")
    debs = packages.download([image, debug, headers, *parts])

    versions = {name: deb.name.split("_")[1] for name, deb in debs.items()}
    kernel = Kernel(series, release, versions)
    say(f"unpacking {release}")
    with making(kernel.directory) as new:
        packages.extract_members(debs[debug], new, "usr/lib/debug/boot")
        (new / f"usr/lib/debug/boot/vmlinux-{release}").rename(new / "vmlinux")
        shutil.rmtree(new / "usr")

        packages.extract(debs[image], new / "image")
        (new / f"image/boot/vmlinuz-{release}").rename(new / "vmlinuz")
        collect_drivers(new / "image", new / "drivers")

        for name in (headers, *parts):
            packages.extract(debs[name], new / "headers")
        relocate_headers(new / "headers/usr/src", kernel)
        (new / "kernel.json").write_text(json.dumps(asdict(kernel), indent=2) + "\n")
    debs[debug].unlink()

    make_current(kernel)
    return kernel


def make_current(kernel: Kernel) -> None:
    """Let that one be the kernel of its series."""
    link = cache_directory() / "kernels" / kernel.series
    link.unlink(missing_ok=True)
    link.symlink_to(kernel.release)


def collect_drivers(image: Path, drivers: Path) -> None:
    """Loose .ko files."""
    drivers.mkdir()
    for name, data in modules_of(image, DRIVERS):
        (drivers / f"{name}.ko").write_bytes(data)


def modules_of(image: Path, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Name and content of those that are not built in, decompressed: busybox's insmod takes them
    so. 6.12's are .ko.xz.
    """
    for name in names:
        for file in image.rglob(f"{name}.ko*"):
            data = file.read_bytes()
            yield name, lzma.decompress(data) if file.suffix == ".xz" else data


def relocate_headers(sources: Path, kernel: Kernel) -> None:
    """The header packages expect to be installed; make them work from where they are."""
    final = kernel.directory / "headers/usr/src"
    makefile = sources / f"linux-headers-{kernel.release}" / "Makefile"
    makefile.write_text(re.sub(r"/usr/src(?=/)", str(final), makefile.read_text()))
    # kbuild makes BTF for a module only beside a vmlinux; 6.12's headers bring one with BTF alone.
    vmlinux = makefile.with_name("vmlinux")
    if not vmlinux.exists():
        vmlinux.symlink_to(kernel.vmlinux)
