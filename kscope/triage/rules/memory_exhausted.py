"""Memory so low that every allocation has to reclaim first."""

from collections.abc import Iterator

from drgn import Object
from drgn.helpers.linux.mmzone import for_each_online_pgdat
from drgn.helpers.linux.vmstat import zone_page_state

from kscope.kernel.access.reading import READ_ERRORS
from kscope.kernel.machine.memory_counters import memory_counters
from kscope.model.survey import Evidence, Finding
from kscope.model.text import printable
from kscope.triage.evidence import of_task
from kscope.triage.facts import Facts
from kscope.triage.rule import Rule

_MIN = 0
"""``WMARK_MIN``: below it only the kernel's own emergencies may allocate."""
_MIB = 1 << 20
_MANY = 3
"""Tasks that are in direct reclaim at the same moment."""


def _check(facts: Facts) -> Iterator[Finding]:
    if facts.panic.kind == "oom":
        return  # told of as the panic
    page = int(facts.program["PAGE_SIZE"])
    low, all_low = [], True
    for zone, free, minimum in _zones(facts):
        if free < minimum:
            low.append((zone, free * page, minimum * page))
        else:
            all_low = False
    reclaiming = [task for task in facts.locks.blocked if task.category == "memory"]
    if not (low and all_low) and len(reclaiming) < _MANY:
        return
    counters = memory_counters(facts.program)
    free = counters.get("free", 0)
    yield Finding(
        rule=RULE.name,
        severity="warning",
        title=f"Memory is exhausted: {free // _MIB} MB free"
        + (f", {len(reclaiming)} tasks wait for some to be reclaimed" if reclaiming else ""),
        explanation="Every zone is below its minimum, so that whoever needs a page has to free one "
        "first. A machine that does so all the time looks like one that hangs. Look at the largest "
        "processes, at tmpfs and at slab caches that cannot be reclaimed. ",
        evidence=(
            *(
                Evidence(
                    label=f"zone {name}",
                    text=f"{free // 1024} KB free, its minimum is {minimum // 1024} KB",
                    crash="kmem -z",
                    drgn="from drgn.helpers.linux.vmstat import nr_free_pages\n\n"
                    "print(nr_free_pages(prog))",
                )
                for name, free, minimum in low
            ),
            Evidence(
                label="memory",
                text=", ".join(f"{name} {value // _MIB} MB" for name, value in counters.items()),
                crash="kmem -i",
                drgn="from drgn.helpers.linux.mm import totalram_pages\n\n"
                "print(totalram_pages(prog))",
            ),
            *(of_task(task) for task in reclaiming[:6]),
        ),
        tasks=tuple(task.pid for task in reclaiming),
        disproof="a zone that such allocations may use has more than its minimum free",
        rank=18,
    )


def _zones(facts: Facts) -> Iterator[tuple[str, int, int]]:
    """Name, free pages and minimum of each zone that has pages."""
    item = facts.program["NR_FREE_PAGES"]
    for node in for_each_online_pgdat(facts.program):
        for zone in node.node_zones:
            if not zone.present_pages.value_() or not _managed(zone):
                continue
            name = f"{node.node_id.value_()} {printable(zone.name.string_())}"
            minimum = zone.member_("_watermark")[_MIN].value_()
            yield name, int(zone_page_state(zone.address_of_(), item)), minimum


def _managed(zone: Object) -> int:
    try:
        return int(zone.managed_pages.counter.value_())
    except READ_ERRORS:
        return int(zone.present_pages.value_())


RULE = Rule("memory-exhausted", "memory that is nearly used up", _check)
