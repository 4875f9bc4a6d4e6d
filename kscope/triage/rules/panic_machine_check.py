"""A machine check: the processor reported an error that it could not correct."""

from collections.abc import Iterator

from kscope.kernel.access.reading import READ_ERRORS
from kscope.kernel.death.hardware_errors import HardwareError, fatal_error
from kscope.model.survey import Evidence, Finding
from kscope.triage.facts import Facts
from kscope.triage.hardware import described, in_log, of_record
from kscope.triage.panics import panic_finding, where
from kscope.triage.rule import Rule


def _check(facts: Facts) -> Iterator[Finding]:
    if facts.panic.kind != "machine-check":
        return
    evidence: list[Evidence] = []
    error = _in_memory(facts)
    if error is not None:
        evidence.append(of_record(error))
    for told, line in in_log(facts):
        if told.uncorrected:
            evidence.append(line)
            error = error or told
    cpu = facts.panic.cpu if error is None else error.cpu
    title = f"Machine check on CPU {cpu}: "
    title += f"{error.what}, bank {error.bank}" if error else "the hardware failed"
    yield panic_finding(
        facts,
        RULE.name,
        title=title,
        explanation="The processor reported an error that it could not correct"
        + (f": {described(error)}. " if error else ". ")
        + f"Neither the kernel nor {where(facts)}, which only ran there, is to blame. What a bank "
        "stands for differs from processor to processor: mcelog --ascii, rasdaemon or the vendor's "
        "manual say which part it is. The same one in other dumps, or in corrected errors before, "
        "is to be replaced; the firmware's own log often names the slot.",
        evidence=evidence,
        cpus=[cpu],
        addresses=[error.record] if error else (),
        disproof="no machine check handler on the panicking CPU's stack, or no bank with an "
        "uncorrected error",
        blameless=True,
    )


def _in_memory(facts: Facts) -> HardwareError | None:
    try:
        if facts.panic_cpu is None or facts.panic_task is None:
            return None
        return fatal_error(facts.program, facts.panic_cpu, facts.panic_task)
    except READ_ERRORS:
        return None


RULE = Rule("panic-machine-check", "an error of the hardware that it could not correct", _check,
            needs_types=False, live=False)  # fmt: skip
