"""The disk on which a guest's crash kernel saves the dump, and makedumpfile on this machine."""

import shutil
from pathlib import Path

from tests.lab import debian13
from tests.lab.cache import LabError, run
from tests.lab.guestbuild import GuestImages
from tests.lab.kernel import Kernel


def make_dump_disk(
    kernel: Kernel, images: GuestImages, options: str, size_mib: int, work: Path
) -> Path:
    """An ext4 image with the crash kernel on it and room for the dump."""
    contents = work / "disk"
    contents.mkdir()
    shutil.copy(kernel.vmlinuz, contents / "vmlinuz")
    shutil.copy(images.crash_initramfs, contents / "initrd")
    (contents / "makedumpfile-options").write_text(f'options="{options}"\n')
    disk = work / "disk.img"
    run(["/sbin/mke2fs", "-q", "-t", "ext4", "-d", contents, disk, f"{size_mib}M"])
    shutil.rmtree(contents)
    return disk


def make_data_disk(size_mib: int, work: Path) -> Path:
    disk = work / "data.img"
    run(["/sbin/mke2fs", "-q", "-t", "ext4", "-L", "srv", disk, f"{size_mib}M"])
    return disk


def take_dump_from(disk: Path, directory: Path) -> None:
    """Copy vmcore and vmcore-dmesg.txt out of the image, as root would by mounting it."""
    for name in ("vmcore", "vmcore-dmesg.txt"):
        run(["/sbin/debugfs", "-R", f"dump /{name} {directory / name}", disk])
        if not (directory / name).exists() or (directory / name).stat().st_size == 0:
            raise LabError(f"the crash kernel saved no {name}")


def makedumpfile(options: str, source: Path, target: Path) -> None:
    run([*debian13.program("makedumpfile"), *options.split(), source, target])


def copy_sparse(source: Path, target: Path) -> None:
    run(["cp", "--sparse=always", source, target])
