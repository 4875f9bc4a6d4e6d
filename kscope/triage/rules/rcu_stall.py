"""A grace period of RCU that is older than the kernel's own limit."""

from collections.abc import Iterator

from kscope.model.survey import Finding
from kscope.triage.facts import Facts
from kscope.triage.grace_period import grace_period, holders
from kscope.triage.rule import Rule

_DEFAULT_TIMEOUT_NS = 21_000_000_000
"""CONFIG_RCU_CPU_STALL_TIMEOUT."""


def _check(facts: Facts) -> Iterator[Finding]:
    if facts.panic.kind == "rcu-stall":
        return  # told of as the panic
    period = grace_period(facts)
    limit = period.timeout_ns or _DEFAULT_TIMEOUT_NS
    if period.age_ns is None or period.age_ns < limit:
        return
    found = holders(facts, period)
    if not found.names:
        return  # an idle CPU counts as quiescent as soon as it is looked at
    yield Finding(
        rule=RULE.name,
        severity="warning",
        title=f"RCU: {found.title(period)}",
        explanation=f"RCU does not go on: {found.explanation()} Memory that RCU protects "
        "piles up, and whoever waits in synchronize_rcu() hangs. Read that stack for a loop inside "
        "rcu_read_lock() or with preemption off.",
        evidence=(*period.evidence, *found.evidence),
        duration_ns=period.age_ns,
        tasks=found.pids,
        cpus=found.cpus,
        disproof="rcu_state.gp_seq has gone on, or no qsmask has a bit set",
        rank=25,
    )


RULE = Rule("rcu-stall", "grace periods of RCU that do not end", _check, needs=("rcu_state",),
            seconds=20.0)  # fmt: skip
