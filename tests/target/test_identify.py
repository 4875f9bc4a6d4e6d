"""What a file is, told from its content; what cannot be opened is named, with what to do."""

import contextlib
import errno
import lzma
import os
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscope.model.base import QueryError
from kscope.target.identify import identify


def refusal(path: Path) -> QueryError:
    with pytest.raises(QueryError) as caught:
        identify(str(path))
    assert caught.value.kind == "cannot-open"
    return caught.value


def test_the_bundled_dump_is_a_complete_filtered_kdump_of_its_release(demo: Path) -> None:
    identity = identify(str(demo)).identity
    assert (identity.format, identity.dump_level, identity.complete) == ("kdump", 31, True)
    assert identity.release.startswith("6.1.0-")
    assert identity.machine == "x86_64"
    assert len(identity.build_id) == 40


def test_every_cpu_of_the_bundled_dump_has_a_register_note(demo: Path) -> None:
    assert identify(str(demo)).prstatus_notes == 4


def test_a_name_says_nothing_about_a_format(demo: Path, tmp_path: Path) -> None:
    path = tmp_path / "holiday.jpg"
    path.symlink_to(demo)
    assert identify(str(path)).identity.format == "kdump"


def test_a_directory_is_the_vmcore_in_it(demo: Path, tmp_path: Path) -> None:
    (tmp_path / "vmcore").symlink_to(demo)
    (tmp_path / "vmcore-dmesg.txt").write_text("[    0.0] Linux version 6.1\n")
    assert identify(str(tmp_path)).identity.name == "vmcore"


def test_a_directory_with_only_a_log_is_that_log(tmp_path: Path) -> None:
    (tmp_path / "vmcore-dmesg.txt").write_text("[    0.000000] Linux version 6.1.0-9 (gcc)\n")
    identity = identify(str(tmp_path)).identity
    assert (identity.format, identity.release) == ("log", "6.1.0-9")


@pytest.mark.parametrize("lost", [1, 5000, 30 << 20])
def test_a_cut_off_kdump_says_how_many_bytes_it_lacks(
    demo: Path, tmp_path: Path, lost: int
) -> None:
    path = tmp_path / "vmcore"
    path.write_bytes(demo.read_bytes()[:-lost])
    identity = identify(str(path)).identity
    assert not identity.complete
    assert identity.missing_bytes == lost
    assert str(lost) in identity.incomplete_why


def test_a_kdump_cut_off_in_its_page_table_does_not_guess_what_it_lacks(
    demo: Path, tmp_path: Path
) -> None:
    path = tmp_path / "vmcore"
    path.write_bytes(demo.read_bytes()[:60_000])
    identity = identify(str(path)).identity
    assert (identity.complete, identity.missing_bytes) == (False, None)


@pytest.mark.parametrize(
    ("content", "sentence", "hint"),
    [
        (b"", "is empty", "was not written"),
        (b"just some notes\n", "is text, not a dump", "vmcores"),
        (b"\0" * 5000, "in no dump format", "vmcores"),
        (b"makedumpfile\0\0\0\0" + b"\0" * 99, "flattened", "makedumpfile -R vmcore <"),
        (lzma.compress(b"KDUMP   "), "is an xz file", "xz -dc"),
        (b"\x1f\x8b\x08" + b"\0" * 99, "is a gzip file", "gunzip"),
        (b"\x7fELF", "damaged ELF", "Copy it again"),
        (b"KDUMP   " + b"\xff" * 9000, "damaged kdump", "Copy it again"),
        (b"KDUMP   ", "damaged kdump: its header is cut off", "Copy it again"),
    ],
)
def test_what_is_no_dump_is_named_for_what_it_is(
    tmp_path: Path, content: bytes, sentence: str, hint: str
) -> None:
    path = tmp_path / "vmcore"
    path.write_bytes(content)
    error = refusal(path)
    assert sentence in error.sentence
    assert hint in error.hint


def test_a_program_is_not_a_dump() -> None:
    assert "ELF program" in refusal(Path("/proc/self/exe")).sentence


def test_a_file_that_does_not_exist_is_said_so(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "nothing").sentence


def test_an_empty_directory_is_said_so(tmp_path: Path) -> None:
    assert "no vmcore in it" in refusal(tmp_path).sentence


def test_a_device_that_is_no_disk_is_refused() -> None:
    assert "not a regular file" in refusal(Path("/dev/null")).sentence


def test_a_hostile_file_name_is_escaped(tmp_path: Path) -> None:
    path = tmp_path / "vm\x1b]52;c;AAAA\x07core"
    path.write_bytes(b"x")
    assert "\x1b" not in refusal(path).sentence


def test_memory_of_a_machine_that_drgn_cannot_read_is_refused(tmp_path: Path) -> None:
    header = b"\x7fELF\x01\x01\x01" + b"\0" * 9
    header += struct.pack("<HHIIIIIHHHHHH", 4, 3, 1, 0, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    note = struct.pack("<III", 11, 4, 0) + b"VMCOREINFO\0\0" + b"A=1\n"
    program_header = struct.pack("<IIIIIIII", 4, 84, 0, 0, len(note), 0, 0, 0)
    path = tmp_path / "vmcore"
    path.write_bytes(header + program_header + note)
    assert "memory of i386" in refusal(path).sentence


def test_a_header_that_claims_a_bitmap_larger_than_the_file_is_only_incomplete(
    demo: Path, tmp_path: Path
) -> None:
    head = bytearray(_head(demo))
    struct.pack_into("<I", head, 8 + 4 + 390 + 6 + 16 + 4 + 4 + 4, 0x7FFFFFFF)  # bitmap_blocks
    path = tmp_path / "vmcore"
    path.write_bytes(head)
    assert identify(str(path)).identity.missing_bytes is None


@settings(max_examples=150, deadline=None)
@given(edits=st.lists(st.tuples(st.integers(0, 9000), st.binary(min_size=1, max_size=8))))
def test_no_damage_to_the_headers_is_more_than_a_sentence(
    demo: Path, tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[int, bytes]]
) -> None:
    head = bytearray(_head(demo))
    for position, replacement in edits:
        head[position : position + len(replacement)] = replacement
    path = tmp_path_factory.getbasetemp() / "mutated"
    path.write_bytes(head)
    with contextlib.suppress(QueryError):
        assert identify(str(path)).identity.size_bytes == len(head)


def _head(demo: Path) -> bytes:
    with demo.open("rb") as file:
        return file.read(200_000)


@pytest.mark.parametrize(
    ("path", "error", "hint"),
    [
        ("/proc/kcore", errno.EPERM, "locked down"),
        ("/proc/kcore", errno.ENOENT, "CONFIG_PROC_KCORE"),
        ("/vmcore", errno.EACCES, "try sudo"),
        ("/vmcore", errno.ENOENT, "Check the path"),
    ],
)
def test_what_cannot_be_read_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, path: str, error: int, hint: str
) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(QueryError) as caught:
        identify(path)
    assert os.strerror(error) in caught.value.sentence
    assert hint in caught.value.hint
