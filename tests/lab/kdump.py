"""The disk on which a guest's crash kernel saves the dump, and makedumpfile on this machine."""

import shutil
import struct
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


def make_data_disk(name: str, size_mib: int, work: Path) -> Path:
    disk = work / f"{name}.img"
    # Or the guest's kernel would initialise what is left when it likes, with requests of its own.
    whole = "lazy_itable_init=0,lazy_journal_init=0"
    run(["/sbin/mke2fs", "-q", "-t", "ext4", "-E", whole, "-L", "srv", disk, f"{size_mib}M"])
    return disk


def take_dump_from(disk: Path, directory: Path) -> None:
    """Copy vmcore and vmcore-dmesg.txt out of the image, as root would by mounting it."""
    for name in ("vmcore", "vmcore-dmesg.txt"):
        run(["/sbin/debugfs", "-R", f"dump /{name} {directory / name}", disk])
        if not (directory / name).exists() or (directory / name).stat().st_size == 0:
            raise LabError(f"the crash kernel saved no {name}")


def makedumpfile(options: str, source: Path, target: Path) -> None:
    run([*debian13.program("makedumpfile"), *options.split(), source, target])


def move_program_headers(elf: Path) -> None:
    """Put an ELF core's program headers where makedumpfile expects them: after the ELF header.

    QEMU 7.2 writes section headers there (and a wrong e_ehsize), which is allowed and read by
    everyone else; makedumpfile ignores e_phoff. The section headers are of no use and go.
    """
    with elf.open("r+b") as file:
        header = list(ELF_HEADER.unpack(file.read(ELF_HEADER.size)))
        program_headers = header[PHNUM] * header[PHENTSIZE]
        file.seek(header[PHOFF])
        table = file.read(program_headers)
        header[PHOFF], header[EHSIZE] = ELF_HEADER.size, ELF_HEADER.size
        header[SHOFF] = header[SHNUM] = header[SHSTRNDX] = 0
        file.seek(0)
        file.write(ELF_HEADER.pack(*header) + table)


# Elf64_Ehdr and the places of its members.
ELF_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
PHOFF, SHOFF, EHSIZE, PHENTSIZE, PHNUM, SHNUM, SHSTRNDX = 5, 6, 8, 9, 10, 12, 13


def copy_sparse(source: Path, target: Path) -> None:
    run(["cp", "--sparse=always", source, target])
