"""The lockup detectors' panics: a CPU that scheduled nothing else, or took no interrupts."""

import re
from collections.abc import Iterator

from drgn.helpers.linux.percpu import per_cpu

from kscope.kernel.access.reading import READ_ERRORS
from kscope.model.cpus import Cpu, Spinning
from kscope.model.durations import in_words
from kscope.model.survey import Evidence, Finding
from kscope.triage.cpu_facts import SECOND, inside, runs, to_blame, what_it_does
from kscope.triage.evidence import of_cpu, of_lock, of_variable
from kscope.triage.facts import Facts
from kscope.triage.panics import modules_evidence, panic_finding
from kscope.triage.rule import Rule

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
        functions = inside(cpu)
        if cpu.current is not None:
            title += f": {runs(cpu)}"
            tasks += to_blame(cpu)
        if seconds:
            title += f" for {seconds} s"
        if functions:
            title += f" in {functions[0]}()"
        evidence.append(of_cpu(cpu.cpu, what_it_does(cpu)))
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
    evidence += _hypervisor(facts, number)
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
        duration_ns=None if seconds is None else seconds * SECOND,
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


def _explanation(kind: str, cpu: Cpu, functions: list[str]) -> str:
    where = f" in {functions[0]}()" if functions else ""
    if kind == "soft-lockup":
        text = f"CPU {cpu.cpu} ran kernel code{where} for so long that nothing else was scheduled"
        text += "; interrupts were on. " if cpu.irqs_enabled else ". "
        if cpu.spinning is not None:
            text += _spins_for(cpu.spinning)
        return text
    if cpu.irqs_enabled:
        return (
            f"CPU {cpu.cpu} was reported to take no interrupts{where}, but RFLAGS says that they "
            "were on: likely not a hard lockup, but a CPU that the host did not run, or a "
            "detector that was wrong. "
        )
    return f"CPU {cpu.cpu} ran{where} with interrupts off and did not come back. "


def _spins_for(spinning: Spinning) -> str:
    if spinning.cpus:
        count = "that CPU" if len(spinning.cpus) == 1 else "these CPUs"
        return f"It waits busily for {spinning.what}, so look at what {count} did. "
    name = f" {spinning.name}" if spinning.name else ""
    return f"It waits busily for {spinning.what}{name}, so look at who has it. "


_HYPERVISOR_WORD, _HYPERVISOR_BIT = 4, 31
"""``X86_FEATURE_HYPERVISOR``, the same in all kernels."""


def _hypervisor(facts: Facts, cpu: int | None) -> Iterator[Evidence]:
    """That the machine is a virtual one, and how long this CPU had to wait for a real one."""
    try:
        word = facts.program["boot_cpu_data"].x86_capability[_HYPERVISOR_WORD]
        if not word.value_() >> _HYPERVISOR_BIT & 1:
            return
    except READ_ERRORS:
        return
    stolen = "unknown"
    if cpu is not None:
        try:
            times = per_cpu(facts.program["kernel_cpustat"], cpu).cpustat
            stolen = in_words(int(times[facts.program["CPUTIME_STEAL"]]))
        except READ_ERRORS:
            pass
    yield Evidence(
        label="hypervisor",
        text=f"the CPUs are virtual; time stolen from CPU {cpu} since boot: {stolen} (0 also where "
        "the host does not tell)",
        crash="p boot_cpu_data.x86_capability",
        drgn="from drgn.helpers.linux.percpu import per_cpu\n\n"
        f'print(per_cpu(prog["kernel_cpustat"], {cpu}).cpustat[prog["CPUTIME_STEAL"]])',
    )


RULE = Rule("panic-lockup", "a panic of the lockup detectors", _check, live=False)
