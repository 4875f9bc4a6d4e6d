"""``kscope`` alone: the dumps of this machine, to choose from."""

import os
from pathlib import Path

import pytest

from kscope import offers
from kscope.chooser import ChooserApp
from kscope.config import Config
from kscope.offers import Offer
from kscope.widgets.line import plain
from kscope.widgets.text_view import TextView


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without dumps: /var/crash, /etc and the current directory are empty ones."""
    for name in ("crash", "etc", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(offers, "DEFAULT_PATH", tmp_path / "crash")
    monkeypatch.setattr(offers, "KDUMP_CONF", tmp_path / "etc/kdump.conf")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def put(demo: Path, path: Path, written_seconds: int) -> Path:
    """The beginning of a dump at ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with demo.open("rb") as file:
        path.write_bytes(file.read(1 << 20))
    os.utime(path, (written_seconds, written_seconds))
    return path


def test_the_dumps_of_the_machine_are_offered_newest_first_and_the_demo_last(
    demo: Path, places: Path
) -> None:
    (places / "etc/kdump.conf").write_text(f"# where to\npath {places}/nfs\ncore_collector x\n")
    oldest = put(demo, places / "here/vmcore", 1_000_000)
    newest = put(demo, places / "crash/127.0.0.1-2026/vmcore", 3_000_000)
    middle = put(demo, places / "nfs/host/vmcore", 2_000_000)
    (places / "here/notes.txt").write_text("no dump")
    listed = offers.offers()
    assert [offer.path for offer in listed] == [str(newest), str(middle), str(oldest), "demo"]
    assert "6.1.0-" in listed[0].what
    assert "incomplete" in listed[0].what


def test_a_dump_opened_lately_is_offered_wherever_it_lies_also_through_a_link(
    demo: Path, places: Path
) -> None:
    dump = put(demo, places / "elsewhere/deep/down/vmcore", 1_000_000)
    (places / "link").symlink_to(dump)
    offers.remember_opened(str(places / "link"))
    assert [(offer.path, offer.opened_before) for offer in offers.offers()] == [
        (str(dump), True),
        ("demo", False),
    ]


def test_a_dump_that_is_gone_is_not_offered(demo: Path, places: Path) -> None:
    offers.remember_opened(str(put(demo, places / "elsewhere/vmcore", 1_000_000)))
    (places / "elsewhere/vmcore").unlink()
    assert [offer.path for offer in offers.offers()] == ["demo"]


FOUND = [
    Offer("/var/crash/127.0.0.1-2026-11-23-08:40:18/vmcore", 1_000_000, "6.1.0, kdump", True),
    Offer("/srv/[red]/vmcore", 900_000, "5.14.0, elf", False),
    Offer("demo", None, "the dump that comes with kscope", False),
]


def test_a_current_directory_that_is_gone_holds_no_dumps(places: Path) -> None:
    (places / "here").rmdir()
    assert [offer.path for offer in offers.offers()] == ["demo"]
    offers.remember_opened("vmcore")


def test_the_kernels_own_files_are_not_looked_into(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading ``/proc/kmsg`` waits for the next message, and takes it from others."""
    monkeypatch.chdir("/proc/self")
    looked_into: list[Path] = []
    monkeypatch.setattr(offers, "_may_be_dump", looked_into.append)
    offers.offers()
    assert looked_into == []


def test_a_path_that_is_no_text_is_not_kept_and_no_error(places: Path) -> None:
    offers.remember_opened("/od\udcff/vmcore")
    assert offers.recently_opened() == []


@pytest.mark.parametrize("width", [40, 80])
async def test_each_dump_is_shown_with_the_end_of_its_path_and_what_it_is(width: int) -> None:
    app = ChooserApp(FOUND, Config())
    async with app.run_test(size=(width, 24)):
        shown = app.query_one(TextView)
        lines = [plain(shown.line_at(index, 200)) for index in range(shown.line_count())]
    assert len(lines) == 6
    assert all(len(line) <= width - 4 for line in (lines[0], lines[2], lines[4]))
    assert lines[0].endswith("08:40:18/vmcore")
    assert lines[1].strip() == "6.1.0, kdump  opened before"
    assert lines[2].endswith("/srv/[red]/vmcore")
    assert "1970" in lines[0]


async def test_enter_chooses_the_dump_under_the_cursor() -> None:
    app = ChooserApp(FOUND, Config())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("down", "enter")
    assert app.return_value == "/srv/[red]/vmcore"


async def test_q_chooses_none() -> None:
    app = ChooserApp(FOUND, Config())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("down", "q")
    assert app.return_value == ""


async def test_the_readers_own_keys_count_here_too() -> None:
    app = ChooserApp(FOUND, Config(keys={"chooser.open": "x"}))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("down", "x")
    assert app.return_value == "/srv/[red]/vmcore"
