"""The OOM killer's report, parsed: mm/oom_kill.c's dump_header() and oom_kill_process()."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kscope.model.log import Record, Report

_INVOKED = re.compile(
    r"(?P<comm>.*) invoked oom-killer: gfp_mask=(?P<gfp>0x[0-9a-f]+)(?:\((?P<flags>[^)]*)\))?,"
    r".*\border=(?P<order>-?\d+)"
)
_CONSTRAINT = re.compile(r"oom-kill:constraint=(\w+)")
_KILLED = re.compile(
    r"(?:Memory cgroup out of memory|Out of memory|oom-kill)[^:]*: Kill(?:ed)? process (\d+) "
    r"\((.*?)\)"
)
_COUNTER = re.compile(r"(\w+):(\d+)(?!\w)")

_CONSTRAINTS = {
    "CONSTRAINT_NONE": "the whole machine",
    "CONSTRAINT_CPUSET": "a cpuset",
    "CONSTRAINT_MEMORY_POLICY": "a NUMA memory policy",
    "CONSTRAINT_MEMCG": "a memory cgroup",
}


@dataclass(frozen=True)
class OomReport:
    """One time that memory ran out."""

    comm: str
    """Who asked for memory when there was none."""
    gfp_mask: str
    flags: str
    order: int
    """It asked for 2^order pages that follow each other."""
    constraint: str
    """Whose memory ran out, in words; empty if the report does not say."""
    pages: dict[str, int]
    """The counters of its Mem-Info, in pages."""
    killed: tuple[tuple[int, str], ...]
    """PID and name of the victims."""


def parse(records: Sequence[Record], report: Report) -> OomReport | None:
    """What the report in these records says."""
    lines = [record.text for record in records[report.first : report.last + 1]]
    invoked = _INVOKED.match(lines[0]) if lines else None
    if invoked is None:
        return None
    constraint = ""
    for line in lines:
        found = _CONSTRAINT.search(line)
        if found:
            constraint = _CONSTRAINTS.get(found[1], found[1])
    return OomReport(
        comm=invoked["comm"],
        gfp_mask=invoked["gfp"],
        flags=invoked["flags"] or "",
        order=int(invoked["order"]),
        constraint=constraint,
        pages=_mem_info(lines),
        killed=tuple(_killed(lines)),
    )


def all_killed(records: Iterable[Record]) -> list[tuple[int, str]]:
    """PID and name of everyone whom the OOM killer ever killed, as far back as the log goes."""
    return list(_killed(record.text for record in records))


def _killed(lines: Iterable[str]) -> Iterable[tuple[int, str]]:
    for line in lines:
        found = _KILLED.search(line)
        if found:
            yield int(found[1]), found[2]


def _mem_info(lines: Sequence[str]) -> dict[str, int]:
    pages: dict[str, int] = {}
    inside = False
    for line in "\n".join(lines).splitlines():
        if line.strip() == "Mem-Info:":
            inside = True
        elif inside and line.lstrip().startswith("Node "):
            break
        elif inside:
            pages |= {name: int(value) for name, value in _COUNTER.findall(line)}
    return pages
