"""Panics of no kind that has a rule of its own."""

from collections.abc import Iterator

from kscope.model.survey import Finding
from kscope.triage.facts import Facts
from kscope.triage.panics import panic_finding, where
from kscope.triage.rule import Rule

_KINDS_IN_THE_LOG = ("sysrq", "unknown-nmi", "machine-check")
"""Those whose rules make do with the log."""


def _check(facts: Facts) -> Iterator[Finding]:
    kind = facts.panic.kind
    # Without types, the log is all there is, and rules that read more do not run.
    by_log = facts.target.debug_info.types == "none" and kind not in _KINDS_IN_THE_LOG
    if kind == "none" or (kind != "other" and not by_log):
        return
    message = facts.panic.message.removeprefix("Kernel panic - not syncing: ")
    way = facts.stopped.way if facts.stopped else ()
    inside = f" in {way[2]}()" if len(way) > 2 else ""
    inside += f", {where(facts)}" if facts.panic.pid is not None else ""
    yield panic_finding(
        facts,
        RULE.name,
        title=f"Panic: {message}" if message else f"The kernel crashed{inside}",
        explanation="The kernel stopped itself for a reason that only its log tells: read the "
        "panic message and the stack that led to it."
        if facts.log.records
        else "That it crashed is all that can be read of this dump: neither its log nor its types "
        "are there. The vmcore-dmesg.txt that kdump saves beside a dump may have the log.",
        disproof="",
    )


RULE = Rule("panic-other", "a panic of any other kind", _check, needs_types=False, live=False)
