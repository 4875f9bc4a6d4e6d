"""An NMI that nobody claims: an NMI button, a hypervisor's, or failing hardware."""

import re
from collections.abc import Iterator

from kscope.model.survey import Finding
from kscope.triage.evidence import of_log
from kscope.triage.facts import Facts
from kscope.triage.hardware import in_log
from kscope.triage.panics import TRIGGER, panic_finding, where
from kscope.triage.rule import Rule

_REASON = re.compile(r"NMI received for unknown reason ([0-9a-f]+) on CPU (\d+)")
# EDAC's and PCI Express's own reports, and those of firmware (APEI).
_REPORT = re.compile(r"EDAC .*\b(?:UE|CE)\b|PCIe Bus Error|\[Hardware Error\]: event severity")
_UNCORRECTED = re.compile(r"\bUE\b|[Uu]ncorrect|fatal")
_MOST = 10

# Bits of port 0x61, arch/x86/include/asm/mach_traps.h.
_SERR = 0x80
_IOCHK = 0x40


def _check(facts: Facts) -> Iterator[Finding]:
    if facts.panic.kind != "unknown-nmi":
        return
    evidence = []
    port = ""
    for record in facts.log.records:
        match = _REASON.search(record.text)
        if match:
            reason = int(match[1], 16)
            evidence.append(of_log("reason", record.text))
            if reason & _SERR:
                port = "Port 0x61 has the SERR bit: a device reported a system error. "
            elif reason & _IOCHK:
                port = "Port 0x61 has the IOCHK bit: a device reported a parity error. "
    said = port
    checks = in_log(facts)
    reports = [r.text for r in facts.log.records if _REPORT.search(r.text)]
    evidence += [line for _, line in checks[-_MOST:]]
    evidence += [of_log("hardware error", text) for text in reports[-_MOST:]]
    failed = any(e.uncorrected for e, _ in checks) or any(map(_UNCORRECTED.search, reports))
    if failed:
        said += "Before it, the hardware reported errors that it could not correct: begin there. "
    elif checks or reports:
        said += "Before it, the hardware reported errors that it had corrected: if the same part "
        said += "had more of them, it may be failing. "
    else:
        said += "No hardware error is in the log. "
    yield panic_finding(
        facts,
        RULE.name,
        title=f"Unknown NMI while {where(facts)} ran",
        explanation="A non-maskable interrupt came that no driver claimed, and the kernel was told "
        "to panic of it. Mostly somebody pressed the NMI button, or a management controller or "
        "hypervisor sent one to get this dump of a machine that hung: then what was wrong is in "
        f"the other findings. {said}",
        evidence=evidence,
        disproof="no unknown_nmi_error() on the panicking CPU's stack",
        severity="critical" if failed or port else "warning" if checks or reports else "info",
        rank=TRIGGER,
    )


RULE = Rule("panic-nmi", "a panic by an unknown NMI", _check, needs_types=False, live=False)
