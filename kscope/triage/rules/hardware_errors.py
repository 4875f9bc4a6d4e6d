"""Errors that the hardware reported and the kernel survived: mostly such as it had corrected."""

from collections.abc import Iterator

from kscope.model.survey import Finding
from kscope.triage.facts import Facts
from kscope.triage.hardware import in_log
from kscope.triage.rule import Rule

_MOST = 10


def _check(facts: Facts) -> Iterator[Finding]:
    if facts.panic.kind == "unknown-nmi":
        return  # told of there: it may well be about them
    fatal = facts.panic.kind == "machine-check"
    found = [(e, line) for e, line in in_log(facts) if not (fatal and e.uncorrected)]
    if not found:
        return
    last, _ = found[-1]
    count = f"{len(found)} hardware errors, the last of" if len(found) > 1 else "Hardware error of"
    corrected = not any(error.uncorrected for error, _ in found)
    yield Finding(
        rule=RULE.name,
        severity="info" if corrected and len(found) == 1 else "warning",
        title=f"{count} CPU {last.cpu}: {last.what}, bank {last.bank}",
        explanation="The hardware corrected "
        + ("it" if len(found) == 1 else "them")
        + ", so no data was lost. One now and then is normal; many of one bank announce that the "
        "part fails. "
        if corrected
        else f"The hardware could not correct {'all of them' if len(found) > 1 else 'it'}: data "
        "was lost, or a process was killed. ",
        evidence=tuple(line for _, line in found[-_MOST:]),
        cpus=tuple(dict.fromkeys(error.cpu for error, _ in found)),
        disproof="the errors were injected, as by a test of the machine",
        rank=46,
    )


RULE = Rule("hardware-errors", "errors of the hardware before the end", _check, needs_types=False)
