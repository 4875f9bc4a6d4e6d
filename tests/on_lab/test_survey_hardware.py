"""The surveys of guests whose hardware reported errors: one that it died of, others corrected.

Debian 12's own 6.1 is configured without machine checks.
"""

import shutil
from pathlib import Path
from typing import Any

import pytest

from kscope.headless import open_here
from kscope.model.survey import Finding, Survey, SurveyQuery
from kscope.model.target import OpenQuery
from kscope.session.answering import answer
from tests.lab.catalogue import LabDump, find
from tests.lab.kernel import NEWEST
from tests.lab.oracle import crash
from tests.on_lab.opening import find_or_skip
from tests.on_lab.surveys import of_rule, surveyed

pytestmark = pytest.mark.lab


def hardware_error(dump: LabDump, *, corrected: bool) -> dict[str, Any]:
    errors: list[dict[str, Any]] = dump.manifest["hardware_errors"]
    (error,) = (error for error in errors if error["corrected"] == corrected)
    return error


@pytest.fixture(scope="module")
def dump() -> LabDump:
    return find("machine-check", "6.12")


@pytest.fixture(scope="module")
def fatal(dump: LabDump) -> dict[str, Any]:
    return hardware_error(dump, corrected=False)


@pytest.fixture(scope="module")
def corrected(dump: LabDump) -> dict[str, Any]:
    return hardware_error(dump, corrected=True)


@pytest.fixture(scope="module")
def finding(survey: Survey) -> Finding:
    (finding,) = of_rule(survey, "panic-machine-check")
    return finding


def words_of(error: dict[str, Any]) -> list[str]:
    """Bank, status and address as findings write them."""
    status, address = (error[name].removeprefix("0x") for name in ("status", "address"))
    return [f"bank {error['bank']}, status {status}", f"physical address {address}"]


def test_a_machine_check_is_that_kind_of_panic_by_stack_message_and_log(
    dump: LabDump, survey: Survey
) -> None:
    assert survey.panic.kind == "machine-check"
    assert survey.panic.cpu == dump.manifest["panic"]["cpu"]
    assert {"way into panic()", "panic message", "last report in the log"} <= {
        evidence.label for evidence in survey.panic.agreeing
    }
    assert survey.panic.conflicting == ()


def test_the_title_says_which_cpu_and_bank_and_what_failed(
    fatal: dict[str, Any], finding: Finding
) -> None:
    assert finding.title == (
        f"Machine check on CPU {fatal['cpu']}: level 1 data cache error (data read), "
        f"bank {fatal['bank']}"
    )


def test_the_bank_is_read_from_the_kernels_record_and_from_its_log(
    fatal: dict[str, Any], finding: Finding
) -> None:
    told = [e for e in finding.evidence if all(words in e.text for words in words_of(fatal))]
    assert [evidence.crash.partition(" ")[0] for evidence in told] == ["struct", "log"]


def test_crash_sees_the_same_in_the_record(
    dump: LabDump, fatal: dict[str, Any], finding: Finding
) -> None:
    (said,) = crash(dump, [finding.evidence[0].crash])
    members = dict(line.strip(" ,").split(" = ") for line in said.splitlines() if " = " in line)
    assert int(members["status"]) == int(fatal["status"], 16)
    assert int(members["addr"]) == int(fatal["address"], 16)
    # An 8-bit member comes with its character.
    assert int(members["bank"].split()[0]) == fatal["bank"]
    assert int(members["extcpu"]) == fatal["cpu"]


def test_the_task_that_ran_there_is_not_blamed(dump: LabDump, finding: Finding) -> None:
    assert finding.tasks == (dump.task("busy")["pid"],)
    assert finding.blameless


def test_a_corrected_error_before_it_is_a_note_of_its_own(
    corrected: dict[str, Any], survey: Survey
) -> None:
    (note,) = of_rule(survey, "hardware-errors")
    assert (note.severity, note.cpus) == ("info", (corrected["cpu"],))
    assert all(words in note.evidence[0].text for words in words_of(corrected))


def test_the_log_alone_says_the_same_of_it(dump: LabDump, tmp_path: Path) -> None:
    alone = tmp_path / "vmcore-dmesg.txt"
    shutil.copy(dump.log, alone)
    survey = answer(open_here(OpenQuery(path=str(alone))), SurveyQuery())
    assert survey.panic.kind == "machine-check"
    assert survey.findings[0].title.startswith("Machine check on CPU 1: level 1 data cache error")


def test_the_newest_kernels_record_of_it_is_read_as_well() -> None:
    newest = find_or_skip("machine-check", NEWEST)
    (finding,) = of_rule(surveyed(newest.name, newest.series), "panic-machine-check")
    assert finding.evidence[0].crash.startswith("struct mce.")
    words = words_of(hardware_error(newest, corrected=False))
    assert all(word in finding.evidence[0].text for word in words)


def test_an_nmi_after_a_corrected_error_tells_of_that_error(types: str) -> None:
    error = hardware_error(find("unknown-nmi", "6.12"), corrected=True)
    (nmi,) = surveyed("unknown-nmi", "6.12", types).findings
    assert nmi.severity == "warning"
    assert any(all(words in e.text for words in words_of(error)) for e in nmi.evidence)
    assert "errors that it had corrected" in nmi.explanation


def test_an_nmi_without_any_error_says_that_none_is_in_the_log(types: str) -> None:
    (nmi,) = surveyed("unknown-nmi", "6.1", types).findings
    assert nmi.severity == "info"
    assert "No hardware error is in the log." in nmi.explanation
