"""What all findings about a panic have in common."""

import shlex
from collections.abc import Iterable

from drgn.helpers.linux.module import find_module, module_taints

from kscope.kernel.access.reading import READ_ERRORS
from kscope.model.base import Address
from kscope.model.survey import Evidence, Finding, Severity
from kscope.triage.facts import Facts

CAUSE = 10
"""Rank of a panic that is itself the fault."""
TRIGGER = 60
"""Rank of a panic that only ended what was wrong before."""


def panic_finding(
    facts: Facts,
    rule: str,
    *,
    title: str,
    explanation: str,
    evidence: Iterable[Evidence] = (),
    tasks: Iterable[int | None] = (),
    cpus: Iterable[int | None] = (),
    locks: Iterable[Address] = (),
    addresses: Iterable[int | None] = (),
    disproof: str,
    severity: Severity = "critical",
    rank: int = CAUSE,
    blameless: bool = False,
    duration_ns: int | None = None,
) -> Finding:
    """The finding of a panic: what is special about it, then what proves its kind."""
    panic = facts.panic
    against = [
        Evidence(label=f"against it: {e.label}", text=e.text, crash=e.crash, drgn=e.drgn)
        for e in panic.conflicting
    ]
    return Finding(
        rule=rule,
        severity=severity,
        title=title,
        explanation=explanation,
        evidence=(*evidence, *panic.agreeing, *against),
        tasks=tuple(dict.fromkeys(pid for pid in (*tasks, panic.pid) if pid)),
        blameless=blameless,
        duration_ns=duration_ns,
        cpus=tuple(dict.fromkeys(cpu for cpu in (*cpus, panic.cpu) if cpu is not None)),
        locks=tuple(locks),
        addresses=tuple(Address(address) for address in addresses if address),
        disproof=disproof,
        rank=rank,
    )


def where(facts: Facts) -> str:
    """``comm PID on CPU n``."""
    panic = facts.panic
    if panic.pid is None:
        return "an unknown task"
    who = "the idle task" if panic.pid == 0 else f"{panic.comm} {panic.pid}"
    return f"{who} on CPU {panic.cpu}" if panic.cpu is not None else who


def modules_on_stack(facts: Facts) -> list[tuple[str, str]]:
    """The modules whose functions are on the panicking CPU's stack, each with its taint letters."""
    found: dict[str, str] = {}
    for cpu in facts.all_cpus.cpus:
        if cpu.cpu == facts.panic.cpu:
            for frame in cpu.backtrace:
                if frame.module and frame.module not in found:
                    found[frame.module] = _taints(facts, frame.module)
    return sorted(found.items(), key=lambda item: not item[1])


def _taints(facts: Facts, module: str) -> str:
    try:
        found = find_module(facts.program, module)
        return module_taints(found) if found else ""
    except READ_ERRORS:
        return ""


def modules_evidence(facts: Facts) -> list[Evidence]:
    """Modules on the stack, the tainted first."""
    return [
        Evidence(
            label=f"module {name}",
            text=f"is on the stack, tainted {taints}" if taints else "is on the stack",
            crash=f"mod -t | grep -w {shlex.quote(name)}",
            drgn="from drgn.helpers.linux.module import find_module, module_taints\n\n"
            f"print(module_taints(find_module(prog, {name!r})))",
        )
        for name, taints in modules_on_stack(facts)
    ]
