"""The survey of each of the lab's dumps: kind, culprits, findings; with DWARF and with BTF."""

import contextlib
import io
import time

import pytest

from kscope.dialect.survey import text
from kscope.headless import open_here
from kscope.model.survey import Survey, SurveyQuery
from kscope.model.target import OpenQuery
from kscope.session.answering import answer
from tests.lab.catalogue import LabDump, find, find_all
from tests.on_lab.opening import open_lab
from tests.on_lab.surveys import of_rule, surveyed

pytestmark = pytest.mark.lab

FAILED = (
    "bug", "warn", "null-deref", "bad-page-fault", "general-protection", "oom", "hung-task",
    "soft-lockup", "rcu-stall", "demo",
)  # fmt: skip
"""Guests whose kernel failed, with somebody to blame."""

SOUND = ("sysrq", "offline-cpu", "cpus64", "many")
"""Guests with nothing wrong in them, however they were dumped."""

STUCK = (
    "deadlock", "hard-lockup", "io-stuck", "memory-low", "stuck-cpus", "deferred-work",
    "remote-stuck",
)  # fmt: skip
"""Guests that did not panic and have something wrong."""


WRONG = {
    "demo": ("deadlock", "lock-chain", "stuck-work"),
    "deadlock": ("deadlock", "lock-chain", "stuck-work", "blocked-tasks"),
    "soft-lockup": ("cpu-stuck",),
    "hung-task": ("lock-chain",),
    "hard-lockup": ("interrupts-off", "cpu-stuck"),
    "panic-stopped": ("interrupts-off",),
    "stuck-cpus": (
        "interrupts-off", "cpu-stuck", "rcu-stall", "unanswered-ipis", "starved-tasks",
        "earlier-reports",
    ),
    "io-stuck": ("frozen-filesystems", "block-requests", "lock-chain", "blocked-tasks"),
    "memory-low": ("memory-exhausted",),
    "remote-stuck": ("remote-filesystems", "lock-chain"),
    "deferred-work": ("cpu-stuck", "stuck-work", "earlier-reports"),
    "machine-check": ("hardware-errors",),
}  # fmt: skip
"""By guest, what may be found besides how it died. In all others, nothing is wrong."""

UNREADABLE = ("flattened", "wrong-vmlinux")


@pytest.fixture(params=[*FAILED, *SOUND, *STUCK, "unknown-nmi"], scope="module")
def dump(request: pytest.FixtureRequest, series: str) -> LabDump:
    return find(request.param, series)


def test_the_kind_of_panic_is_the_guests(dump: LabDump, survey: Survey) -> None:
    assert survey.panic.kind == dump.manifest["panic"]["kind"]


def test_the_panic_is_proved_by_more_than_one_source(survey: Survey) -> None:
    assert survey.panic.kind == "none" or len(survey.panic.agreeing) >= 2


def test_no_source_speaks_against_the_kind(survey: Survey) -> None:
    assert survey.panic.conflicting == ()


def test_the_panic_task_and_cpu_are_the_guests(dump: LabDump, survey: Survey) -> None:
    expected = {k: v for k, v in dump.manifest["panic"].items() if v is not None and k != "kind"}
    found = {name: getattr(survey.panic, name) for name in expected}
    assert found == expected


def test_the_first_finding_names_a_culprit(dump: LabDump, survey: Survey) -> None:
    culprits = set(dump.manifest["culprits"])
    if culprits:
        assert culprits & set(survey.findings[0].tasks[: len(culprits)])


def test_every_finding_has_evidence_with_its_values(survey: Survey) -> None:
    for finding in survey.findings:
        assert finding.evidence
        assert all(evidence.text for evidence in finding.evidence)


def test_all_rules_ran(survey: Survey) -> None:
    unable = [rule for rule in survey.rules if rule.outcome not in ("found", "nothing")]
    assert unable == []


