"""What the hardware reported of itself, as evidence."""

from kscope.kernel.death.hardware_errors import HardwareError, logged
from kscope.model.survey import Evidence
from kscope.triage.death_facts import DeathFacts
from kscope.triage.evidence import of_log, of_object


def described(error: HardwareError) -> str:
    """Its bank and status, and what they mean."""
    text = f"bank {error.bank}, status {error.status:016x}: {error.what}, {', '.join(error.flags)}"
    return text if error.address is None else f"{text}, at physical address {error.address:x}"


def of_record(error: HardwareError) -> Evidence:
    """The kernel's record of an error, as it lies in memory."""
    assert error.record is not None
    return of_object(
        f"machine check, CPU {error.cpu}", described(error), "mce", error.record,
        "status,addr,mcgstatus,bank,extcpu",
    )  # fmt: skip


def in_log(facts: DeathFacts) -> list[tuple[HardwareError, Evidence]]:
    """The errors that the log tells of, the oldest first."""
    return [
        (error, of_log(f"CPU {error.cpu}, {record.timestamp_ns / 1e9:.6f}", described(error)))
        for error, record in logged(facts.log.records)
    ]
