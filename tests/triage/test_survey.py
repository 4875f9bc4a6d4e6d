"""How the survey runs its rules, on the bundled dump."""

import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from drgn import FaultError, Program
from drgn.helpers.linux.pid import find_task

from kscope.kernel.machine.memory_zones import Zone
from kscope.model.base import Part, QueryError
from kscope.model.codec import from_json, to_json
from kscope.model.durations import in_words
from kscope.model.survey import Evidence, Finding, Survey, SurveyQuery
from kscope.model.target import OpenQuery
from kscope.session.answering import answer, finish
from kscope.target.opening import open_target
from kscope.target.target import Target
from kscope.triage import facts as triage_facts
from kscope.triage import survey as surveying
from kscope.triage.facts import Facts
from kscope.triage.rule import Rule
from kscope.triage.rules import all_rules, blocked_tasks, memory_exhausted
from tests.kernel.excluding import exclude


def finding(title: str, *, severity: str = "warning", rank: int = 50) -> Finding:
    return Finding(
        rule="test", severity=severity, title=title, explanation="", rank=rank,  # type: ignore[arg-type]
        evidence=(Evidence(label="seen", text="1"),),
    )  # fmt: skip


def run(target: Target, monkeypatch: pytest.MonkeyPatch, *rules: Rule) -> Survey:
    monkeypatch.setattr(surveying, "all_rules", lambda: list(rules))
    return answer(target, SurveyQuery())


@pytest.fixture(scope="module")
def survey(demo_target: Target) -> Survey:
    return answer(demo_target, SurveyQuery())


def test_the_verdict_is_the_first_findings_title(survey: Survey) -> None:
    assert survey.verdict == survey.findings[0].title
    assert survey.verdict.startswith("Deadlock: ")


def test_a_title_says_for_how_long_it_has_been_so(survey: Survey) -> None:
    lasting = [finding for finding in survey.findings if finding.duration_ns is not None]
    assert {"deadlock", "lock-chain", "stuck-work", "panic-hung-task"} == {
        finding.rule for finding in lasting
    }
    for finding in lasting:
        assert f"for {in_words(finding.duration_ns)}" in finding.title


def test_the_panic_is_classified_with_its_task(survey: Survey) -> None:
    assert (survey.panic.kind, survey.panic.comm) == ("hung-task", "khungtaskd")


def test_the_cause_comes_before_the_panic_that_ended_it(survey: Survey) -> None:
    rules = [finding.rule for finding in survey.findings]
    assert rules.index("deadlock") < rules.index("panic-hung-task")


def test_findings_come_as_their_rules_end(demo_target: Target) -> None:
    parts = [
        step.result
        for step in surveying.survey(demo_target, SurveyQuery())
        if isinstance(step, Part)
    ]
    assert len(parts) == len(all_rules())
    ended = [sum(rule.outcome != "waiting" for rule in part.rules) for part in parts]
    assert ended == list(range(1, len(parts) + 1))


def test_one_rule_can_be_asked_for(demo_target: Target) -> None:
    result = answer(demo_target, SurveyQuery(rule="deadlock"))
    assert [finding.rule for finding in result.findings] == ["deadlock"]
    assert [report.rule for report in result.rules] == ["deadlock"]


def test_an_unknown_rule_is_refused_with_the_names_there_are(demo_target: Target) -> None:
    with pytest.raises(QueryError, match="deadlock"):
        answer(demo_target, SurveyQuery(rule="lockdeath"))


def test_each_rule_has_a_name_and_says_what_it_looks_for() -> None:
    rules = all_rules()
    assert len({rule.name for rule in rules}) == len(rules)
    assert all(rule.about for rule in rules)