@pytest.mark.parametrize("dump", find_all(), ids=lambda dump: f"{dump.series}-{dump.name}")
def test_nothing_is_found_that_the_guest_did_not_have(dump: LabDump, types: str) -> None:
    if dump.manifest.get("damage") or "qemu" in dump.name or dump.name in UNREADABLE:
        pytest.skip("not a sound dump of a known guest")
    found = {finding.rule for finding in surveyed(dump.name, dump.series, types).findings}
    about_the_panic = {rule for rule in found if rule.startswith("panic-")} | {"taints"}
    assert found - about_the_panic <= set(WRONG.get(dump.name, ()))


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_guest_has_no_finding_but_how_it_was_crashed(
    name: str, series: str, types: str
) -> None:
    survey = surveyed(name, series, types)
    assert [f.rule for f in survey.findings if not f.rule.startswith("panic-")] == []
    assert all(finding.severity == "info" for finding in survey.findings)


@pytest.mark.parametrize("name", ["deadlock", "demo"])
def test_the_deadlock_is_found_once_with_those_who_are_in_it_and_behind_it(
    name: str, series: str, types: str
) -> None:
    dump = find(name, series)
    (finding,) = of_rule(surveyed(name, series, types), "deadlock")
    (cycle,) = dump.manifest["cycles"]
    names = {lock["name"]: lock for lock in dump.manifest["locks"]}
    queued = {w["pid"] for lock in ("storlab_a", "storlab_b") for w in names[lock]["waiters"]}
    assert sorted(finding.tasks[:2]) == cycle
    assert set(finding.tasks) == queued | set(cycle)


def test_the_cause_of_a_hung_task_panic_comes_before_the_panic(series: str, types: str) -> None:
    rules = [finding.rule for finding in surveyed("demo", series, types).findings]
    assert rules.index("deadlock") < rules.index("panic-hung-task")


@pytest.mark.parametrize("lock", ["storlab_rw", "storlab_rt"])
def test_the_queues_behind_an_rwsem_and_an_rt_mutex_are_found(
    lock: str, series: str, types: str
) -> None:
    dump = find("demo", series)
    expected = dump.lock(lock)
    address = int(expected["address"], 16)
    (finding,) = (
        finding
        for finding in of_rule(surveyed("demo", series, types), "lock-chain")
        if address in finding.locks
    )
    assert finding.tasks[0] == expected["holders"][0]["pid"]
    assert {waiter["pid"] for waiter in expected["waiters"]} <= set(finding.tasks)


def test_the_stuck_work_item_is_found_with_who_flushes_it(series: str, types: str) -> None:
    dump = find("demo", series)
    (finding,) = of_rule(surveyed("demo", series, types), "stuck-work")
    assert "storlab_flush_fn" in finding.title
    assert dump.task("flushd")["pid"] in finding.tasks


def test_a_cpu_with_interrupts_off_is_found_without_a_detector(series: str, types: str) -> None:
    dump = find("hard-lockup", series)
    survey = surveyed("hard-lockup", series, types)
    (finding,) = of_rule(survey, "interrupts-off")
    assert finding == survey.findings[0]
    assert finding.tasks == tuple(dump.manifest["culprits"])
    assert finding.cpus == (dump.task("stuck")["pinned_to"],)


def test_who_spins_for_a_lock_is_a_victim_of_its_holder(series: str, types: str) -> None:
    dump = find("soft-lockup", series)
    (finding,) = of_rule(surveyed("soft-lockup", series, types), "cpu-stuck")
    assert finding.tasks == (dump.task("lockwaiter")["pid"], dump.task("spinner")["pid"])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("bug", "storlab/crashes.c:"),
        ("warn", "request 42 is not in the queue"),
        ("null-deref", "RDI is a NULL pointer"),
        ("general-protection", "slab poison 0x6b: used after it was freed"),
        ("bad-page-fault", "read from 0xffffeb0000001008"),
    ],
)
def test_a_fault_is_explained_by_its_instruction_and_registers(
    name: str, words: str, series: str, types: str
) -> None:
    finding = surveyed(name, series, types).findings[0]
    assert words in finding.title + finding.explanation
    assert any(evidence.label == "module storlab" for evidence in finding.evidence)


