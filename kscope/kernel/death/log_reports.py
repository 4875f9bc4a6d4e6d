"""Finding the reports that a kernel prints about itself: oopses, lockups, OOM kills, hung tasks."""

import re
from collections.abc import Sequence

from kscope.kernel.death.hardware_errors import names_bank
from kscope.model.log import Record, Report, ReportKind

_ONE_LINE = ""
_TRACE_END = r"</TASK>"
_OOPS_END = r"---\[ end (?:trace|Kernel panic)"
_OOM_END = r"(?:Out of memory|Memory cgroup out of memory|oom-kill): ?(?:Killed|Kill) process"

# The words are those of the kernel's own printk formats; the more telling kinds come first.
_STARTS: tuple[tuple[ReportKind, str, str], ...] = (
    ("soft-lockup", r"BUG: soft lockup - CPU#\d+ stuck for \d+s!.*", _TRACE_END),
    ("hard-lockup", r"[Ww]atchdog detected hard LOCKUP on cpu.*", _TRACE_END),
    ("rcu-stall", r"INFO: rcu\w* (?:self-)?detected (?:expedited )?stalls?.*", _TRACE_END),
    ("hung-task", r"INFO: task .*:\d+ blocked (?:in I/O wait )?for more than \d+ seconds.*",
     _TRACE_END),
    ("workqueue-lockup", r"BUG: workqueue lockup.*", _ONE_LINE),
    ("kasan", r"BUG: K(?:A|C|M)SAN: .*", r"={60}"),
    ("null-deref", r"BUG: (?:kernel NULL pointer dereference|unable to handle kernel NULL).*",
     _OOPS_END),
    ("bad-page-fault", r"(?:BUG: unable|Unable) to handle .*", _OOPS_END),
    ("general-protection", r"general protection fault[,:] .*", _OOPS_END),
    ("bug", r"[Kk]ernel BUG at .*", _OOPS_END),
    ("oops", r"(?:invalid opcode|divide error|stack segment|int3|Internal error"
     r"|Oops(?!: general protection)): .*",
     _OOPS_END),
    ("warning", r"WARNING: (?:CPU: \d+ PID: \d+ )?at .*|WARNING: CPU: .*", _OOPS_END),
    ("oom", r".* invoked oom-killer: .*", _OOM_END),
    ("nmi", r"Uhhuh\. NMI received for unknown reason.*|NMI: Not continuing.*", _ONE_LINE),
    ("machine-check", r"\[Hardware Error\]: .*", _ONE_LINE),
    ("sysrq", r"sysrq: Trigger a crash.*", _ONE_LINE),
    ("panic", r"Kernel panic - not syncing.*", rf"{_TRACE_END}|{_OOPS_END}"),
)  # fmt: skip
_START = re.compile("|".join(f"({pattern})" for _, pattern, _ in _STARTS))
_ENDS = [re.compile(end) if end else None for _, _, end in _STARTS]
_HINT = re.compile("BUG|INFO: |LOCKUP|WARNING|oom-killer|panic|sysrq|NMI|Error|fault|Oops|error|op")
_HARDWARE_ERROR = re.compile(r"\[Hardware Error\]: .*")
_LONGEST = 500
"""Records that a report may span before its end is given up on."""


def find_reports(records: Sequence[Record]) -> list[Report]:
    """The reports in ``records``, in the log's order. An oops's panic is a report of its own.

    User space can write all of these words into the log, but not with the kernel's facility.
    """
    reports: list[Report] = []
    for index, record in enumerate(records):
        if record.level > 6 or record.facility or not _HINT.search(record.text):
            continue
        match = _START.search(record.text)
        if match is None or match.lastindex is None:
            continue
        kind = _STARTS[match.lastindex - 1][0]
        if reports and index <= reports[-1].last and _continues(reports[-1].kind, kind):
            continue
        end = _ENDS[match.lastindex - 1]
        title = match.group().splitlines()[0]
        if kind == "machine-check":
            title, last = _hardware_error(records, index)
        else:
            last = index if end is None else _last(records, index, end)
        if reports and reports[-1].last >= index:
            reports[-1] = Report(reports[-1].kind, reports[-1].title, reports[-1].first, index - 1)
        reports.append(Report(kind, title, index, last))
    return reports


def _continues(report: ReportKind, line: ReportKind) -> bool:
    """Whether ``line`` is one of the lines that a ``report`` itself consists of."""
    faults = ("null-deref", "bad-page-fault", "general-protection", "bug", "kasan")
    return (line == "oops" and report in faults) or line == report == "machine-check"


def _hardware_error(records: Sequence[Record], first: int) -> tuple[str, int]:
    """The line that tells most of a hardware error, and its last one: up to the next error's."""
    caller = records[first].caller
    title, last = "", first
    for index in range(first, min(first + _LONGEST, len(records))):
        record = records[index]
        if record.caller != caller:
            continue
        match = _HARDWARE_ERROR.search(record.text)
        names = names_bank(record.text)
        if match is None or (names and title):
            break
        if names:
            title = match.group()
        last = index
    return title or records[first].text, last


def _last(records: Sequence[Record], first: int, end: re.Pattern[str]) -> int:
    caller = records[first].caller
    last = first
    for index in range(first + 1, min(first + _LONGEST, len(records))):
        record = records[index]
        if record.caller != caller:
            continue  # another CPU's line between this report's lines
        if _HINT.search(record.text) and _is_other_report(record.text):
            return last
        last = index
        if end.search(record.text):
            return last
    return last


def _is_other_report(text: str) -> bool:
    match = _START.search(text)
    return (
        match is not None
        and match.lastindex is not None
        and _STARTS[match.lastindex - 1][0] != "oops"
    )
