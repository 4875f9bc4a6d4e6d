"""The lockup detectors' panics: a CPU that scheduled nothing else, or took no interrupts."""

import re
from collections.abc import Iterator

from kscope.kernel.reading import READ_ERRORS
from kscope.model.cpus import Cpu
from kscope.model.durations import in_words
from kscope.model.survey import Evidence, Finding
from kscope.triage.evidence import of_cpu, of_lock, of_variable
from kscope.triage.facts import Facts
from kscope.triage.panics import modules_evidence, panic_finding
from kscope.triage.rule import Rule
from kscope.triage.signature import telling

_SOFT = re.compile(r"soft lockup - CPU#(\d+) stuck for (\d+)s! \[(.*):(\d+)\]")
_HARD = re.compile(r"hard LOCKUP on cpu ?(\d+)")


def _check(facts: Facts) -> Iterator[Finding]:
    kind = facts.panic.kind
    if kind not in ("soft-lockup", "hard-lockup"):
        return
    number, seconds = _from_log(facts)
    if number is None:
        number = facts.panic.cpu
    cpu = next((cpu for cpu in facts.all_cpus.cpus if cpu.cpu == number), None)
    evidence: list[Evidence] = []
    thresh = facts.number("watchdog_thresh")
    if thresh is not None:
        allowed = 2 * thresh if kind == "soft-lockup" else thresh
        evidence.append(of_variable("watchdog_thresh", thresh, f"the kernel allows {allowed} s"))
    title = f"{'Soft' if kind == 'soft-lockup' else 'Hard'} lockup of CPU {number}"
    explanation = ""
    tasks: list[int] = []
    locks = []
    if cpu is not None:
        functions = _spins_in(cpu)
        if cpu.current is not None:
            title += f": {cpu.current.comm} {cpu.current.pid}"
            tasks.append(cpu.current.pid)
        if seconds:
            title += f" for {seconds} s"
        if functions:
            title += f" in {functions[0]}()"
        evidence.append(of_cpu(cpu.cpu, _what_it_did(cpu)))
        explanation = _explanation(kind, cpu, functions)
    for spinner in facts.locks.spinning:
        lock = facts.lock_at.get(int(spinner.lock)) if spinner.lock is not None else None
        spins = f"spins in {spinner.function}() for "
        spins += f"{lock.kind} {lock.name or lock.address}" if lock else "a lock"
        evidence.append(of_cpu(spinner.cpu, f"{spinner.comm} {spinner.pid} {spins}"))
        if lock is not None:
            locks.append(lock.address)
            evidence.append(of_lock(lock))
            if lock.owner is not None and spinner.cpu == number:
                tasks.insert(0, lock.owner)
    evidence += _hypervisor(facts)
    evidence += modules_evidence(facts)
    if any(item.label == "hypervisor" for item in evidence):
        explanation += (
            "The machine is a virtual one: a host that does not run a virtual CPU for long enough "
            "looks the same from inside. "
        )
    yield panic_finding(
        facts,
        RULE.name,
        title=title,
        explanation=explanation
        + "Read the functions on its stack for a loop without an end or without cond_resched().",
        evidence=evidence,
        tasks=tasks,
        cpus=[number],
        locks=locks,
        disproof="the watchdog's stamp of that CPU is recent, or its stack has nothing that can "
        "take so long (then suspect the host, or a clock that jumped)",
    )


def _from_log(facts: Facts) -> tuple[int | None, int | None]:
    for report in reversed(facts.log.reports):
        if report.kind == "soft-lockup" and (match := _SOFT.search(report.title)):
            return int(match[1]), int(match[2])
        if report.kind == "hard-lockup" and (match := _HARD.search(report.title)):
            return int(match[1]), None
    return None, None


def _spins_in(cpu: Cpu) -> list[str]:
    """What it was doing below the interrupt that stopped it."""
    stopped = {index for index, segment in enumerate(cpu.segments) if segment.stopped}
    return telling(
        frame.function
        for frame in cpu.backtrace
        if frame.segment not in stopped and frame.stack != "user"
    )


def _what_it_did(cpu: Cpu) -> str:
    current = cpu.current
    who = f"runs {current.comm} {current.pid}" if current else "runs an unknown task"
    since = f" since at most {in_words(current.running_ns)}" if current else ""
    irqs = {True: "on", False: "off", None: "unknown"}[cpu.irqs_enabled]
    inside = " <- ".join(_spins_in(cpu))
    return f"{who}{since}, interrupts {irqs}" + (f", in {inside}" if inside else "")


def _explanation(kind: str, cpu: Cpu, functions: list[str]) -> str:
    where = f" in {functions[0]}()" if functions else ""
    if kind == "soft-lockup":
        text = f"CPU {cpu.cpu} ran kernel code{where} for so long that nothing else was scheduled"
        text += "; interrupts were on. " if cpu.irqs_enabled else ". "
        if cpu.spinning is not None:
            text += f"It spins for {cpu.spinning.what} {cpu.spinning.name}, so look at who has it. "
        return text
    if cpu.irqs_enabled:
        return (
            f"CPU {cpu.cpu} was reported to take no interrupts{where}, but RFLAGS says that they "
            "were on: likely not a hard lockup, but a CPU that the host did not run, or a "
            "detector that was wrong. "
        )
    return f"CPU {cpu.cpu} ran{where} with interrupts off and did not come back. "


def _hypervisor(facts: Facts) -> Iterator[Evidence]:
    """That the machine is a virtual one, and how long its CPUs had to wait for real ones."""
    try:
        kind = facts.program["x86_hyper_type"]
        name = kind.format_(type_name=False)
        if kind.value_() == 0:
            name = ""
    except READ_ERRORS:
        name = ""
    if not name:
        return
    yield Evidence(
        label="hypervisor",
        text=name,
        crash="p x86_hyper_type",
        drgn='print(prog["x86_hyper_type"])',
    )


RULE = Rule("panic-lockup", "a panic of the lockup detectors", _check, live=False)