def test_a_sysrq_crash_names_who_wrote_to_the_trigger(series: str, types: str) -> None:
    dump = find("sysrq", series)
    (finding,) = of_rule(surveyed("sysrq", series, types), "panic-sysrq")
    (who,) = (evidence for evidence in finding.evidence if evidence.label == "who")
    assert who.text == f"crasher {dump.task('crasher')['pid']} <- init 1"


def test_out_of_memory_lists_the_largest_process_first(series: str, types: str) -> None:
    dump = find("oom", series)
    (finding,) = of_rule(surveyed("oom", series, types), "panic-oom")
    assert finding.evidence[0].label == f"memhog {dump.task('memhog')['pid']}"
    assert any(evidence.label == "OOM report" for evidence in finding.evidence)


def test_an_rcu_stall_names_the_reader_and_its_cpu(series: str, types: str) -> None:
    dump = find("rcu-stall", series)
    (finding,) = of_rule(surveyed("rcu-stall", series, types), "panic-rcu-stall")
    hog = dump.task("rcuhog")
    assert finding.tasks == (hog["pid"],)
    # Another CPU may follow, the one that saw the stall.
    assert finding.cpus[0] == hog["pinned_to"]


@pytest.mark.parametrize("name", [*FAILED, *STUCK])
def test_the_drgn_code_of_every_evidence_runs(name: str, series: str, types: str) -> None:
    findings = surveyed(name, series, types).findings
    codes = {e.drgn for finding in findings for e in finding.evidence if e.drgn}
    assert codes
    program = open_lab(name, series, types).program
    for code in codes:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(code, {"prog": program})


@pytest.mark.parametrize(
    ("name", "series"),
    [
        ("damaged-middle", "6.1"),
        ("truncated-elf", "6.1"),
        ("truncated-kdump", "6.1"),
        ("overfiltered", "6.12"),
    ],
)
def test_a_damaged_dump_is_surveyed_in_time(name: str, series: str) -> None:
    query = OpenQuery(path=str(find(name, series).vmcore))
    start = time.monotonic()
    answer(open_here(query), SurveyQuery())
    assert time.monotonic() - start < 20


def test_no_pid_is_made_up_for_a_task_whose_own_cannot_be_read() -> None:
    survey = surveyed("overfiltered", "6.12")
    assert all(pid >= 0 for each in survey.findings for pid in each.tasks)


def test_an_overfiltered_dump_says_what_was_not_looked_at() -> None:
    survey = surveyed("overfiltered", "6.12")
    assert any("excluded" in each.why for each in survey.unreadable)


def test_a_dump_without_types_says_which_rules_did_not_run_and_why() -> None:
    survey = surveyed("truncated-kdump", "6.1")
    unable = [rule for rule in survey.rules if rule.outcome == "not run"]
    assert unable
    assert all("types" in rule.why for rule in unable)


def test_a_dump_without_its_log_does_not_claim_that_the_machine_lived() -> None:
    survey = surveyed("truncated-elf", "6.1")
    if not any("log" in each.what for each in survey.unreadable):
        pytest.skip("in this dump the log lies in front of the cut")
    assert "PANIC    not known: the log cannot be read" in text(SurveyQuery(), survey)


def test_a_dump_of_which_nothing_can_be_read_says_where_the_log_may_be() -> None:
    (finding,) = surveyed("truncated-kdump", "6.1").findings
    assert "vmcore-dmesg.txt" in finding.explanation


def test_dumps_of_two_kernels_that_died_alike_have_one_signature() -> None:
    assert surveyed("null-deref", "6.1").signature == surveyed("null-deref", "6.12").signature


@pytest.mark.parametrize("name", ["sysrq", "null-deref", "oom", "soft-lockup", "rcu-stall"])
def test_the_log_alone_tells_the_kind_and_the_task_and_invents_nothing(
    name: str, series: str
) -> None:
    dump = find(name, series)
    survey = answer(open_here(OpenQuery(path=str(dump.log))), SurveyQuery())
    assert survey.panic.kind == dump.manifest["panic"]["kind"]
    assert survey.panic.task is None
    if dump.manifest["panic"]["pid"] is not None:
        assert survey.panic.pid == dump.manifest["panic"]["pid"]
    assert len(survey.findings) == 1
