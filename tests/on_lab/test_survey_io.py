"""The survey of guests with a disk that does not answer, a frozen filesystem, and no memory."""

import re

import pytest

from kscope.model.survey import Survey
from tests.lab.catalogue import LabDump, find
from tests.on_lab.surveys import of_rule, surveyed

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def dump(series: str) -> LabDump:
    return find("io-stuck", series)


@pytest.fixture(scope="module")
def low(series: str, types: str) -> Survey:
    return surveyed("memory-low", series, types)


def test_a_frozen_filesystem_is_named_with_where_it_is_mounted_and_who_waits(
    dump: LabDump, survey: Survey
) -> None:
    (finding,) = of_rule(survey, "frozen-filesystems")
    assert finding.title.startswith("ext4 on vda (/frozen) is frozen: 2 tasks blocked for ")
    assert set(finding.tasks) == {
        dump.task("frozenwriter")["pid"], dump.task("frozenmaker")["pid"]
    }  # fmt: skip


def test_the_disk_that_does_not_answer_is_named_with_its_requests_and_who_waits(
    dump: LabDump, survey: Survey
) -> None:
    (finding,) = of_rule(survey, "block-requests")
    assert finding.title.startswith("vdb does not answer: ")
    assert any(
        re.match(r"read of \d+ bytes at sector \d+, [2-9]\d s old", e.text)
        for e in finding.evidence
    )
    expected = {dump.task(comm)["pid"] for comm in ("dbscan", "reader", "sharer", "committer")}
    assert expected <= set(finding.tasks)


def test_a_writer_that_is_throttled_wakes_every_few_ms_and_yet_waits_for_the_disk(
    dump: LabDump, survey: Survey
) -> None:
    (finding,) = of_rule(survey, "block-requests")
    assert dump.task("dirtier")["pid"] in finding.tasks


def test_causes_come_before_the_queues_behind_their_victims(survey: Survey) -> None:
    rules = [finding.rule for finding in survey.findings]
    assert rules.index("block-requests") < rules.index("lock-chain")
    assert rules.index("frozen-filesystems") < rules.index("lock-chain")


def test_every_task_that_is_blocked_is_told_of(dump: LabDump, survey: Survey) -> None:
    told = {pid for finding in survey.findings for pid in finding.tasks}
    blocked = {task["pid"] for task in dump.manifest["tasks"] if task.get("state") == "UN"}
    assert blocked <= told


def test_no_blocked_task_has_a_finding_of_its_own_if_another_tells_of_it(survey: Survey) -> None:
    alone = [pid for finding in of_rule(survey, "blocked-tasks") for pid in finding.tasks]
    others = {
        pid for finding in survey.findings if finding.rule != "blocked-tasks"
        for pid in finding.tasks
    }  # fmt: skip
    assert not others & set(alone)
    assert len(alone) == len(set(alone))


def test_who_waits_behind_a_victim_of_the_disk_is_told_so(survey: Survey) -> None:
    chains = [f for f in of_rule(survey, "lock-chain") if "vdb does not answer" in f.explanation]
    assert chains
    assert any("f_pos_lock" in finding.title for finding in chains)


def test_who_waits_in_interruptible_sleep_is_no_finding(dump: LabDump, survey: Survey) -> None:
    told = {pid for finding in survey.findings for pid in finding.tasks}
    assert not told & {dump.task("patient")["pid"], dump.task("sempatient")["pid"]}


def test_memory_that_nobody_can_reclaim_names_the_shrinker_and_who_waits(
    series: str, low: Survey
) -> None:
    dump = find("memory-low", series)
    (finding,) = of_rule(low, "memory-exhausted")
    assert "wait for reclaim, kswapd among them" in finding.explanation
    assert "storlab_shrink_scan()" in finding.explanation
    hogs = {task["pid"] for task in dump.manifest["tasks"] if task["doing"] == "hog-until-stuck"}
    assert hogs <= set(finding.tasks)


def test_the_zones_are_judged_as_an_allocation_would(low: Survey) -> None:
    (finding,) = of_rule(low, "memory-exhausted")
    zones = [evidence.text for evidence in finding.evidence if evidence.label.startswith("zone")]
    assert len(zones) == 2  # DMA and DMA32
    assert ("No zone has more free" in finding.explanation) == all(
        zone.endswith("exhausted") for zone in zones
    )
    assert finding.title.startswith("Memory is exhausted") == all(
        zone.endswith("exhausted") for zone in zones
    )


def test_the_largest_processes_are_those_that_took_the_memory(series: str, low: Survey) -> None:
    dump = find("memory-low", series)
    (finding,) = of_rule(low, "memory-exhausted")
    processes = [e.label for e in finding.evidence if e.text.startswith("RSS")]
    hogs = {f"{t['comm']} {t['pid']}" for t in dump.manifest["tasks"]
            if t["doing"] == "hog-until-stuck"}  # fmt: skip
    assert set(processes[:2]) == hogs
