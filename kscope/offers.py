"""The dumps that ``kscope`` without arguments offers: opened lately, or lying where dumps lie."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
from platformdirs import user_state_path

from kscope.dialect.layout import date, size
from kscope.files import locked, replace_file
from kscope.model.base import QueryError
from kscope.model.text import printable
from kscope.target.identify import identify

KDUMP_CONF = Path("/etc/kdump.conf")
DEFAULT_PATH = Path("/var/crash")
_MOST = 100
"""Dumps that are looked into."""
_DEPTH = 2
"""Directories below a place that kdump.service or Debian's kdump-tools make for each crash."""


@dataclass(frozen=True)
class Offer:
    """A dump that can be opened."""

    path: str
    written_seconds: int | None
    """Since 1970; of the bundled one it does not matter."""
    what: str
    opened_before: bool


def offers() -> list[Offer]:
    """The dumps found, newest first, and the bundled one last."""
    recent = [Path(path) for path in recently_opened()]
    opened = set()
    for path in recent:
        with contextlib.suppress(OSError):
            opened.add(path.resolve())
    found: dict[Path, float] = {}
    for path in (*recent, *_lying_around()):
        with contextlib.suppress(OSError):
            resolved = path.resolve()
            found[resolved] = resolved.stat().st_mtime
    listed = []
    for path, modified in sorted(found.items(), key=lambda item: -item[1])[:_MOST]:
        what = _what(path)
        if what:
            listed.append(Offer(str(path), int(modified), what, path in opened))
    demo = "the dump that comes with kscope: a hung Debian guest"
    return [*listed, Offer("demo", None, demo, False)]


def as_text(listed: list[Offer]) -> str:
    """The offers for where there is no terminal to choose on."""
    lines = []
    for offer in listed:
        when = "" if offer.written_seconds is None else date(offer.written_seconds)
        lines += [f"{when:<29}  {printable(offer.path)}", f"{'':31}{offer.what}"]
    return "\n".join(lines)


def _lying_around() -> Iterator[Path]:
    for place in (*_kdump_conf_paths(), DEFAULT_PATH, *_current_directory()):
        yield from _dumps_below(place, _DEPTH)


def _current_directory() -> Iterator[Path]:
    # It may have been removed.
    with contextlib.suppress(OSError):
        yield Path.cwd()


def _dumps_below(directory: Path, depth: int) -> Iterator[Path]:
    if directory.is_relative_to("/proc") or directory.is_relative_to("/sys"):
        # To open what lies there may have effects, and to read it may take for ever: /proc/kmsg.
        return
    try:
        entries = sorted(directory.iterdir())
    except OSError:
        return
    for entry in entries:
        with contextlib.suppress(OSError):
            if entry.is_file() and _may_be_dump(entry):
                yield entry
            elif depth and entry.is_dir() and not entry.is_symlink():
                yield from _dumps_below(entry, depth - 1)


def _may_be_dump(path: Path) -> bool:
    """Whether the first bytes are those of a dump; cheap, since a directory may hold anything."""
    with path.open("rb") as file:
        start = file.read(18)
    is_core = start.startswith(b"\x7fELF") and start[16:18] in (b"\x04\0", b"\0\x04")
    return is_core or start.startswith((b"KDUMP   ", b"makedumpfile\0\0\0\0"))


def _kdump_conf_paths() -> Iterator[Path]:
    """``path`` of kdump.conf(5), relative to the root when it is dumped to the root's disk."""
    with contextlib.suppress(OSError):
        for line in KDUMP_CONF.read_text("utf-8", "replace").splitlines():
            keyword, _, value = line.strip().partition(" ")
            if keyword == "path" and value.strip():
                yield Path(value.strip())


def _what(path: Path) -> str:
    try:
        identity = identify(str(path)).identity
    except QueryError as error:
        return error.sentence.removeprefix(f"{printable(str(path))} is ")
    level = f" -d{identity.dump_level}" if identity.dump_level else ""
    state = "" if identity.complete else ", incomplete"
    return f"{identity.release}, {identity.format}{level}, {size(identity.size_bytes)}{state}"


def recently_opened() -> list[str]:
    """Paths of the dumps opened lately, the last one first."""
    try:
        return msgspec.json.decode(_recent_file().read_bytes(), type=list[str])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []


def remember_opened(path: str) -> None:
    """Put ``path`` first among the dumps opened lately. Failing to is not worth a word."""
    # A path that is no text cannot be kept either.
    with contextlib.suppress(OSError, UnicodeEncodeError), locked(_recent_file()):
        absolute = str(Path(path).absolute())
        recent = [absolute, *(other for other in recently_opened() if other != absolute)][:_MOST]
        replace_file(_recent_file(), msgspec.json.encode(recent))


def _recent_file() -> Path:
    return user_state_path("kscope", appauthor=False) / "recent.json"
