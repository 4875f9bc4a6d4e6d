"""Where notebooks are kept, whatever happens while they are written."""

import errno
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from kscope import files
from kscope.kernel.fingerprint import fingerprint
from kscope.model.fingerprint import FingerprintQuery
from kscope.model.target import OpenQuery
from kscope.report import storage
from kscope.report.notebook import Block, Notebook
from kscope.report.storage import Storage, StorageError
from kscope.session.answering import finish
from kscope.target.opening import open_target
from kscope.target.target import Target


def store(place: Path) -> Storage:
    return Storage("0123456789abcdef", "feedface" * 8, place)


def blocks(place: Path) -> list[str]:
    return [block.question for block in store(place).load("/dump")[0].blocks]


def added(notebook: Notebook, question: str) -> Notebook:
    return notebook.added(Block(question=question))


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    one = store(tmp_path)
    notebook, said = one.load("/dump")
    assert (notebook.blocks, said) == ((), "")
    one.save(added(notebook, "why?"))
    assert blocks(tmp_path) == ["why?"]


def test_a_dump_under_another_path_has_the_same_report_and_it_is_said(tmp_path: Path) -> None:
    one = store(tmp_path)
    one.save(added(one.load("/old/vmcore")[0], "why?"))
    notebook, said = store(tmp_path).load("/new/vmcore")
    assert notebook.paths == ("/new/vmcore", "/old/vmcore")
    assert "/old/vmcore" in said


def test_two_at_once_lose_nothing(tmp_path: Path) -> None:
    one, other = store(tmp_path), store(tmp_path)
    mine, theirs = one.load("/dump")[0], other.load("/dump")[0]
    mine = one.save(added(mine, "mine"))
    theirs = other.save(added(theirs, "theirs"))
    assert one.changed_by_another()
    one.save(added(mine, "mine too"))
    assert sorted(blocks(tmp_path)) == ["mine", "mine too", "theirs"]


def write_many(place: Path, who: str) -> None:
    one = store(place)
    notebook, _ = one.load("/dump")
    for number in range(20):
        notebook = one.save(added(notebook, f"{who} {number}"))


def test_two_processes_writing_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(tmp_path, who)) for who in ("a", "b")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert sorted(blocks(tmp_path)) == sorted(f"{w} {n}" for w in "ab" for n in range(20))


def write_forever(place: Path) -> None:
    one = store(place)
    notebook, _ = one.load("/dump")
    number = 0
    while True:
        notebook = one.save(added(notebook, f"{number}" * 100))
        number += 1


def test_one_killed_while_writing_leaves_a_whole_report(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writer = context.Process(target=write_forever, args=(tmp_path,))
    writer.start()
    end = time.monotonic() + 30
    while time.monotonic() < end and not list(tmp_path.glob("*.json")):
        time.sleep(0.01)
    time.sleep(0.2)
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join(10)
    notebook, said = store(tmp_path).load("/dump")
    assert notebook.blocks
    assert said == ""


def test_a_full_disk_is_said_and_what_was_there_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = store(tmp_path)
    notebook = one.save(added(one.load("/dump")[0], "old"))

    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(storage, "replace_file", full)
        with pytest.raises(StorageError, match=r"not saved.*No space left"):
            one.save(added(notebook, "new"))
    assert blocks(tmp_path) == ["old"]
    one.save(added(notebook, "new"))
    assert blocks(tmp_path) == ["old", "new"]


@pytest.mark.parametrize("damage", [b"", b"{", b'{"version": "x"}', b"\xff\x00"])
def test_a_damaged_report_is_put_aside_and_never_overwritten(tmp_path: Path, damage: bytes) -> None:
    one = store(tmp_path)
    one.save(added(one.load("/dump")[0], "old"))
    one.path.write_bytes(damage)
    other = store(tmp_path)
    notebook, said = other.load("/dump")
    assert "damaged" in said
    other.save(added(notebook, "new"))
    (aside,) = tmp_path.glob("*.damaged-1")
    assert aside.read_bytes() == damage
    assert blocks(tmp_path) == ["new"]


@pytest.mark.parametrize("content", [None, b"", b"{", b"[" * 100_000])
def test_a_report_that_goes_bad_while_it_is_open_is_written_again_whole(
    tmp_path: Path, content: bytes | None
) -> None:
    one = store(tmp_path)
    notebook = one.save(added(one.load("/dump")[0], "old"))
    if content is None:
        one.path.unlink()
    else:
        one.path.write_bytes(content)
    one.save(added(notebook, "new"))
    assert blocks(tmp_path) == ["old", "new"]


def test_a_report_is_read_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = store(tmp_path)
    one.save(added(one.load("/dump")[0], "old"))

    def read_only(path: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(storage, "locked", read_only)
    other = store(tmp_path)
    notebook, said = other.load("/dump")
    assert [block.question for block in notebook.blocks] == ["old"]
    assert said == ""
    with pytest.raises(StorageError, match="Read-only file system"):
        other.save(added(notebook, "new"))


def test_a_kscope_that_was_stopped_while_it_saves_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_LONGEST_WAIT_SECONDS", 0.1)
    one = store(tmp_path)
    notebook, _ = one.load("/dump")
    with files.locked(one.path), pytest.raises(StorageError, match="another kscope holds it"):
        one.save(added(notebook, "new"))
    one.save(added(notebook, "new"))
    assert blocks(tmp_path) == ["new"]


def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    one = store(tmp_path / "reports")
    one.save(added(one.load("/dump")[0], "secret"))
    assert one.path.stat().st_mode & 0o077 == 0
    assert one.path.parent.stat().st_mode & 0o077 == 0


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        store(tmp_path / "file").load("/dump")


def opened(path: Path) -> Target:
    return finish(open_target(OpenQuery(path=str(path))), None)


def test_a_copy_of_a_dump_has_its_fingerprint_and_a_changed_one_has_not(
    demo: Path, demo_target: Target, tmp_path: Path
) -> None:
    data = bytearray(demo.read_bytes())
    (tmp_path / "copy").write_bytes(data)
    original = fingerprint(demo_target, FingerprintQuery())
    assert fingerprint(opened(tmp_path / "copy"), FingerprintQuery()) == original
    data[-1] ^= 1
    (tmp_path / "other").write_bytes(data)
    assert fingerprint(opened(tmp_path / "other"), FingerprintQuery()) != original
