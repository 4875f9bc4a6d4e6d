"""The bundled dump: unpacked once, whole or not at all."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kscope import demo
from kscope.model.base import Progress, QueryError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_it_is_unpacked_into_the_cache_with_progress_and_the_promised_hash(cache: Path) -> None:
    steps: list[Progress] = []
    path = demo.unpack(steps.append)
    assert cache in path.parents
    assert steps[-1].done == steps[-1].total == path.stat().st_size
    expected = Path(demo.__file__).with_name("vmcore.sha256").read_text().split()[1]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == expected


def test_a_file_of_the_wrong_size_is_unpacked_again(cache: Path) -> None:
    path = demo.unpack()
    size = path.stat().st_size
    path.write_bytes(b"half")
    assert demo.unpack().stat().st_size == size


def test_a_damaged_package_leaves_nothing_and_says_so(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "_expected", lambda: (1, "0" * 64))
    with pytest.raises(QueryError, match="damaged"):
        demo.unpack()
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_no_room_is_one_sentence_that_says_how_much_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    with pytest.raises(QueryError) as caught:
        demo.unpack()
    assert "It needs 61 MB" in caught.value.hint


def run_unpack(cache: Path, before: str = "") -> "subprocess.Popen[str]":
    """Another process that unpacks it and prints where to."""
    code = f"{before}\nfrom kscope import demo\nprint(demo.unpack())"
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_several_that_unpack_at_once_all_get_it_whole(cache: Path) -> None:
    processes = [run_unpack(cache) for _ in range(2)]
    paths = {Path(process.communicate()[0].strip()) for process in processes}
    (path,) = paths
    assert [each.name for each in path.parent.iterdir()] == ["vmcore"]
    expected = Path(demo.__file__).with_name("vmcore.sha256").read_text().split()[1]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == expected


def test_a_disk_that_becomes_full_is_one_sentence_and_nothing_is_left(cache: Path) -> None:
    no_more = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 22, 1 << 22))"
    _, said = run_unpack(cache, no_more).communicate()
    assert "The bundled dump cannot be unpacked into" in said
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_what_a_killed_kscope_left_is_removed(cache: Path) -> None:
    directory = cache / "kscope" / f"demo-{demo._expected()[1][:16]}"
    directory.mkdir(parents=True)
    left, running = directory / "tmpkilled", directory / "tmprunning"
    for path in (left, running):
        path.write_bytes(b"part of it")
    os.utime(left, (0, 0))
    demo.unpack()
    assert not left.exists()
    assert running.exists()
