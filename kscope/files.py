"""Files that are whole at every moment."""

import contextlib
import errno
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_LONGEST_WAIT_SECONDS = 5.0
_TRY_SECONDS = 0.02


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep every other kscope from changing a file while it is read and replaced.

    The lock is a file of its own beside it, since the file itself becomes another.

    :raises OSError: if the lock cannot be made, or another does not give it back.
    """
    lock = path.with_suffix(".lock")
    lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        _lock(descriptor, lock)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, lock: Path) -> None:
    until = time.monotonic() + _LONGEST_WAIT_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            # Whoever holds it may have been stopped, and may never go on.
            if time.monotonic() > until:
                raise OSError(errno.EBUSY, "another kscope holds it", str(lock)) from error
            time.sleep(_TRY_SECONDS)
        except OSError:  # a file system without locks
            return
        else:
            return


def replace_file(path: Path, data: bytes) -> None:
    """Write a file so that at every moment either the old or the new one is whole.

    :raises OSError: if it cannot be written; the old one stays.
    """
    # Where the file is a link, what it leads to is replaced.
    try:
        path = path.resolve()
    except RuntimeError as error:  # Python before 3.13, of links that lead round in circles
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from error
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
