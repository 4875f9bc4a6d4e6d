"""What the kernel had reported about itself before it died: the first fault often is the cause."""

from collections.abc import Iterator

from kscope.kernel.death.hardware_errors import names_bank
from kscope.model.durations import in_words
from kscope.model.log import Report, ReportKind
from kscope.model.survey import Finding, PanicKind
from kscope.triage.evidence import of_log
from kscope.triage.facts import Facts
from kscope.triage.rule import Rule

_MOST = 10

# What a report of its own kind becomes when the kernel panics of it.
_OF_PANIC: dict[PanicKind, tuple[ReportKind, ...]] = {
    "sysrq": ("sysrq",),
    "bug": ("bug", "oops"),
    "warn": ("warning",),
    "oom": ("oom",),
    "hung-task": ("hung-task",),
    "null-deref": ("null-deref", "oops"),
    "bad-page-fault": ("bad-page-fault", "oops"),
    "general-protection": ("general-protection", "oops"),
    "soft-lockup": ("soft-lockup",),
    "hard-lockup": ("hard-lockup",),
    "unknown-nmi": ("nmi",),
    "rcu-stall": ("rcu-stall",),
    "machine-check": ("machine-check",),
}

_FAULTS = {"oops", "bug", "null-deref", "bad-page-fault", "general-protection", "kasan"}
"""After one of these the kernel's state is not to be trusted any more."""


def _check(facts: Facts) -> Iterator[Finding]:
    earlier = _earlier(facts)
    if not earlier:
        return
    records = facts.log.records
    first = min(earlier, key=lambda report: (report.kind not in _FAULTS, report.first))
    died = records[-1].timestamp_ns
    before = in_words(max(0, died - records[first.first].timestamp_ns))
    count = f" (and {len(earlier) - 1} more)" if len(earlier) > 1 else ""
    yield Finding(
        rule=RULE.name,
        severity="warning",
        title=f"{first.title.rstrip(':')}, {before} before the end{count}",
        explanation="The kernel had reported this before. "
        + (
            "After a fault like that its state is damaged, and what came later may be no more "
            "than a consequence: begin with this one. "
            if first.kind in _FAULTS
            else "It may be what the rest follows from. "
        ),
        evidence=tuple(
            of_log(f"[{records[report.first].timestamp_ns / 1e9:.6f}]", report.title)
            for report in earlier[:_MOST]
        ),
        disproof="the report is about something that the later fault has nothing to do with",
        records=tuple(records[report.first].seq for report in earlier[:_MOST]),
        rank=4 if first.kind in _FAULTS else 45,
    )


def _earlier(facts: Facts) -> list[Report]:
    """All reports but those that are the panic's own."""
    own = _OF_PANIC.get(facts.panic.kind, ())
    reports = [
        report
        for report in facts.log.reports
        if report.kind not in ("panic", "sysrq", "nmi", *(own if facts.panic.kind in
                                                         ("hung-task", "oom") else ()))
        and not names_bank(report.title)  # told of as errors of the hardware
    ]  # fmt: skip
    # The report that led to the panic is the last of its kind.
    for report in reversed(reports):
        if report.kind in own:
            reports.remove(report)
            break
    return reports


RULE = Rule("earlier-reports", "reports in the log before the end", _check, needs_types=False)
