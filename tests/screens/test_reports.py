"""The report of the dump that is open, without a screen."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from kscope.model.base import Progress, Query, QueryError
from kscope.model.fingerprint import Fingerprint, FingerprintQuery
from kscope.report.notebook import Block
from kscope.report.storage import Storage
from kscope.screens import reports
from kscope.screens.reports import Reports


async def test_it_is_saved_as_soon_as_it_is_known_which_dump_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reports, "_SAVE_AFTER_SECONDS", 0.0)
    monkeypatch.setattr(reports, "_RETRY_SECONDS", 0.0)
    answered = asyncio.Event()

    async def ask(
        query: Query[Fingerprint], progress: Callable[[Progress], None] | None = None
    ) -> Fingerprint:
        assert isinstance(query, FingerprintQuery)
        if not answered.is_set():
            raise QueryError("The worker was killed.", kind="worker-lost")
        return Fingerprint(build_id="b" * 40, content="c" * 40)

    report = Reports(ask, lambda: "/vmcore")  # type: ignore[arg-type]
    await report.open()
    report.add(Block(id="a", question="Who holds it?"))
    assert report.problem == "The worker was killed."
    assert not report.is_saved
    answered.set()
    async with asyncio.timeout(10):
        while not report.is_saved:
            await asyncio.sleep(0.01)
    await report.close()
    assert report.path is not None
    assert "Who holds it?" in report.path.read_text()


async def test_a_report_that_could_not_be_read_at_first_is_there_as_soon_as_it_can(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    dump = Fingerprint(build_id="b" * 40, content="c" * 40)

    async def ask(
        query: Query[Fingerprint], progress: Callable[[Progress], None] | None = None
    ) -> Fingerprint:
        return dump

    written = Storage(dump.build_id, dump.content)
    written.save(written.load("/vmcore")[0].added(Block(id="a", question="Who holds it?")))
    content = written.path.read_bytes()
    written.path.unlink()
    written.path.mkdir()
    report = Reports(ask, lambda: "/vmcore")  # type: ignore[arg-type]
    await report.open()
    assert "Is a directory" in report.problem
    written.path.rmdir()
    written.path.write_bytes(content)
    await report.refresh()
    assert [block.id for block in report.notebook.blocks] == ["a"]
    assert not report.problem
    await report.close()
