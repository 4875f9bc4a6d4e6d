"""Where the lab keeps what it downloads and makes, and how it runs programs.

    packages/                       .deb files
    kernels/6.1 -> 6.1.0-56-...     the release in use for that series
    kernels/RELEASE/                vmlinuz, vmlinux, drivers/, headers/, kernel.json
    guests/RELEASE-HASH/            our module and guest program, initramfs images
    dumps/6.1/NAME/                 vmcore, vmcore-dmesg.txt, manifest.json, storlab.ko, console.log
    oracle-answers/                 what crash said of dumps
    oracle/                         Debian 13's crash with its libraries

Everything is made under a temporary name and renamed when complete, so an interrupted build
goes on where it was.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

STARTED = time.monotonic()
GUEST_SOURCES = Path(__file__).parent / "guest"


class LabError(Exception):
    """Something that the user has to know or do; its text is the whole message."""


def cache_directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "kscope-lab"


def say(text: str) -> None:
    elapsed = int(time.monotonic() - STARTED)
    print(f"[{elapsed // 60:2}:{elapsed % 60:02}] {text}", file=sys.stderr, flush=True)


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    timeout: float | None = None,
) -> str:
    """Run a program to its end; its output, or a LabError with the last lines of it."""
    try:
        result = subprocess.run(
            [str(word) for word in command],
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C", **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError:
        raise LabError(f"{command[0]} is not installed") from None
    output = result.stdout.decode(errors="replace")
    if result.returncode != 0:
        tail = "\n".join(output.splitlines()[-20:])
        words = " ".join(str(word) for word in command)
        raise LabError(f"{words}: exit status {result.returncode}\n{tail}")
    return output


@contextmanager
def making(final: Path) -> Iterator[Path]:
    """A new empty directory that becomes `final`, replacing it, when the block ends well."""
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f".{final.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        if final.exists():
            shutil.rmtree(final)
        temporary.rename(final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def locked(final: Path) -> Iterator[None]:
    """Only one process or thread at a time makes `final`; the others wait and then find it."""
    final.parent.mkdir(parents=True, exist_ok=True)
    with final.with_name(f".{final.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def is_built(dump: Path, key: str) -> bool:
    """Whether the dump of that directory is the one that `key` stands for."""
    manifest = dump / "manifest.json"
    return manifest.exists() and json.loads(manifest.read_text()).get("key") == key


def hash_of(parts: Iterable[Path | str]) -> str:
    """A short hash over names and contents of files (directories: all files in them) and texts."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            digest.update(b"text\0" + part.encode() + b"\0")
            continue
        files = [part] if part.is_file() else sorted(f for f in part.rglob("*") if f.is_file())
        for file in files:
            digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
