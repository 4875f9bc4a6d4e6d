"""Panics of no kind that has a rule of its own, machine checks among them."""

import re
from collections.abc import Iterator

from kscope.model.survey import Finding
from kscope.triage.evidence import of_log
from kscope.triage.facts import Facts
from kscope.triage.panics import panic_finding, where
from kscope.triage.rule import Rule

_MACHINE_CHECK = re.compile(r"\[Hardware Error\]|mce: |Machine check")
_MOST = 12


def _check(facts: Facts) -> Iterator[Finding]:
    kind = facts.panic.kind
    # Without types, the log is all there is, and rules that read more do not run.
    by_log = facts.target.debug_info.types == "none" and kind not in ("sysrq", "unknown-nmi")
    if kind == "none" or (kind not in ("other", "machine-check") and not by_log):
        return
    message = facts.panic.message.removeprefix("Kernel panic - not syncing: ")
    if kind == "machine-check":
        lines = [r.text for r in facts.log.records if _MACHINE_CHECK.search(r.text)]
        yield panic_finding(
            facts,
            RULE.name,
            title=f"Machine check on CPU {facts.panic.cpu}: the hardware failed",
            explanation="The processor reported an error that it could not correct. Decode the "
            "banks' status from the log (mcelog, rasdaemon), and replace what they name; the "
            "kernel is not to blame.",
            evidence=[of_log("log", line) for line in lines[-_MOST:]],
            disproof="no machine check handler on the panicking CPU's stack",
        )
        return
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
