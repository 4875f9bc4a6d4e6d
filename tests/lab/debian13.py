"""Programs of Debian 13 that run on Debian 12 through their own loader and libraries.

`crash` 8.0.6, because 8.0.2 of Debian 12 misreads some 6.1 stable kernels and does not start on
6.12; `makedumpfile` 1.7.6, because 1.7.2 of Debian 12 drops pages that are needed from a 6.12
kernel's memory (page flags moved there) and writes no zstd.
"""

import re
import shutil
from pathlib import Path

from tests.lab.cache import cache_directory, locked, making, run, say

SOURCE = (
    "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
    "http://deb.debian.org/debian trixie main\n"
)
PROGRAMS = ("crash", "makedumpfile")


def root() -> Path:
    return cache_directory() / "debian13"


def libraries() -> Path:
    return root() / "lib"


def loader() -> Path:
    return libraries() / "ld-linux-x86-64.so.2"


def program(name: str) -> list[str]:
    """How to start it: the words before its arguments."""
    return [str(loader()), "--library-path", str(libraries()), str(root() / "bin" / name)]


def program_libraries(name: str) -> list[Path]:
    command = program(name)
    listing = run([*command[:-1], "--list", command[-1]])
    return [Path(path) for path in re.findall(r"(/\S+) \(0x", listing)]


def ensure_debian13() -> None:
    """Download and unpack the programs with an apt that knows nothing of this machine's."""
    with locked(root()):
        if not root().exists():
            _make()


def own_apt(apt: Path, source: str) -> list[str]:
    """Options for an apt of its own in that directory, which knows nothing of this machine's."""
    (apt / "lists/partial").mkdir(parents=True)
    (apt / "cache/archives/partial").mkdir(parents=True)
    (apt / "sources.list").write_text(source)
    (apt / "status").touch()
    options = {
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": apt / "lists",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache",
        "APT::Sandbox::User": "root",
        # It locks dpkg's own files otherwise, which is for root and not needed here.
        "Debug::NoLocking": "1",
    }
    return [f"-o{name}={value}" for name, value in options.items()]


def _make() -> None:
    say("downloading crash and makedumpfile of Debian 13 (about 35 MB)")
    with making(root()) as new:
        apt = new / "apt"
        apt_get = ["apt-get", *own_apt(apt, SOURCE)]
        run([*apt_get, "update"])
        run([*apt_get, "-y", "--no-install-recommends", "--download-only", "install", *PROGRAMS])
        for deb in (apt / "cache/archives").glob("*.deb"):
            run(["dpkg-deb", "-x", deb, new / "unpacked"])
        (new / "bin").mkdir()
        for name in PROGRAMS:
            shutil.copy(new / "unpacked/usr/bin" / name, new / "bin")
        (new / "lib").mkdir()
        for library in (new / "unpacked/usr/lib/x86_64-linux-gnu").glob("*.so*"):
            if library.is_file():
                shutil.copy(library, new / "lib")
        shutil.rmtree(new / "unpacked")
        shutil.rmtree(apt)
