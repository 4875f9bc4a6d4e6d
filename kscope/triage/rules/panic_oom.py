"""Out of memory with panic_on_oom."""

import re
from collections.abc import Iterator

from kscope.kernel.death.oom_report import OomReport, all_killed, parse
from kscope.kernel.machine.memory_counters import memory_counters
from kscope.model.survey import Evidence, Finding
from kscope.model.tasks import Task
from kscope.triage.evidence import of_log
from kscope.triage.facts import Facts
from kscope.triage.memory_use import largest_processes, of_counters, of_process, size
from kscope.triage.panics import panic_finding, where
from kscope.triage.rule import Rule


def _check(facts: Facts) -> Iterator[Finding]:
    if facts.panic.kind != "oom":
        return
    report = _report(facts)
    counters = memory_counters(facts.program)
    processes = largest_processes(facts)
    evidence = [of_process(task) for task in processes]
    if report is not None:
        evidence.append(_report_evidence(report))
    if counters:
        evidence.append(of_counters(counters))
    killed = all_killed(facts.log.records)
    if killed:
        names = ", ".join(f"{comm} {pid}" for pid, comm in killed)
        evidence.append(Evidence(label="killed before", text=names, crash="log | grep -i 'kill'"))
    largest = processes[0] if processes else None
    total = counters.get("total", 0)
    share = ""
    if largest is not None and largest.rss_bytes is not None and total:
        share = f", {100 * largest.rss_bytes // total} % of memory"
    yield panic_finding(
        facts,
        RULE.name,
        title="Out of memory"
        + (f": {largest.comm} {largest.pid} has {size(largest.rss_bytes)}{share}"
           if largest else f", {where(facts)}"),
        explanation=_explanation(facts, report, counters, largest),
        evidence=evidence,
        tasks=[task.pid for task in processes[:1]],
        disproof="enough free pages of that order in a zone that the allocation may use, or a "
        "larger user than the processes listed",
    )  # fmt: skip


def _explanation(
    facts: Facts, report: OomReport | None, counters: dict[str, int], largest: Task | None
) -> str:
    scope = (report.constraint if report else "") or _scope(facts.panic.message)
    text = f"Memory of {scope} ran out while {where(facts)} asked for more"
    if report is not None and report.order > 0:
        text += f" (for {1 << report.order} pages in a row, which fragmentation alone can prevent)"
    # The two are the words of new and of old kernels.
    if re.search("deadlocked on memory|no killable", facts.panic.message):
        text += ", and there was no process left that could be killed for it. "
    else:
        text += ", and vm.panic_on_oom makes that a panic. "
    unreclaimable = counters.get("slab, unreclaimable", 0)
    total = counters.get("total", 0)
    if total and unreclaimable > total // 4:
        text += (
            f"The kernel itself holds {size(unreclaimable)} in slab caches that cannot be "
            "reclaimed: look for the cache that grew (kmem -s). "
        )
    elif largest is not None:
        text += (
            f"Look at what {largest.comm} {largest.pid} was doing with it, and whether it was "
            "given a limit. "
        )
    shmem = counters.get("shared (shmem, tmpfs)", 0)
    if total and shmem > total // 4:
        text += f"{size(shmem)} are in tmpfs and shared memory, which belongs to no process. "
    return text


def _scope(message: str) -> str:
    return "a cgroup, cpuset or memory policy" if "compulsory" in message else "the whole machine"


def _report(facts: Facts) -> OomReport | None:
    for report in reversed(facts.log.reports):
        if report.kind == "oom":
            return parse(facts.log.records, report)
    return None


def _report_evidence(report: OomReport) -> Evidence:
    interesting = ("free", "active_anon", "inactive_anon", "shmem", "slab_unreclaimable")
    pages = ", ".join(
        f"{name} {report.pages[name]}" for name in interesting if name in report.pages
    )
    flags = f" ({report.flags})" if report.flags else ""
    text = f"{report.comm} invoked it, order {report.order}, gfp_mask {report.gfp_mask}{flags}; "
    return of_log("OOM report", f"{text}pages: {pages}", grep="-A40 oom-killer")


RULE = Rule("panic-oom", "running out of memory", _check, live=False)
