"""What the hardware reported of itself, as evidence."""

from kscope.kernel.death.hardware_errors import HardwareError, logged
from kscope.model.survey import Evidence
from kscope.triage.death_facts import DeathFacts
from kscope.triage.evidence import of_log


def described(error: HardwareError) -> str:
    """Its bank and status, and what they mean."""
    text = f"bank {error.bank}, status {error.status:016x}: {error.what}, {', '.join(error.flags)}"
    return text if error.address is None else f"{text}, at physical address {error.address:x}"


def of_record(error: HardwareError) -> Evidence:
    """The kernel's record of an error, as it lies in memory."""
    assert error.record is not None
    return Evidence(
        label=f"machine check, CPU {error.cpu}",
        text=described(error),
        crash=f"struct mce.status,addr,mcgstatus,bank,extcpu {error.record:x}",
        drgn="from drgn import Object\n\n"
        f'print(Object(prog, "struct mce", address={error.record:#x}))',
    )


def in_log(facts: DeathFacts) -> list[tuple[HardwareError, Evidence]]:
    """The errors that the log tells of, the oldest first."""
    return [
        (error, of_log(f"CPU {error.cpu}, {record.timestamp_ns / 1e9:.6f}", described(error)))
        for error, record in logged(facts.log.records)
    ]
