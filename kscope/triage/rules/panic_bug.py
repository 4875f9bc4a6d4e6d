"""BUG() and WARN() with panic_on_warn: the kernel itself checked something, and it was not so."""

import re
from collections.abc import Iterator

from kscope.kernel.death.bug_table import bug_entry
from kscope.model.survey import Evidence, Finding
from kscope.triage.facts import Facts
from kscope.triage.panics import modules_evidence, panic_finding, where
from kscope.triage.rule import Rule

_IN_LOG = re.compile(r"(?:kernel BUG at|WARNING: (?:CPU: \d+ PID: \d+ )?at) (\S+?:\d+)")


def _check(facts: Facts) -> Iterator[Finding]:
    kind = facts.panic.kind
    if kind not in ("bug", "warn"):
        return
    stopped = facts.stopped
    evidence: list[Evidence] = []
    place = ""
    function = stopped.function if stopped else "?"
    offset = stopped.offset if stopped else 0
    if stopped and stopped.pc is not None:
        entry = bug_entry(facts.program, stopped.pc)
        if entry is not None:
            place = f"{entry.file}:{entry.line}"
            evidence.append(
                Evidence(
                    label="bug table",
                    text=f"the entry for {stopped.pc:#x} says {place}, "
                    + ("WARN" if entry.warning else "BUG"),
                    crash=f"dis -l {stopped.pc:x} 1",
                    drgn=f"print(prog.symbol({stopped.pc:#x}))",
                )
            )
    said = _from_log(facts)
    place = place or (said[0] if said else "")
    condition = said[1] if said else ""
    if condition:
        evidence.append(Evidence(label="message", text=condition, crash="log"))
    evidence += modules_evidence(facts)
    what = "BUG" if kind == "bug" else "WARN with panic_on_warn set"
    yield panic_finding(
        facts,
        RULE.name,
        title=f"{what} at {place or 'an unknown line'} in {function}(), {where(facts)}",
        explanation=f"The kernel found its own state impossible at {function}+{offset:#x}"
        + (f" ({place})" if place else "")
        + (f': "{condition}"' if condition else "")
        + ". Read the condition at that line and the callers' arguments; if a module that is not "
        "part of the kernel is on the stack, begin with it.",
        evidence=evidence,
        addresses=[stopped.pc if stopped else None],
        disproof="no UD2 instruction and no bug table entry at the address that faulted",
    )


def _from_log(facts: Facts) -> tuple[str, str] | None:
    """The file and line, and what the message before it says."""
    records = facts.log.records
    for report in reversed(facts.log.reports):
        if report.kind not in ("bug", "warning"):
            continue
        match = _IN_LOG.search(report.title)
        if match is None:
            return None
        # WARN(condition, "text") prints its text between the line of dashes and this one.
        before = records[report.first - 2 : report.first]
        if len(before) == 2 and "[ cut here ]" in before[0].text:
            return match[1], before[1].text
        return match[1], ""
    return None


RULE = Rule("panic-bug", "a failed check of the kernel itself", _check, live=False)
