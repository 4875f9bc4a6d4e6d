"""debuginfod, against a server on this machine."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from kscope.model.base import Progress, QueryError
from kscope.model.target import Identity
from kscope.session.answering import finish
from kscope.target.fetching import by_debuginfod
from kscope.target.packages import fetch_commands
from tests.session.slow_worker import IDENTITY

WANTED = msgspec.structs.replace(IDENTITY, build_id="ab" * 20)
CONTENT = bytes(range(256)) * 20_000


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == f"/buildid/{'ab' * 20}/debuginfo":
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT)
        elif self.path.startswith("/cut-off"):
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT[:1000])
        else:
            self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("DEBUGINFOD_CACHE_PATH", raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{httpd.server_address[1]}"
        monkeypatch.setenv("DEBUGINFOD_URLS", url)
        yield url
        httpd.shutdown()


def fetch(identity: Identity) -> tuple[Path, list[Progress]]:
    steps: list[Progress] = []
    return finish(by_debuginfod(identity), steps.append), steps


def test_a_vmlinux_is_downloaded_whole(server: str) -> None:
    path, _ = fetch(WANTED)
    assert path.read_bytes() == CONTENT


def test_progress_is_told_in_bytes(server: str) -> None:
    _, steps = fetch(WANTED)
    assert steps[-1].done == steps[-1].total == len(CONTENT)
    assert [step.done for step in steps] == sorted(step.done for step in steps)


def test_what_was_downloaded_is_not_asked_for_again(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = fetch(WANTED)
    monkeypatch.setenv("DEBUGINFOD_URLS", "http://127.0.0.1:1")
    assert fetch(WANTED) == (path, [])


def test_a_server_without_it_is_passed_over_for_the_next(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEBUGINFOD_URLS", f"{server}/nothing {server}")
    assert fetch(WANTED)[0].read_bytes() == CONTENT


def test_nobody_having_it_names_what_each_server_said(server: str) -> None:
    with pytest.raises(QueryError, match=r"127\.0\.0\.1: HTTP Error 404"):
        fetch(msgspec.structs.replace(WANTED, build_id="cd" * 20))


def test_a_download_cut_off_leaves_nothing_behind(
    server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DEBUGINFOD_URLS", f"{server}/cut-off")
    with pytest.raises(QueryError):
        fetch(WANTED)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_no_server_named_says_how_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEBUGINFOD_URLS", raising=False)
    with pytest.raises(QueryError) as caught:
        fetch(WANTED)
    assert "export DEBUGINFOD_URLS=" in caught.value.hint


@pytest.mark.parametrize(
    ("release", "command"),
    [
        ("6.1.0-56-cloud-amd64", "apt install linux-image-6.1.0-56-cloud-amd64-dbg"),
        ("5.14.0-503.el9.x86_64", "dnf debuginfo-install kernel-core-5.14.0-503.el9.x86_64"),
        ("6.8.0-31-generic", "apt install linux-image-6.8.0-31-generic-dbgsym"),
        ("6.4.0-150600-default", "zypper install kernel-default-debuginfo"),
    ],
)
def test_the_package_with_the_vmlinux_is_named(release: str, command: str) -> None:
    assert fetch_commands(msgspec.structs.replace(IDENTITY, release=release))[0] == command
