"""A guest that runs kscope on itself: the only way to have a /proc/kcore of a known machine.

Its disk holds the Python that runs this, with kscope's dependencies; kscope itself comes with the
initramfs, so that the disk is made once and a test always runs what is checked out.
"""

import importlib.metadata
import json
import py_compile
import re
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

import kscope
from tests.lab.cache import (
    GUEST_SOURCES,
    LabError,
    cache_directory,
    hash_of,
    locked,
    making,
    run,
    say,
)
from tests.lab.guestbuild import Archive, GuestImages, ensure_images
from tests.lab.kdump import copy_sparse
from tests.lab.kernel import Kernel, ensure_kernel
from tests.lab.qemu import Guest, again_if_too_slow

SOURCES = GUEST_SOURCES / "live"
LIVE_SERIES = ("6.12",)
"""One is enough: a live kernel differs from another as their dumps do."""
OBSERVE_SECONDS = 600
MEMORY_MIB = 1024
DISK_MIB = 400
OUT_MIB = 64

_PACKAGES = "/packages"
_LIBRARIES = "/libraries"
_LEFT_OUT = (
    "__pycache__", "site-packages", "dist-packages", "test", "idlelib", "tkinter", "turtledemo",
    "ensurepip", "lib2to3", "config-*", "*.a",
)  # fmt: skip
"""Of the standard library."""


def ensure_disk() -> Path:
    """An ext4 image with this Python and kscope's dependencies."""
    directory = cache_directory() / "python" / _disk_key()
    with locked(directory):
        if not directory.exists():
            say("making a disk with Python")
            with making(directory) as new:
                contents = new / "contents"
                _put_python(contents)
                _put_packages(contents)
                _put_libraries(contents)
                _put_shell(contents)
                for mount_point in ("proc", "sys", "dev", "tmp", "kscope", "out", "debug"):
                    (contents / mount_point).mkdir(exist_ok=True)
                disk = new / "disk.img"
                run(["/sbin/mke2fs", "-q", "-t", "ext4", "-d", contents, disk, f"{DISK_MIB}M"])
                shutil.rmtree(contents)
    return directory / "disk.img"


def _disk_key() -> str:
    versions = [f"{each.metadata['Name']} {each.version}" for each in _dependencies()]
    parts: list[Path | str] = [sys.version, sys.base_prefix, *versions, Path(__file__)]
    return hash_of(parts)


def _dependencies() -> list[importlib.metadata.Distribution]:
    """What kscope needs to run, and what that needs."""
    found: dict[str, importlib.metadata.Distribution] = {}
    wanted = ["kscope"]
    while wanted:
        name = wanted.pop().lower().replace("_", "-")
        if name in found:
            continue
        found[name] = importlib.metadata.distribution(name)
        for requirement in found[name].requires or ():
            if "extra ==" in requirement:
                continue
            needed = re.match(r"[\w.-]+", requirement)
            assert needed is not None
            # What is only needed on other systems or versions is not installed here.
            try:
                importlib.metadata.distribution(needed[0])
            except importlib.metadata.PackageNotFoundError:
                continue
            wanted.append(needed[0])
    del found["kscope"]
    return [found[name] for name in sorted(found)]


def _put_python(contents: Path) -> None:
    interpreter = _interpreter()
    inside = contents / str(interpreter).lstrip("/")
    inside.parent.mkdir(parents=True)
    shutil.copy(interpreter, inside)
    standard = Path(sysconfig.get_path("stdlib"))
    target = contents / str(standard).lstrip("/")
    shutil.copytree(standard, target, ignore=shutil.ignore_patterns(*_LEFT_OUT), symlinks=False)
    _compile(target)


def _interpreter() -> Path:
    """The real one, not a virtual environment's link to it or copy of it."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return Path(sys.base_prefix, "bin", version).resolve()


def _put_packages(contents: Path) -> None:
    for package in _dependencies():
        for file in package.files or ():
            if file.parts[0] == ".." or "__pycache__" in file.parts:
                continue
            target = contents / _PACKAGES.lstrip("/") / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(str(package.locate_file(file)), target)
    _compile(contents / _PACKAGES.lstrip("/"))


def _put_libraries(contents: Path) -> None:
    """What the interpreter and all extension modules are linked to, in one directory."""
    libraries = contents / _LIBRARIES.lstrip("/")
    libraries.mkdir()
    programs = [_interpreter(), *contents.rglob("*.so"), *contents.rglob("*.so.*")]
    for path in set(re.findall(r"(/\S+) \(0x", run(["ldd", *programs]))):
        if not path.startswith(str(contents)):
            shutil.copy(path, libraries / Path(path).name)
    loader = next(libraries.glob("ld-linux-*"))
    (contents / "lib64").mkdir()
    shutil.copy(loader, contents / "lib64" / loader.name)


def _put_shell(contents: Path) -> None:
    """What a crash command line's pipes need."""
    busybox = shutil.which("busybox")
    assert busybox is not None, "it was checked for before"
    (contents / "bin").mkdir(exist_ok=True)
    shutil.copy(busybox, contents / "bin/busybox")
    for name in ("sh", "grep", "tail"):
        (contents / "bin" / name).symlink_to("busybox")


