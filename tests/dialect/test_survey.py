"""The survey as text and Markdown, and many side by side; no dump needed."""

import msgspec

from kscope.dialect.survey import culprit, groups, markdown, table, text, unable
from kscope.model.survey import (
    Evidence,
    Finding,
    Panic,
    RuleReport,
    Survey,
    SurveyQuery,
    SurveyTarget,
)


def survey(path: str, signature: str, title: str = "Deadlock: a and b") -> Survey:
    return Survey(
        target=SurveyTarget(
            path=path, format="kdump", release="6.1.0", build_id="", arch="x86_64", cpus=4,
            types="btf", complete=True, filtered=True,
        ),
        panic=Panic(kind="none", message=""),
        findings=(
            Finding(
                rule="deadlock", severity="critical", title=title, explanation="They wait.",
                evidence=(Evidence(label="a 11", text="waits for b_lock", crash="bt 11"),),
                tasks=(11, 12), disproof="one of them runs",
            ),
        ),
        verdict=title,
        signature=signature,
        rules=(
            RuleReport(rule="x", about="x things", outcome="not run", why="no types"),
            RuleReport(rule="y", about="y things", outcome="not run", why="no types"),
            RuleReport(rule="z", about="z things", outcome="nothing"),
        ),
    )  # fmt: skip


def test_text_begins_with_the_verdict_and_shows_each_command() -> None:
    shown = text(SurveyQuery(), survey("vmcore", "s"))
    assert "VERDICT  Deadlock: a and b" in shown.splitlines()[2]
    assert "crash> bt 11" in shown
    assert "disproved if" in shown


def test_rules_that_could_not_run_for_one_reason_are_told_once() -> None:
    assert unable(survey("vmcore", "s").rules) == [
        ("2 rules not run (x things, y things)", "no types")
    ]


def test_markdown_escapes_what_would_be_markup() -> None:
    shown = markdown(survey("vmcore", "s", title="<script> *a* [b](c)"))
    assert "\\<script> \\*a\\* \\[b\\]" in shown
    assert " <script>" not in shown


def test_markdown_leaves_the_names_of_c_as_they_are() -> None:
    shown = markdown(survey("vmcore", "s", title="in __flush_work() of storlab_wq <- _x_"))
    assert "in __flush_work() of storlab_wq <- _x\\_" in shown


def test_who_only_waits_is_no_culprit() -> None:
    finding = Finding(
        rule="block-requests", severity="warning", title="vdb does not answer", explanation="",
        evidence=(), tasks=(7,), blameless=True,
    )  # fmt: skip
    assert culprit(msgspec.structs.replace(survey("vmcore", "s"), findings=(finding,))) == "-"


def test_dumps_that_died_alike_are_put_together() -> None:
    surveys = [survey("1", "one"), survey("2", "two"), survey("3", "two")]
    assert [(signature, len(alike)) for signature, alike in groups(surveys)] == [
        ("two", 2),
        ("one", 1),
    ]


def test_the_table_has_every_dump_and_those_that_failed() -> None:
    shown = table([survey("a/vmcore", "one")], [("b/vmcore", "it is empty")])
    assert "a/vmcore" in shown
    assert "b/vmcore: it is empty" in shown


def test_the_culprit_is_named_as_in_the_evidence() -> None:
    assert culprit(survey("vmcore", "s")) == "a 11"
