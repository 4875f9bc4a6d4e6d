"""Downloading the vmlinux with debug info by debuginfod, when asked to.

debuginfod(8) serves a file by build-ID at ``URL/buildid/BUILDID/debuginfo``. It is asked here and
not through drgn, which can only draw its progress on a terminal.
"""

import contextlib
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import urlsplit

from platformdirs import user_cache_path

from kscope.model.base import Progress, QueryError
from kscope.model.target import Identity
from kscope.model.text import printable

_CHUNK = 1 << 20
_SECONDS = 90.0
"""Without a byte from a server, as debuginfod's own DEBUGINFOD_TIMEOUT has it."""


def by_debuginfod(identity: Identity) -> Generator[Progress, None, Path]:
    """Download the vmlinux by build-ID from the servers in ``DEBUGINFOD_URLS``, or take it from
    where this or debuginfod's own client put it before.

    :raises QueryError: if no server has it, naming what each said.
    """
    servers = os.environ.get("DEBUGINFOD_URLS", "").split()
    if not identity.build_id:
        raise _refusal("The dump does not name its kernel's build-ID, which debuginfod goes by.")
    if not servers:
        raise _refusal(
            "debuginfod is asked for, but DEBUGINFOD_URLS names no server.",
            "export DEBUGINFOD_URLS=https://debuginfod.debian.net (or your distribution's)",
        )
    kept = user_cache_path("kscope") / "debuginfod" / identity.build_id / "vmlinux"
    for place in (kept, _client_cache() / identity.build_id / "debuginfo"):
        if place.is_file() and place.stat().st_size:
            return place
    said = []
    for server in servers:
        host = urlsplit(server).hostname or server
        try:
            yield from _download(
                f"{server.rstrip('/')}/buildid/{identity.build_id}/debuginfo", host, kept
            )
        except (OSError, ValueError, HTTPException) as error:
            said.append(f"{host}: {error}")
        else:
            return kept
    raise _refusal(
        f"No debuginfod server has build-ID {identity.build_id} ({printable('; '.join(said))}).",
        "Leave --debuginfod away to use the types in the dump itself.",
    )


def _download(url: str, host: str, to: Path) -> Iterator[Progress]:
    what = f"downloading the vmlinux from {printable(host)}"
    yield Progress(0, 0, what)
    with cast(HTTPResponse, urllib.request.urlopen(url, timeout=_SECONDS)) as response:
        total = int(response.headers.get("Content-Length") or 0)
        to.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=to.parent, delete=False) as file:
            try:
                yield from _copy(response, cast(BinaryIO, file), total, what)
                Path(file.name).replace(to)
            except BaseException:
                with contextlib.suppress(OSError):
                    Path(file.name).unlink()
                raise


def _copy(response: HTTPResponse, file: BinaryIO, total: int, what: str) -> Iterator[Progress]:
    done = 0
    while chunk := response.read(_CHUNK):
        file.write(chunk)
        done += len(chunk)
        yield Progress(done, total, what)
    file.flush()
    if total and done < total:
        raise OSError(f"the connection ended after {done} of {total} bytes")


def _client_cache() -> Path:
    """Where elfutils' client keeps what it downloaded (debuginfod_find_debuginfo(3))."""
    named = os.environ.get("DEBUGINFOD_CACHE_PATH")
    return Path(named) if named else user_cache_path("debuginfod_client")


def _refusal(sentence: str, hint: str = "") -> QueryError:
    return QueryError(sentence, hint, kind="cannot-open")
