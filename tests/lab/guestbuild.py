"""What runs in a guest: our module and program, compiled, and the two initramfs images."""

import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.lab import debian13
from tests.lab.cache import GUEST_SOURCES, cache_directory, hash_of, locked, making, run, say
from tests.lab.kernel import Kernel


@dataclass(frozen=True)
class GuestImages:
    """Of one kernel and one state of the guest's sources."""

    directory: Path

    @property
    def module(self) -> Path:
        """With DWARF and BTF; the guest loads a copy without DWARF."""
        return self.directory / "storlab.ko"

    @property
    def initramfs(self) -> Path:
        """All but the scenario, which is a small archive appended to it."""
        return self.directory / "initramfs.cpio"

    @property
    def crash_initramfs(self) -> Path:
        return self.directory / "crash-initramfs.cpio"


def sources_hash() -> str:
    """Over all sources that every guest has in common: the scenarios' own scripts are not."""
    return hash_of(
        [
            GUEST_SOURCES / "module",
            GUEST_SOURCES / "storlab-task.c",
            GUEST_SOURCES / "init",
            GUEST_SOURCES / "crash-init",
            Path(__file__),
            Path(debian13.__file__),
        ]
    )


def ensure_images(kernel: Kernel) -> GuestImages:
    directory = cache_directory() / "guests" / f"{kernel.release}-{sources_hash()}"
    with locked(directory):
        if directory.exists():
            return GuestImages(directory)
        debian13.ensure_debian13()
        say(f"building module and initramfs for {kernel.release}")
        with making(directory) as new:
            _build_module(kernel, new)
            _build_program(new)
            _build_initramfs(kernel, new)
            _build_crash_initramfs(kernel, new)
    return GuestImages(directory)


def _build_module(kernel: Kernel, new: Path) -> None:
    work = new / "module"
    shutil.copytree(GUEST_SOURCES / "module", work)
    # Our module has no BTF IDs to resolve, and 6.1's headers lack the tool for it.
    options = [f"M={work}", "RESOLVE_BTFIDS=true", *kernel.make_options]
    run(["make", "-C", kernel.build, *options, "modules"])
    shutil.copy(work / "storlab.ko", new / "storlab.ko")
    shutil.rmtree(work)
    run(["strip", "-g", "-o", new / "storlab-stripped.ko", new / "storlab.ko"])


def _build_program(new: Path) -> None:
    source = GUEST_SOURCES / "storlab-task.c"
    flags = ["-O2", "-Wall", "-static", "-pthread"]
    run(["gcc-12", *flags, "-o", new / "storlab-task", source])


def _build_initramfs(kernel: Kernel, new: Path) -> None:
    archive = Archive()
    archive.add_file("init", GUEST_SOURCES / "init", 0o755)
    archive.add_program(_which("busybox"), "bin/busybox")
    archive.add_program(_which("kexec"), "bin/kexec", _libraries(_which("kexec")))
    archive.add_file("bin/storlab-task", new / "storlab-task", 0o755)
    archive.add_file("modules/storlab.ko", new / "storlab-stripped.ko")
    archive.add_drivers(kernel)
    (new / "initramfs.cpio").write_bytes(archive.finish())


def _build_crash_initramfs(kernel: Kernel, new: Path) -> None:
    archive = Archive()
    archive.add_file("init", GUEST_SOURCES / "crash-init", 0o755)
    archive.add_program(_which("busybox"), "bin/busybox")
    libraries = debian13.program_libraries("makedumpfile")
    archive.add_program(debian13.root() / "bin/makedumpfile", "bin/makedumpfile", libraries)
    archive.add_drivers(kernel)
    (new / "crash-initramfs.cpio").write_bytes(archive.finish())


def _which(program: str) -> Path:
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    assert path is not None, f"{program} was checked for before"
    return Path(path)


def _libraries(program: Path) -> Iterable[Path]:
    return [Path(path) for path in re.findall(r"(/\S+) \(0x", run(["ldd", program]))]


class Archive:
    """A cpio archive in the "newc" format, which the kernel unpacks as initramfs.

    Written here because it needs no root (device nodes) and no second tool.
    """

    def __init__(self) -> None:
        self._data = bytearray()
        self._directories: set[str] = set()
        self._entry("dev", 0o040755, b"")
        self._directories.add("dev")
        # Before devtmpfs is mounted the kernel wants a console for init.
        self._entry("dev/console", 0o020600, b"", device=(5, 1))

    def add_file(self, name: str, source: Path, mode: int = 0o644) -> None:
        self.add_bytes(name, source.read_bytes(), mode)

    def add_bytes(self, name: str, content: bytes, mode: int = 0o644) -> None:
        for parent in reversed(Path(name).parents):
            if str(parent) != "." and str(parent) not in self._directories:
                self._entry(str(parent), 0o040755, b"")
                self._directories.add(str(parent))
        self._entry(name, 0o100000 | mode, content)

    def add_program(self, program: Path, name: str, libraries: Iterable[Path] = ()) -> None:
        """A program with its shared libraries, and its loader where the program looks for it."""
        self.add_file(name, program, 0o755)
        for library in libraries:
            folder = "lib64" if library.name.startswith("ld-linux") else "lib"
            self.add_file(f"{folder}/{library.name}", library, 0o755)

    def add_drivers(self, kernel: Kernel) -> None:
        for driver in sorted(kernel.drivers.iterdir()):
            self.add_file(f"modules/{driver.name}", driver)

    def finish(self) -> bytes:
        self._entry("TRAILER!!!", 0, b"")
        self._pad(512)
        return bytes(self._data)

    def _entry(
        self, name: str, mode: int, content: bytes, device: tuple[int, int] = (0, 0)
    ) -> None:
        encoded = name.encode() + b"\0"
        inode = len(self._data) & 0x7FFFFFFF
        numbers = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(encoded), 0)
        self._data += b"070701" + b"".join(b"%08X" % number for number in numbers) + encoded
        self._pad(4)
        self._data += content
        self._pad(4)

    def _pad(self, to: int) -> None:
        self._data += bytes(-len(self._data) % to)
