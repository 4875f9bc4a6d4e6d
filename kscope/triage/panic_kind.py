"""How the kernel died, from several sources that know nothing of each other.

A log line can be missing, old or forged by anyone who may write to /dev/kmsg; what the panicking
CPU has on its stack cannot. So each source is asked by itself, and those that disagree are shown.
"""

import re
import shlex
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kscope.kernel.access.reading import READ_ERRORS
from kscope.kernel.death.instruction import decode
from kscope.model.base import Address
from kscope.model.log import ReportKind
from kscope.model.survey import Evidence, Panic, PanicKind
from kscope.model.text import printable
from kscope.triage.death_facts import DeathFacts
from kscope.triage.evidence import of_log

NULL_PAGE = 4096
"""A fault below this address went through a NULL pointer to a member of a structure."""


@dataclass(frozen=True)
class _Witness:
    kind: PanicKind
    weight: int
    evidence: Evidence


def classify(facts: DeathFacts) -> Panic:
    """The panic's kind, with what points to it and what does not."""
    message = facts.panic_message
    if facts.survived:
        return Panic(kind="none", message="")
    witnesses = list(_all(facts))
    if not witnesses:
        return Panic(kind="other" if message else "none", message=message)
    weights: dict[PanicKind, int] = defaultdict(int)
    for witness in witnesses:
        weights[witness.kind] += witness.weight
    weights["other"] = min(weights["other"], 1)  # whatever says more than that it died goes first
    kind = max(weights, key=lambda kind: weights[kind])
    agreeing = [witness.evidence for witness in witnesses if witness.kind == kind]
    conflicting = [w.evidence for w in witnesses if w.kind not in (kind, "other")]
    for agrees, evidence in _settings(facts, kind):
        (agreeing if agrees else conflicting).append(evidence)
    return _with_task(
        facts,
        Panic(
            kind=kind,
            message=message,
            agreeing=tuple(agreeing),
            conflicting=tuple(conflicting),
        ),
    )


_LOGGED_TASK = re.compile(
    r"CPU: (?P<cpu>\d+) (?:UID: \d+ )?PID: (?P<pid>\d+) Comm: (?P<comm>.*?) "
    r"(?:Kdump: |Not tainted|Tainted: )"
)
"""``dump_stack_print_info()``; the UID since Linux 6.11."""


def _with_logged_task(facts: DeathFacts, panic: Panic) -> Panic:
    """The task as the last report's own line names it: all there is without a stack."""
    for record in reversed(facts.log.records):
        match = _LOGGED_TASK.match(record.text)
        if match:
            return Panic(
                kind=panic.kind, message=panic.message, cpu=int(match["cpu"]),
                pid=int(match["pid"]), comm=match["comm"], agreeing=panic.agreeing,
                conflicting=panic.conflicting,
            )  # fmt: skip
    return panic


def _with_task(facts: DeathFacts, panic: Panic) -> Panic:
    try:
        task = facts.panic_task
        if task is not None:
            return Panic(
                kind=panic.kind, message=panic.message, cpu=facts.panic_cpu,
                pid=task.pid.value_(), comm=printable(task.comm.string_()),
                task=Address(task.value_()), agreeing=panic.agreeing,
                conflicting=panic.conflicting,
            )  # fmt: skip
    except READ_ERRORS:
        pass
    return _with_logged_task(facts, panic) if panic.message else panic


def _all(facts: DeathFacts) -> Iterator[_Witness]:
    for source in _SOURCES:
        try:
            yield from source(facts)
        except READ_ERRORS:
            continue


# The kernel's own words.

_Patterns = tuple[tuple[str, PanicKind], ...]

