"""Finding the vmlinux of a dump: the file given, or in the standard places, by its build-ID."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kscope.model.base import QueryError
from kscope.model.target import Identity
from kscope.target import elf


@dataclass(frozen=True)
class Search:
    """What came of looking for a vmlinux."""

    path: Path | None
    searched: tuple[str, ...]


def find(identity: Identity) -> Search:
    """Look for the vmlinux in the standard places and beside the dump.

    A file there is taken only if its build-ID is the dump's. A kernel before 5.9 does not name
    its build-ID in the dump, so that nothing is taken for it unasked.
    """
    searched = []
    for place in _standard_places(identity):
        searched.append(str(place))
        if identity.build_id and place.is_file() and _build_id(place) == identity.build_id:
            return Search(place, tuple(searched))
    return Search(None, tuple(searched))


def check(given: str, identity: Identity) -> Path:
    """The vmlinux the user named, if it is the dump's.

    :raises QueryError: if it is not, naming the build-ID wanted and the one found.
    """
    path = Path(given)
    try:
        with path.open("rb") as file:
            found = elf.build_id(file)
    except OSError as error:
        raise QueryError(
            f"{path} cannot be read: {error.strerror}.", "Check the path.", kind="cannot-open"
        ) from error
    except elf.ElfError as error:
        raise QueryError(
            f"{path} is not a vmlinux: {error}.",
            "bzImage and vmlinuz are compressed; the vmlinux with debug info is a file of its own.",
            kind="cannot-open",
        ) from error
    if identity.build_id and found != identity.build_id:
        raise QueryError(
            f"{path} is not this dump's vmlinux: build-ID wanted {identity.build_id}, "
            f"found {found or 'none'}.",
            "Leave -s away to use the types in the dump itself.",
            kind="cannot-open",
        )
    return path


def _standard_places(identity: Identity) -> Iterator[Path]:
    release = identity.release
    yield Path(identity.path).parent / "vmlinux"
    if release and "/" not in release:
        yield Path(f"/usr/lib/debug/boot/vmlinux-{release}")
        yield Path(f"/usr/lib/debug/lib/modules/{release}/vmlinux")
        yield Path(f"/usr/lib/debug/boot/vmlinux-{release}.debug")
        yield Path(f"/lib/modules/{release}/build/vmlinux")
        yield Path(f"/lib/modules/{release}/vmlinux")
        yield Path(f"/boot/vmlinux-{release}")
    if identity.build_id:
        first, rest = identity.build_id[:2], identity.build_id[2:]
        yield Path(f"/usr/lib/debug/.build-id/{first}/{rest}.debug")


def _build_id(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return elf.build_id(file)
    except (OSError, elf.ElfError):
        return ""
