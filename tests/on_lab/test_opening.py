"""Every format opens, and every damaged dump shows what it can or says what it cannot."""

from pathlib import Path

import pytest

from kscope.kernel.log import log
from kscope.kernel.system import system
from kscope.model.base import QueryError
from kscope.model.log import LogQuery
from kscope.model.system import SystemQuery
from kscope.model.target import OpenQuery
from kscope.session.answering import finish
from kscope.target.identify import identify
from kscope.target.opening import open_target
from kscope.target.target import Target
from tests.lab.catalogue import find, live_guest

pytestmark = pytest.mark.lab


def opened(query: OpenQuery) -> Target:
    return finish(open_target(query), None)


def refusal(query: OpenQuery) -> QueryError:
    with pytest.raises(QueryError) as caught:
        opened(query)
    assert caught.value.kind == "cannot-open"
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("name", "compression"),
    [
        ("sysrq", "zlib"),
        ("kdump-lzo", "lzo"),
        ("kdump-snappy", "snappy"),
        ("kdump-zstd", "zstd"),
        ("kdump-uncompressed", ""),
    ],
)
def test_every_compression_opens_and_is_named(name: str, compression: str) -> None:
    target = opened(OpenQuery(path=str(find(name).vmcore)))
    assert target.identity.compression == compression
    assert target.identity.complete
    assert system(target, SystemQuery()).tasks


@pytest.mark.parametrize("series", ["6.1", "6.12"])
def test_an_elf_of_a_guest_that_did_not_panic_opens(series: str) -> None:
    answer = system(opened(OpenQuery(path=str(find("deadlock", series).vmcore))), SystemQuery())
    assert answer.panic_task is None
    assert answer.panic_message == ""
    assert answer.tasks
    assert answer.unreadable == ()


def test_a_directory_of_kdump_service_opens() -> None:
    assert opened(OpenQuery(path=str(find("sysrq").directory))).identity.name == "vmcore"


def test_the_log_beside_a_dump_opens_without_the_dump() -> None:
    dump = find("sysrq")
    target = opened(OpenQuery(path=str(dump.log)))
    assert system(target, SystemQuery()).panic_message == (
        "Kernel panic - not syncing: sysrq triggered crash"
    )
    assert log(target, LogQuery()).reports[-1].kind == "panic"


def test_a_vmlinux_of_another_kernel_is_refused_with_both_build_ids() -> None:
    dump = find("wrong-vmlinux")
    error = refusal(OpenQuery(path=str(dump.vmcore), vmlinux=str(dump.vmlinux)))
    wanted = identify(str(dump.vmcore)).identity.build_id
    assert f"wanted {wanted}, found " in error.sentence


def test_a_flattened_dump_is_told_how_to_be_rearranged() -> None:
    assert "makedumpfile -R" in refusal(OpenQuery(path=str(find("flattened").vmcore))).hint


@pytest.mark.parametrize("name", ["empty", "text", "damaged-header"])
def test_what_cannot_be_opened_is_one_sentence(name: str) -> None:
    error = refusal(OpenQuery(path=str(find(name).vmcore)))
    assert error.sentence.endswith(".")
    assert "\n" not in error.sentence


def test_a_damaged_header_is_said_to_be_that_not_what_reading_it_led_to() -> None:
    error = refusal(OpenQuery(path=str(find("damaged-header").vmcore)))
    assert "cannot be opened: its header is damaged" in error.sentence


@pytest.mark.parametrize("name", ["truncated-kdump", "truncated-elf"])
def test_a_truncated_dump_says_how_much_it_lacks_and_opens(name: str) -> None:
    dump = find(name)
    target = opened(OpenQuery(path=str(dump.vmcore)))
    assert not target.identity.complete
    assert target.identity.missing_bytes
    answer = system(target, SystemQuery())
    assert answer.release == dump.release
    assert answer.unreadable


def test_a_dump_damaged_in_its_middle_opens_and_says_what_it_cannot_read() -> None:
    target = opened(OpenQuery(path=str(find("damaged-middle").vmcore)))
    assert system(target, SystemQuery()).release


def test_without_types_identity_and_log_are_still_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from kscope.target import btf

    def refuse(_program: object) -> None:
        raise btf.BtfError("This kernel was built without BTF.")

    monkeypatch.setattr("kscope.target.opening.btf.load", refuse)
    dump = find("sysrq")
    target = opened(OpenQuery(path=str(dump.vmcore)))
    assert target.debug_info.types == "none"
    assert target.debug_info.missing == ("This kernel was built without BTF.",)
    assert len(log(target, LogQuery()).records) > 100
    assert system(target, SystemQuery()).release == dump.release


def test_a_running_guest_opens_by_its_qmp_socket() -> None:
    with live_guest("6.1") as socket:
        target = opened(OpenQuery(qemu=str(socket)))
        assert target.identity.live
        assert target.identity.release.startswith("6.1")
        answer = system(target, SystemQuery())
        assert answer.cpus == 4
        assert answer.panic_task is None


def test_a_socket_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    assert "drgn cannot open" in refusal(OpenQuery(qemu=str(tmp_path / "nothing"))).sentence