_MESSAGES: _Patterns = (
    (r"sysrq triggered crash", "sysrq"),
    (r"panic_on_warn set", "warn"),
    (r"[Oo]ut of memory|deadlocked on memory|panic_on_oom", "oom"),
    (r"hung_task: blocked tasks", "hung-task"),
    (r"softlockup: hung tasks", "soft-lockup"),
    (r"[Hh]ard LOCKUP", "hard-lockup"),
    (r"RCU Stall", "rcu-stall"),
    (r"NMI: Not continuing|NMI IOCK error|An NMI occurred", "unknown-nmi"),
    (r"[Mm]achine check|Timeout: Not all CPUs entered", "machine-check"),
    (r"kernel NULL pointer dereference|unable to handle kernel NULL", "null-deref"),
    (r"unable to handle (?:kernel )?(?:page fault|paging request)", "bad-page-fault"),
    (r"general protection fault", "general-protection"),
    (r"[Kk]ernel BUG at", "bug"),
    # The message says nothing of its own: the report before it does.
    (r"Fatal exception", "other"),
)  # fmt: skip


def _message(facts: DeathFacts) -> Iterator[_Witness]:
    message = facts.panic_message
    for pattern, kind in _MESSAGES:
        if re.search(pattern, message):
            yield _Witness(
                kind, 0 if kind == "other" else 3,
                Evidence(
                    label="panic message", text=message, crash="sys | grep PANIC",
                    drgn="from drgn.helpers.linux.panic import panic_message\n\n"
                         "print(panic_message(prog))",
                ),
            )  # fmt: skip
            return
    if message.startswith("Kernel panic"):
        yield _Witness("other", 1, of_log("panic message", message))


_REPORTS: dict[ReportKind, PanicKind] = {
    "bug": "bug", "warning": "warn", "null-deref": "null-deref",
    "bad-page-fault": "bad-page-fault", "general-protection": "general-protection",
    "soft-lockup": "soft-lockup", "hard-lockup": "hard-lockup", "rcu-stall": "rcu-stall",
    "hung-task": "hung-task", "oom": "oom", "nmi": "unknown-nmi", "sysrq": "sysrq",
    "machine-check": "machine-check",
}  # fmt: skip


def _last_report(facts: DeathFacts) -> Iterator[_Witness]:
    """What the log last reported before the kernel died, close to its end."""
    if not facts.panic_message:
        return
    records = facts.log.records
    for report in reversed(facts.log.reports):
        if report.kind == "panic":
            continue
        kind = _REPORTS.get(report.kind)
        if kind is None and "general protection fault" in report.title:
            kind = "general-protection"
        if kind is None or records[-1].timestamp_ns - records[report.first].timestamp_ns > 60e9:
            return
        yield _Witness(
            kind, 2,
            of_log(
                "last report in the log", report.title,
                grep=f"-F {shlex.quote(report.title[:40])}",
            ),
        )  # fmt: skip
        return


# The stack that led into panic().

_WAYS: _Patterns = (
    (r"sysrq_handle_crash|__handle_sysrq", "sysrq"),
    (r"__warn(?:_printk)?$|warn_slowpath|check_panic_on_warn", "warn"),
    (r"out_of_memory|mem_cgroup_out_of_memory|check_panic_on_oom", "oom"),
    (r"watchdog_timer_fn", "soft-lockup"),
    (r"watchdog_overflow_callback|watchdog_hardlockup_|watchdog_buddy_", "hard-lockup"),
    (r"panic_on_rcu_stall|rcu_sched_clock_irq|rcu_check_callbacks|print_\w*cpu_stall|"
         r"check_cpu_stall", "rcu-stall"),
    (r"unknown_nmi_error|pci_serr_error|io_check_error|mem_parity_error", "unknown-nmi"),
    (r"do_machine_check|mce_panic|exc_machine_check|mce_timed_out", "machine-check"),
    (r"check_hung_\w+|watchdog$", "hung-task"),
)  # fmt: skip


def _way(facts: DeathFacts) -> Iterator[_Witness]:
    stopped = facts.stopped
    if stopped is None:
        return
    for function in stopped.way:
        for pattern, kind in _WAYS:
            if re.match(pattern, function):
                # In old kernels sysrq-c dereferences NULL: everything else then says so.
                weight = 9 if kind == "sysrq" else 4
                yield _Witness(
                    kind, weight,
                    Evidence(
                        label="way into panic()",
                        text=" <- ".join(stopped.way[: stopped.way.index(function) + 1]),
                        crash="bt", drgn="print(prog.crashed_thread().stack_trace())",
                    ),
                )  # fmt: skip
                return


