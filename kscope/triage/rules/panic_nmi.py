"""An NMI that nobody claims: an NMI button, a hypervisor's, or failing hardware."""

import re
from collections.abc import Iterator

from kscope.model.survey import Finding
from kscope.triage.evidence import of_log
from kscope.triage.facts import Facts
from kscope.triage.panics import TRIGGER, panic_finding, where
from kscope.triage.rule import Rule

_REASON = re.compile(r"NMI received for unknown reason ([0-9a-f]+) on CPU (\d+)")
_HARDWARE = re.compile(r"\[Hardware Error\]|mce: |EDAC .*(?:UE|CE)|PCIe Bus Error|APEI|GHES")
_MOST = 10

# Bits of port 0x61, arch/x86/include/asm/mach_traps.h.
_SERR = 0x80
_IOCHK = 0x40


def _check(facts: Facts) -> Iterator[Finding]:
    if facts.panic.kind != "unknown-nmi":
        return
    evidence = []
    said = ""
    for record in facts.log.records:
        match = _REASON.search(record.text)
        if match:
            reason = int(match[1], 16)
            evidence.append(of_log("reason", record.text))
            if reason & _SERR:
                said = "Port 0x61 has the SERR bit: a device reported a system error. "
            elif reason & _IOCHK:
                said = "Port 0x61 has the IOCHK bit: a device reported a parity error. "
    hardware = [r.text for r in facts.log.records if _HARDWARE.search(r.text)]
    evidence += [of_log("hardware error", line) for line in hardware[-_MOST:]]
    if hardware:
        said += "The log has hardware error records: read these first. "
    yield panic_finding(
        facts,
        RULE.name,
        title=f"Unknown NMI while {where(facts)} ran",
        explanation="A non-maskable interrupt came that no driver claimed, and the kernel was told "
        "to panic of it. Mostly somebody pressed the NMI button, or a management controller or "
        "hypervisor sent one to get this dump of a machine that hung: then what was wrong is in "
        f"the other findings. {said}" + ("" if hardware else "No hardware error is in the log."),
        evidence=evidence,
        disproof="no unknown_nmi_error() on the panicking CPU's stack",
        severity="critical" if hardware or said else "info",
        rank=TRIGGER,
    )


RULE = Rule("panic-nmi", "a panic by an unknown NMI", _check, needs_types=False, live=False)