def test_a_rule_that_fails_says_why_and_the_others_go_on(
    demo_target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(facts: Facts) -> Iterable[Finding]:
        return [finding(str(facts.program["no_such_variable"]))]

    def finds(facts: Facts) -> Iterable[Finding]:
        return [finding("found")]

    result = run(demo_target, monkeypatch, Rule("a", "a", fails), Rule("b", "b", finds))
    assert [(report.outcome, bool(report.why)) for report in result.rules] == [
        ("failed", True),
        ("found", False),
    ]
    assert [found.title for found in result.findings] == ["found"]


def test_a_rule_that_takes_too_long_is_stopped_and_keeps_what_it_found(
    demo_target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(facts: Facts) -> Iterable[Finding]:
        yield finding("before")
        while True:
            time.sleep(0.01)

    result = run(demo_target, monkeypatch, Rule("slow", "slow", endless, seconds=0.1))
    assert result.rules[0].outcome == "out of time"
    assert [found.title for found in result.findings] == ["before"]


def test_a_rule_is_not_run_where_what_it_needs_is_missing(
    demo_target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(facts: Facts) -> Iterable[Finding]:
        raise AssertionError("it was run")

    result = run(
        demo_target,
        monkeypatch,
        Rule("variable", "v", check, needs=("no_such_variable",)),
        Rule("type", "t", check, needs=("struct no_such_type",)),
    )
    assert [report.outcome for report in result.rules] == ["not run", "not run"]
    assert "no_such_variable" in result.rules[0].why


def test_a_finding_without_evidence_is_none(
    demo_target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(facts: Facts) -> Iterable[Finding]:
        return [Finding(rule="test", severity="warning", title="?", explanation="", evidence=())]

    result = run(demo_target, monkeypatch, Rule("guess", "guess", check))
    assert result.findings == ()


def test_findings_are_ranked_by_severity_then_cause(
    demo_target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(facts: Facts) -> Iterable[Finding]:
        return [
            finding("note", severity="info", rank=1),
            finding("victim", severity="critical", rank=60),
            finding("cause", severity="critical", rank=2),
        ]

    result = run(demo_target, monkeypatch, Rule("all", "all", check))
    assert [found.title for found in result.findings] == ["cause", "victim", "note"]


def test_the_json_names_are_those_that_others_rely_on(survey: Survey) -> None:
    text = to_json(survey)
    for name in (
        b'"target"', b'"path"', b'"release"', b'"build_id"', b'"arch"', b'"cpus"', b'"types"',
        b'"complete"', b'"filtered"', b'"panic"', b'"kind"', b'"message"', b'"findings"',
        b'"rule"', b'"severity"', b'"title"', b'"explanation"', b'"evidence"', b'"label"',
        b'"crash"', b'"drgn"', b'"tasks"', b'"locks"', b'"addresses"', b'"disproof"',
    ):  # fmt: skip
        assert name in text
    assert from_json(text, Survey) == survey


def test_blocked_tasks_are_judged_also_when_zones_cannot_be_read(
    demo_target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    def excluded(_program: Program) -> list[Zone]:
        raise FaultError("memory was excluded", 0xFFFF888000001000)

    monkeypatch.setattr(triage_facts, "memory_zones", excluded)
    found = run(demo_target, monkeypatch, blocked_tasks.RULE)
    assert [(report.outcome, report.why) for report in found.rules] == [("nothing", "")]


def test_without_any_zone_nothing_is_said_about_memory(
    demo_target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triage_facts, "memory_zones", lambda _program: [])
    found = run(demo_target, monkeypatch, memory_exhausted.RULE)
    assert [report.outcome for report in found.rules] == ["nothing"]


def test_a_task_whose_pid_cannot_be_read_is_called_by_its_address(demo: Path) -> None:
    target = finish(open_target(OpenQuery(path=str(demo))), None)
    owner = find_task(target.program, 161)
    pids = [owner.pid.address_ or 0, owner.thread_pid.numbers[0].nr.address_ or 0]
    exclude(target.program, pids, 4)
    survey = answer(target, SurveyQuery())
    (finding,) = (each for each in survey.findings if "storlab_rt" in each.title)
    address = f"{owner.value_():x}"
    assert f"behind its owner rtowner, task {address} for" in finding.title
    assert f"bt {address}" in [evidence.crash for evidence in finding.evidence]
    assert finding.tasks == (166,)
