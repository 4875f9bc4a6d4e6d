"""How the reader arranged a screen, kept from one run to the next."""

import contextlib
from pathlib import Path
from typing import TypeVar

import msgspec
from platformdirs import user_state_path

S = TypeVar("S", bound=msgspec.Struct)


def recall(name: str, default: S) -> S:
    """What was kept under ``name``; ``default`` if there is nothing, or nothing that fits."""
    with contextlib.suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(_file(name).read_bytes(), type=type(default))
    return default


def keep(name: str, arrangement: msgspec.Struct) -> None:
    """Keep it. A disk that cannot be written to is no reason to interrupt anybody."""
    with contextlib.suppress(OSError):
        file = _file(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_suffix(".new")
        beside.write_bytes(msgspec.json.encode(arrangement))
        beside.replace(file)


def _file(name: str) -> Path:
    return user_state_path("kscope", appauthor=False) / f"{name}.json"
