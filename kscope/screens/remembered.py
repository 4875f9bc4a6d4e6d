"""What is kept from one run to the next: how the reader arranged a screen, and where they were.

Files of JSON in the user's state directory. One that cannot be read, is damaged or was written by
another version counts as not being there.
"""

import contextlib
from pathlib import Path
from typing import TypeVar

import msgspec
from platformdirs import user_state_path

from kscope.files import replace_file
from kscope.model.codec import from_json, to_json
from kscope.model.fingerprint import Fingerprint

S = TypeVar("S", bound=msgspec.Struct)

_MOST_DUMPS = 200
"""Of so many dumps it is kept where the reader was."""


def recall(name: str, default: S) -> S:
    """What was kept under ``name``; ``default`` if there is nothing, or nothing that fits."""
    with contextlib.suppress(OSError):
        return decoded(_file(name).read_bytes(), default)
    return default


def decoded(data: bytes | msgspec.Raw, default: S) -> S:
    """What ``data`` says; ``default`` if that does not fit."""
    # What msgspec raises for bytes that are no text, and for brackets in brackets in brackets.
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return from_json(data, type(default))
    return default


def keep(name: str, arrangement: msgspec.Struct) -> None:
    """Keep it. A disk that cannot be written to is no reason to interrupt anybody."""
    with contextlib.suppress(OSError):
        replace_file(_file(name), to_json(arrangement))


def _file(name: str) -> Path:
    return user_state_path("kscope", appauthor=False) / f"{name}.json"


# Where the reader was in a dump.


class LastTime(msgspec.Struct, frozen=True):
    """The dashboard as it was left."""

    screen: str = ""
    """The screen that was open: the name of its module."""
    screens: dict[str, msgspec.Raw] = {}
    """What each screen wants to be told again, by the name of its module."""


def last_time(dump: Fingerprint) -> LastTime:
    """How the dashboard was left when this dump was open, whatever its path was."""
    return recall(_of_dump(dump), LastTime())


def keep_last_time(dump: Fingerprint, left: LastTime) -> None:
    """Keep it; what was kept of the dumps that were not opened for longest is given up."""
    keep(_of_dump(dump), left)
    with contextlib.suppress(OSError):
        files = sorted(_file(_of_dump(dump)).parent.glob("*.json"), key=_age)
        for file in files[:-_MOST_DUMPS]:
            file.unlink()


def _age(file: Path) -> float:
    return file.stat().st_mtime


def _of_dump(dump: Fingerprint) -> str:
    return f"dumps/{dump.build_id[:12] or 'no-build-id'}-{dump.content[:20]}"
