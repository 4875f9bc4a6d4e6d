"""Findings and their evidence as lines."""

from typing import NamedTuple

from rich.cells import cell_len

from kscope.model.survey import Evidence, Finding, Severity, Survey
from kscope.screens.links import AddressLink, CpuLink, Link, LockLink, LogLink, TaskLink
from kscope.widgets.line import Line, Span, fit, line
from kscope.widgets.text_view import link

_LETTERS: dict[Severity, tuple[str, str]] = {
    "critical": ("C", "critical"),
    "warning": ("W", "warning"),
    "info": ("I", "dim"),
}
_MOST_LABEL_CELLS = 22
FINDING_INDENT = 3
"""Where a finding's text begins, and goes on when it is folded."""


def summary(survey: Survey) -> Line:
    """The pane's title: how many findings of each severity."""
    counts = [
        (sum(f.severity == severity for f in survey.findings), word, role)
        for severity, word, role in (
            ("critical", "critical", "critical"),
            ("warning", "warning", "warning"),
            ("info", "note", "dim"),
        )
    ]
    parts: list[Line] = [
        line((f"{n} {word}{'s' if n > 1 and word != 'critical' else ''}", role))
        for n, word, role in counts
        if n
    ]
    spans = line("Findings")
    for position, part in enumerate(parts):
        spans = line(spans, ("  " if position == 0 else " · ", "dim"), part)
    return spans


class FindingLines(NamedTuple):
    """The list of findings."""

    lines: list[Line]
    items: list[int]
    """Where each finding begins, and then what the rules did."""
    explanations: set[int]
    """The lines that say how much, each cut off at the pane's edge: the evidence has it whole."""


def finding_lines(survey: Survey) -> FindingLines:
    """Two lines a finding, then what the rules did."""
    lines: list[Line] = []
    items: list[int] = []
    explanations: set[int] = set()
    for finding in survey.findings:
        letter, role = _LETTERS[finding.severity]
        items.append(len(lines))
        title_role = f"{role} strong" if finding.severity == "critical" and not lines else "strong"
        lines.append(line((letter, f"{role} strong"), "  ", (finding.title, title_role)))
        explanations.add(len(lines))
        lines.append(line("   ", (_first_sentence(finding.explanation), "dim")))
    items.append(len(lines))
    lines += _rule_lines(survey)
    return FindingLines(lines, items, explanations)


def _rule_lines(survey: Survey) -> list[Line]:
    lines: list[Line] = []
    quiet = sum(report.outcome == "nothing" for report in survey.rules)
    if quiet:
        lines.append(line(("·  ", "dim"), (f"{quiet} rules found nothing", "dim")))
    waiting = sum(report.outcome == "waiting" for report in survey.rules)
    if waiting:
        lines.append(line(("…  ", "accent"), (f"{waiting} rules still to run", "dim")))
    grouped: dict[tuple[str, str], list[str]] = {}
    for report in survey.rules:
        if report.outcome in ("not run", "failed", "out of time"):
            grouped.setdefault((report.outcome, report.why), []).append(report.about)
    for (outcome, why), about in grouped.items():
        role = "dim" if outcome == "not run" else "warning"
        who = about[0] if len(about) == 1 else f"{len(about)} rules"
        sign = "·" if outcome == "not run" else "!"
        lines.append(line((f"{sign}  ", role), (f"{who}: {outcome}: ", role), (why, "dim")))
    return lines


def rule_lines(survey: Survey) -> list[Line]:
    """Every rule and what became of it, for the one who asks whether it was looked for."""
    return [
        line(
            (f"{report.outcome:<11} ", "" if report.outcome == "found" else "dim"),
            report.about,
            (f"  {report.why}" if report.why else "", "dim"),
        )
        for report in survey.rules
    ]


def _first_sentence(text: str) -> str:
    head, stop, _ = text.partition(". ")
    return head + stop.strip()


def evidence_lines(finding: Finding) -> tuple[list[Line], int]:
    """What the finding means, the evidence a line each, then all else; and the cell in which
    their texts begin."""
    labels = [evidence.label for evidence in finding.evidence]
    cells = min(max(map(cell_len, [*labels, "what it means"])), _MOST_LABEL_CELLS)

    def label(text: str) -> Line:
        return [*fit(line((text, "dim")), cells), Span(" ")]

    lines: list[Line] = [line(label("what it means"), finding.explanation)]
    lines += [
        line(label(evidence.label), evidence.text.replace("\n", " ⏎ "))
        for evidence in finding.evidence
    ]
    places = _places(finding)
    if places:
        lines.append(line(label("see"), *_joined(places)))
    if finding.disproof:
        lines.append(line(label("disproved if"), finding.disproof))
    return lines, cells + 1


def _joined(places: list[tuple[str, Link]]) -> list[Line]:
    spans: list[Line] = []
    for position, (text, target) in enumerate(places):
        spans.append(line(("  " if position else "", ""), link(text, target)))
    return spans


def _places(finding: Finding) -> list[tuple[str, Link]]:
    places: list[tuple[str, Link]] = []
    places += [(f"lock {address}", LockLink(address)) for address in finding.locks]
    places += [(f"task {pid}", TaskLink(pid)) for pid in finding.tasks]
    places += [(f"CPU {cpu}", CpuLink(cpu)) for cpu in finding.cpus]
    places += [(str(address), AddressLink(address)) for address in finding.addresses]
    places += [(f"log line {seq}", LogLink(seq)) for seq in finding.records]
    return places


def first_place(finding: Finding) -> Link | None:
    """Where a finding is seen best."""
    places = _places(finding)
    return places[0][1] if places else None


def evidence_at(finding: Finding, index: int) -> Evidence | None:
    """The evidence on line ``index`` of ``evidence_lines``; the first piece for what it means."""
    index = max(index - 1, 0)
    return finding.evidence[index] if index < len(finding.evidence) else None
