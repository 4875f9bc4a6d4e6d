"""The bundled dump: unpacked once, whole or not at all."""

import hashlib
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
