"""The hung task detector's panic: tasks were blocked for too long."""

import re
from collections.abc import Iterator

from kscope.model.survey import Finding
from kscope.triage.evidence import name_of, of_log, of_task, of_variable
from kscope.triage.facts import Facts
from kscope.triage.panics import TRIGGER, panic_finding, where
from kscope.triage.rule import Rule
from kscope.triage.waiting import lasting, waited

_REPORTED = re.compile(
    r"INFO: task (.*):(\d+) blocked (?:in I/O wait )?for more than (\d+) seconds"
)
_MOST = 8


def _check(facts: Facts) -> Iterator[Finding]:
    if facts.panic.kind != "hung-task":
        return
    timeout = facts.number("sysctl_hung_task_timeout_secs")
    evidence = []
    if timeout:
        meaning = f"a task is reported after {timeout} s in uninterruptible sleep"
        evidence.append(of_variable("sysctl_hung_task_timeout_secs", timeout, meaning))
    reported = _reported(facts)
    for pid, line in reported.items():
        evidence.append(of_log(f"reported: {pid}", line))
    blocked = [task for task in facts.locks.blocked if task.state == "UN" and not task.killable]
    evidence += [of_task(task) for task in blocked[:_MOST]]
    first = next(iter(reported), None)
    longest = waited(blocked)
    named = name_of(facts.blocked[first]) if first in facts.blocked else first
    yield panic_finding(
        facts,
        RULE.name,
        title=f"Panic: hung task{lasting(longest)}, {where(facts)}",
        explanation=(f"First report: {named}. " if first is not None else "")
        + "The detector only ended it: tasks had been in uninterruptible sleep for more "
        f"than {f'{timeout} s' if timeout else 'it was told to allow'}. "
        + "What they wait for, and who has it, is in the findings about locks and blocked tasks.",
        evidence=evidence,
        tasks=(*_culprits(facts), *reported),
        disproof="kernel.hung_task_panic is 0, or none of the tasks reported is blocked any more",
        rank=TRIGGER,
        duration_ns=longest or None,
    )


def _reported(facts: Facts) -> dict[int, str]:
    """PID and line of the tasks that the log calls hung."""
    found = {}
    for report in facts.log.reports:
        match = _REPORTED.match(report.title)
        if report.kind == "hung-task" and match:
            found[int(match[2])] = report.title
    return found


def _culprits(facts: Facts) -> list[int]:
    """Those whom the others wait for."""
    found = [pid for ring in facts.locks.rings for pid in ring.pids]
    return found or [root.pid for root in facts.locks.roots[:1] if root.pid is not None]


RULE = Rule("panic-hung-task", "a panic of the hung task detector", _check, live=False)
