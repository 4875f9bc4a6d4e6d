"""Cross-CPU calls that a CPU does not answer while the sender waits for it."""

from collections.abc import Iterator

from kscope.model.durations import in_words
from kscope.model.survey import Evidence, Finding
from kscope.triage.cpu_facts import SECOND, no_interrupts_ns, tick_overdue_ns, what_it_does
from kscope.triage.evidence import of_cpu
from kscope.triage.facts import Facts
from kscope.triage.rule import Rule

_LONG_NS = 1 * SECOND


def _check(facts: Facts) -> Iterator[Finding]:
    for cpu in facts.online_cpus:
        deaf_ns = max(no_interrupts_ns(cpu), 0 if cpu.idle else tick_overdue_ns(cpu))
        if cpu.panicked or cpu.health is None or deaf_ns < _LONG_NS:
            continue
        calls = [ipi for ipi in cpu.health.ipis if ipi.kind == "call, sender waits"]
        if not calls:
            continue
        senders = sorted({ipi.from_cpu for ipi in calls if ipi.from_cpu is not None})
        for_how_long = in_words(deaf_ns)
        from_whom = " and ".join(f"CPU {sender}" for sender in senders) or "another CPU"
        several = len(senders) > 1
        yield Finding(
            rule=RULE.name,
            severity="warning",
            title=f"CPU {cpu.cpu} does not answer {from_whom}, which "
            f"{'wait' if several else 'waits'} for it for {for_how_long}",
            explanation=f"{from_whom} asked CPU {cpu.cpu} to call a function and "
            f"{'spin' if several else 'spins'} until it has, but CPU {cpu.cpu} has taken no "
            f"interrupt for {for_how_long}. Whoever asked is a victim: look at what the deaf CPU "
            "does.",
            evidence=(
                *(
                    Evidence(
                        label="call_single_data",
                        text=f"{ipi.function.name if ipi.function else '?'}() is queued"
                        + (f" by CPU {ipi.from_cpu}" if ipi.from_cpu is not None else ""),
                        crash=f"p call_single_queue:{cpu.cpu}",
                        drgn="from drgn import Object\n\n"
                        f'print(Object(prog, "struct __call_single_data", '
                        f"address={ipi.address:#x}))",
                    )
                    for ipi in calls
                ),
                of_cpu(cpu.cpu, what_it_does(cpu)),
            ),
            duration_ns=deaf_ns,
            cpus=(cpu.cpu, *senders),
            disproof="the CPU's call_single_queue is empty",
            rank=33,
        )


RULE = Rule("unanswered-ipis", "cross-CPU calls without an answer", _check, seconds=20.0)