def _exception(facts: DeathFacts) -> Iterator[_Witness]:
    """The exception by its entry on the stack, and the instruction that it hit."""
    stopped = facts.stopped
    if stopped is None or not stopped.exception or stopped.pc is None:
        return
    at = f"{stopped.function}+{stopped.offset:#x}"
    entry = stopped.entry.removeprefix("asm_")
    instruction = decode(facts.program, stopped.pc, stopped.registers)
    text = instruction.text if instruction else "an unreadable instruction"
    kind: PanicKind = "other"
    if entry == "exc_page_fault":
        address = None if instruction is None else instruction.memory
        if address is None and instruction is not None and instruction.access is None:
            address = stopped.pc
        kind = "bad-page-fault" if address is None or address >= NULL_PAGE else "null-deref"
        where = "" if address is None else f", which went for {address:#x}"
        text += where
    elif entry == "exc_general_protection":
        kind = "general-protection"
    elif entry == "exc_invalid_op":
        kind = "warn" if any(name.startswith("__warn") for name in stopped.way) else "bug"
    elif entry == "exc_machine_check":
        kind = "machine-check"
    yield _Witness(
        kind, 4,
        Evidence(
            label="exception",
            text=f"{entry} at {at}: {text}",
            crash="bt" if stopped.entry_at is None else f"rd -s {stopped.entry_at:x}",
            drgn="print(prog.crashed_thread().stack_trace()[0].registers())"
            if stopped.entry_at is None
            else f"print(prog.symbol(prog.read_u64({stopped.entry_at:#x})))",
        ),
    )  # fmt: skip


# How the kernel was set: it only panics of what it was told to.

_SETTINGS: dict[PanicKind, tuple[str, ...]] = {
    # panic_on_warn is not among them: panic() clears it.
    "oom": ("sysctl_panic_on_oom",),
    "hung-task": ("sysctl_hung_task_panic",),
    "soft-lockup": ("softlockup_panic",),
    "hard-lockup": ("hardlockup_panic",),
    "rcu-stall": ("sysctl_panic_on_rcu_stall",),
    "unknown-nmi": ("unknown_nmi_panic", "panic_on_unrecovered_nmi"),
}


def _settings(facts: DeathFacts, kind: PanicKind) -> Iterator[tuple[bool, Evidence]]:
    """Whether the kernel was told to panic of this, where that can be set."""
    values = {name: facts.number(name) for name in _SETTINGS.get(kind, ())}
    known = {name: value for name, value in values.items() if value is not None}
    for name, value in known.items():
        if value or not any(known.values()):
            yield bool(value), Evidence(
                label="setting", text=f"{name} = {value}", crash=f"p {name}",
                drgn=f'print(prog["{name}"])',
            )  # fmt: skip


def _task(facts: DeathFacts) -> Iterator[_Witness]:
    task = facts.panic_task
    if task is not None and task.comm.string_() == b"khungtaskd":
        text = "khungtaskd, the hung task detector, was running"
        drgn = "print(prog.crashed_thread().object.comm)"
        yield _Witness(
            "hung-task", 1, Evidence(label="panic task", text=text, crash="set -p", drgn=drgn)
        )


def _crash_time(facts: DeathFacts) -> Iterator[_Witness]:
    """What the crash kernel was told: it is not started without a crash."""
    if facts.target.identity.crash_time_seconds is not None:
        yield _Witness(
            "other", 1,
            Evidence(
                label="VMCOREINFO", text=f"CRASHTIME={facts.target.identity.crash_time_seconds}",
                crash="help -D | grep CRASHTIME",
                drgn='print(prog["VMCOREINFO"].string_().decode())',
            ),
        )  # fmt: skip


_SOURCES: tuple[Callable[[DeathFacts], Iterator[_Witness]], ...] = (
    _way,
    _exception,
    _message,
    _last_report,
    _task,
    _crash_time,
)
