"""Out of memory with panic_on_oom."""

from collections.abc import Iterator

from kscope.kernel.death.oom_report import OomReport, all_killed, parse
from kscope.kernel.machine.memory_counters import memory_counters
from kscope.model.survey import Evidence, Finding
from kscope.model.tasks import Task
from kscope.triage.facts import Facts
from kscope.triage.panics import panic_finding, where
from kscope.triage.rule import Rule

_LARGEST = 5
_MIB = 1 << 20


def _check(facts: Facts) -> Iterator[Finding]:
    if facts.panic.kind != "oom":
        return
    report = _report(facts)
    counters = memory_counters(facts.program)
    processes = _largest_processes(facts)
    evidence = [_process_evidence(task) for task in processes]
    if report is not None:
        evidence.append(_report_evidence(report))
    if counters:
        evidence.append(_counters_evidence(counters))
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
        + (f": {largest.comm} {largest.pid} has {_size(largest.rss_bytes)}{share}"
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
    text += ", and vm.panic_on_oom makes that a panic. "
    unreclaimable = counters.get("slab, unreclaimable", 0)
    total = counters.get("total", 0)
    if total and unreclaimable > total // 4:
        text += (
            f"The kernel itself holds {_size(unreclaimable)} in slab caches that cannot be "
            "reclaimed: look for the cache that grew (kmem -s). "
        )
    elif largest is not None:
        text += (
            f"Look at what {largest.comm} {largest.pid} was doing with it, and whether it was "
            "given a limit. "
        )
    shmem = counters.get("shared (shmem, tmpfs)", 0)
    if total and shmem > total // 4:
        text += f"{_size(shmem)} are in tmpfs and shared memory, which belongs to no process. "
    return text


def _scope(message: str) -> str:
    return "a cgroup, cpuset or memory policy" if "compulsory" in message else "the whole machine"


def _report(facts: Facts) -> OomReport | None:
    for report in reversed(facts.log.reports):
        if report.kind == "oom":
            return parse(facts.log.records, report)
    return None


def _largest_processes(facts: Facts) -> list[Task]:
    """Each process once: threads share their memory."""
    leaders = [task for task in facts.tasks if task.leader and task.rss_bytes]
    return sorted(leaders, key=lambda task: -(task.rss_bytes or 0))[:_LARGEST]


def _process_evidence(task: Task) -> Evidence:
    return Evidence(
        label=f"{task.comm} {task.pid}",
        text=f"RSS {_size(task.rss_bytes)}, virtual {_size(task.vsize_bytes)}",
        crash=f"ps -G {task.pid}",
        drgn="from drgn.helpers.linux.mm import task_rss\n"
        "from drgn.helpers.linux.pid import find_task\n\n"
        f"print(task_rss(find_task(prog, {task.pid})))",
    )


def _report_evidence(report: OomReport) -> Evidence:
    interesting = ("free", "active_anon", "inactive_anon", "shmem", "slab_unreclaimable")
    pages = ", ".join(
        f"{name} {report.pages[name]}" for name in interesting if name in report.pages
    )
    flags = f" ({report.flags})" if report.flags else ""
    return Evidence(
        label="OOM report",
        text=f"{report.comm} invoked it, order {report.order}, gfp_mask {report.gfp_mask}{flags}; "
        f"pages: {pages}",
        crash="log | grep -A40 oom-killer",
        drgn="from drgn.helpers.linux.printk import print_dmesg\n\nprint_dmesg(prog)",
    )


def _counters_evidence(counters: dict[str, int]) -> Evidence:
    return Evidence(
        label="memory",
        text=", ".join(f"{name} {_size(value)}" for name, value in counters.items()),
        crash="kmem -i",
        drgn="from drgn.helpers.linux.vmstat import nr_free_pages\n\nprint(nr_free_pages(prog))",
    )


def _size(value: int | None) -> str:
    if value is None:
        return "?"
    return f"{value / _MIB:.1f} MB" if value < 10 << 30 else f"{value / (1 << 30):.1f} GB"


RULE = Rule("panic-oom", "running out of memory", _check, live=False)
