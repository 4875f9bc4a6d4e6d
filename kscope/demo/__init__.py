"""The dump that comes with kscope: a hung Debian guest, real memory, no vmlinux needed.

``vmcore.xz`` is unpacked into the user's cache on first use; ``README.md`` says how it was made.
"""

import contextlib
import hashlib
import lzma
import os
import tempfile
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from platformdirs import user_cache_path

from kscope.model.base import Progress, QueryError

_CHUNK = 1 << 20
_LONGEST_SECONDS = 3600
"""Far more than unpacking takes anywhere."""


def unpack(progress: Callable[[Progress], None] | None = None) -> Path:
    """The bundled dump as a file, unpacked and checked now if it was not before.

    :raises QueryError: if there is no room for it, or this copy of kscope is damaged.
    """
    size, wanted = _expected()
    directory = user_cache_path("kscope") / f"demo-{wanted[:16]}"
    path = directory / "vmcore"
    with contextlib.suppress(OSError):
        if path.stat().st_size == size:
            return path
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _remove_left_over(directory)
        # Another kscope may be unpacking at the same time: each writes its own file, the last
        # rename wins, all of them hold the same.
        with tempfile.NamedTemporaryFile(dir=directory, delete=False) as file:
            try:
                found = _unpack_into(file.fileno(), size, progress)
                if found != wanted:
                    raise QueryError(
                        "The bundled dump is damaged: its hash is not what it should be.",
                        "Install kscope again.",
                        kind="cannot-open",
                    )
                Path(file.name).replace(path)
            except BaseException:
                with contextlib.suppress(OSError):
                    Path(file.name).unlink()
                raise
    except (OSError, lzma.LZMAError) as error:
        raise QueryError(
            f"The bundled dump cannot be unpacked into {directory}: {error}.",
            f"It needs {size >> 20} MB there; XDG_CACHE_HOME moves it elsewhere.",
            kind="cannot-open",
        ) from error
    return path


def _remove_left_over(directory: Path) -> None:
    """Remove what a kscope that was killed while it unpacked has left."""
    for path in directory.glob(f"{tempfile.gettempprefix()}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _LONGEST_SECONDS:
                path.unlink()


def _expected() -> tuple[int, str]:
    size, digest = files(__name__).joinpath("vmcore.sha256").read_text("ascii").split()
    return int(size), digest


def _unpack_into(descriptor: int, size: int, progress: Callable[[Progress], None] | None) -> str:
    digest = hashlib.sha256()
    done = 0
    with (
        files(__name__).joinpath("vmcore.xz").open("rb") as packed,
        lzma.open(packed) as unpacked,
        os.fdopen(os.dup(descriptor), "wb") as output,
    ):
        while chunk := unpacked.read(_CHUNK):
            digest.update(chunk)
            output.write(chunk)
            done += len(chunk)
            if progress is not None:
                progress(Progress(done, size, "unpacking the bundled dump"))
    return digest.hexdigest()
