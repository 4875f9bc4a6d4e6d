"""The RCU stall detector's panic: a grace period that does not end."""

from collections.abc import Iterator

from kscope.model.survey import Finding
from kscope.triage.facts import Facts
from kscope.triage.grace_period import grace_period, holders
from kscope.triage.panics import modules_evidence, panic_finding
from kscope.triage.rule import Rule


def _check(facts: Facts) -> Iterator[Finding]:
    if facts.panic.kind != "rcu-stall":
        return
    period = grace_period(facts)
    found = holders(facts, period)
    yield panic_finding(
        facts,
        RULE.name,
        title=f"RCU stall: {found.title(period)}",
        explanation="No memory that RCU protects could be freed any more, since "
        f"{found.explanation()} Read that stack for a loop inside rcu_read_lock().",
        evidence=(*period.evidence, *found.evidence, *modules_evidence(facts)),
        tasks=found.pids,
        duration_ns=period.age_ns,
        cpus=found.cpus,
        disproof="no bit is set in the qsmask of any rcu_node, or the CPU passed a quiescent "
        "state since",
    )


RULE = Rule(
    "panic-rcu-stall", "a panic of the RCU stall detector", _check, needs=("rcu_state",), live=False
)