def _compile(directory: Path) -> None:
    """Compile all modules: in a guest without KVM that would take minutes."""
    for source in directory.rglob("*.py"):
        _compile_file(source, source)


def _compile_file(source: Path, shown_as: Path) -> Path | None:
    # The compiled file counts whatever the time stamps are.
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compiled = py_compile.compile(str(source), dfile=str(shown_as), quiet=2, invalidation_mode=mode)
    return Path(compiled) if compiled else None


def _sources() -> list[Path]:
    """kscope's own, as they are checked out."""
    return sorted(Path(kscope.__file__).parent.rglob("*.py"))


def _overlay(work: Path) -> bytes:
    """What comes over the initramfs of every guest: kscope as it is checked out, and our init."""
    archive = Archive()
    archive.add_file("init", SOURCES / "init", 0o755)
    copy = work / "kscope"
    left_out = shutil.ignore_patterns("__pycache__", "*.xz")
    shutil.copytree(Path(kscope.__file__).parent, copy, ignore=left_out)
    _compile(copy)
    for file in sorted(copy.rglob("*")):
        if file.is_file():
            archive.add_file(f"kscope/kscope/{file.relative_to(copy)}", file)
    shutil.rmtree(copy)
    archive.add_file("kscope/observe.py", SOURCES / "observe.py")
    environment = {
        "PYTHONPATH": f"/kscope:{_PACKAGES}",
        "LD_LIBRARY_PATH": _LIBRARIES,
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": "/tmp",
        "PATH": "/bin",
        "LC_ALL": "C.UTF-8",
    }
    words = " ".join(f"{name}={value}" for name, value in environment.items())
    program = f"{_interpreter()} /kscope/observe.py"
    script = f"#!/bin/sh\nexec env -i {words} /bin/chroot /disk {program}\n"
    archive.add_bytes("observe", script.encode(), 0o755)
    return archive.finish()


def ensure_seen(series: str) -> Path:
    """What kscope as it is checked out saw on a running kernel of that series: for each look of
    observe.py a JSON file. It takes a minute or two, since all runs without KVM.
    """
    kernel = ensure_kernel(series)
    images = ensure_images(kernel)
    directory = cache_directory() / "live" / series
    key = hash_of([kernel.release, images.directory.name, _disk_key(), SOURCES, *_sources()])
    with locked(directory):
        key_file = directory / "key"
        if not key_file.exists() or key_file.read_text() != key:
            say(f"{series} live: booting")
            with making(directory) as new:
                disk = ensure_disk()
                again_if_too_slow(lambda: _look(kernel, images, disk, new))
                (new / "key").write_text(key)
            say(f"{series} live: done")
    return directory


def seen(series: str) -> dict[str, dict[str, Any]]:
    """The same, by the names in observe.py."""
    return {file.stem: json.loads(file.read_text()) for file in ensure_seen(series).glob("*.json")}


def _look(kernel: Kernel, images: GuestImages, disk: Path, new: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="kscope-lab-") as directory:
        work = Path(directory)
        out = work / "out.img"
        run(["/sbin/mke2fs", "-q", "-t", "ext4", out, f"{OUT_MIB}M"])
        debug = _disk_of_vmlinux(kernel, work)
        # The guest mounts its disk for writing.
        own_disk = work / "disk.img"
        copy_sparse(disk, own_disk)
        initramfs = work / "initramfs.cpio"
        initramfs.write_bytes(images.initramfs.read_bytes() + _overlay(work))
        with Guest(
            kernel=kernel.vmlinuz,
            initramfs=initramfs,
            command_line="",
            memory_mib=MEMORY_MIB,
            cpus="2",
            disks=[own_disk, out, debug],
            work=work,
        ) as guest:
            guest.wait_for_boot()
            guest.wait_for_fact("observed", OBSERVE_SECONDS)
            guest.wait_for_power_off(60)
        run(["/sbin/debugfs", "-R", f"rdump / {new}", out])
        shutil.copy(work / "console.log", new / "console.log")
    if not (new / "dashboard.json").exists():
        raise LabError("it did not come to its end:\n" + (new / "observe.log").read_text())


def _disk_of_vmlinux(kernel: Kernel, work: Path) -> Path:
    contents, disk = work / "debug", work / "debug.img"
    contents.mkdir()
    shutil.copy(kernel.vmlinux, contents / "vmlinux")
    size_mib = (kernel.vmlinux.stat().st_size >> 20) + OUT_MIB
    run(["/sbin/mke2fs", "-q", "-t", "ext4", "-d", contents, disk, f"{size_mib}M"])
    shutil.rmtree(contents)
    return disk
