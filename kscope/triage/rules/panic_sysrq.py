"""sysrq-c: somebody crashed the machine on purpose."""

from collections.abc import Iterator

from drgn import Object

from kscope.kernel.access.reading import READ_ERRORS
from kscope.model.survey import Evidence, Finding
from kscope.model.text import printable
from kscope.triage.facts import Facts
from kscope.triage.panics import TRIGGER, panic_finding, where
from kscope.triage.rule import Rule

_MOST_ANCESTORS = 20


def _check(facts: Facts) -> Iterator[Finding]:
    if facts.panic.kind != "sysrq":
        return
    way = facts.stopped.way if facts.stopped else ()
    evidence = []
    if any(function.startswith("write_sysrq_trigger") for function in way):
        parents = _ancestors(facts.panic_task)
        who = f"{where(facts)} wrote to /proc/sysrq-trigger"
        chain = " <- ".join(f"{comm} {pid}" for pid, comm in parents)
        evidence.append(
            Evidence(
                label="who", text=chain, crash=f"ps -p {facts.panic.pid}",
                drgn=f"from drgn.helpers.linux.pid import find_task\n\n"
                     f"print(find_task(prog, {facts.panic.pid}).real_parent.comm)",
            )
        )  # fmt: skip
    elif way:
        who = f"the sysrq key was pressed on a keyboard or console while {where(facts)} ran"
    else:
        who = f"the log says that sysrq-c was used while {where(facts)} ran, not by whom"
    yield panic_finding(
        facts,
        RULE.name,
        title=f"Crashed on purpose by sysrq: {where(facts)}",
        explanation=f"Nothing in the kernel failed: {who}. People do this to a machine that hangs, "
        "and tests do it to any. What was wrong before, if anything, is in the other findings: "
        "blocked tasks, CPUs that do not schedule, memory.",
        evidence=evidence,
        disproof="no sysrq_handle_crash() on the panicking CPU's stack",
        severity="info",
        rank=TRIGGER,
    )


def _ancestors(task: Object | None) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    try:
        while task and len(found) < _MOST_ANCESTORS:
            found.append((task.pid.value_(), printable(task.comm.string_())))
            if task.pid.value_() in (0, 1):
                break
            task = task.real_parent.read_()
    except READ_ERRORS:
        pass
    return found


RULE = Rule("panic-sysrq", "a crash by the sysrq key", _check, needs_types=False, live=False)
