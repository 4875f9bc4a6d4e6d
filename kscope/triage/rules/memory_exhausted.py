"""Memory so low that every allocation has to reclaim first, and reclaim that gets no further."""

from collections.abc import Iterator

from kscope.kernel.machine.memory_counters import memory_counters
from kscope.kernel.machine.memory_zones import Zone
from kscope.model.durations import in_words
from kscope.model.locks import Blocked
from kscope.model.survey import Evidence, Finding
from kscope.triage.evidence import of_task
from kscope.triage.facts import Facts
from kscope.triage.memory_use import (
    is_exhausted,
    largest_processes,
    no_zone_has_any,
    of_counters,
    of_process,
    reclaiming,
    shrinker_of,
    size,
)
from kscope.triage.rule import Rule
from kscope.triage.waiting import severity_of, waited

_MOST_SHOWN = 6


def _check(facts: Facts) -> Iterator[Finding]:
    if not is_exhausted(facts):
        return
    counters = memory_counters(facts.program)
    stuck = reclaiming(facts)
    longest = waited(stuck) if stuck else None
    yield Finding(
        rule=RULE.name,
        severity="warning" if longest is None else severity_of(facts, longest),
        title=_title(facts, counters, longest),
        explanation=_explanation(facts, stuck),
        evidence=(
            *(_of_zone(zone) for zone in facts.zones),
            *(of_task(task) for task in stuck[:_MOST_SHOWN]),
            of_counters(counters),
            *(of_process(task) for task in largest_processes(facts)),
        ),
        duration_ns=longest,
        tasks=tuple(task.pid for task in stuck),
        blameless=True,
        disproof="a zone that an ordinary allocation may use has more than its minimum and its "
        "reserve free, and none of these tasks is in reclaim",
        rank=5,
    )


def _title(facts: Facts, counters: dict[str, int], longest: int | None) -> str:
    what = "Memory is exhausted" if no_zone_has_any(facts) else "Reclaim of memory is stuck"
    lasting = "" if longest is None else f" for {in_words(longest)}"
    return f"{what}{lasting}: {size(counters.get('free'))} of {size(counters.get('total'))} free"


def _explanation(facts: Facts, stuck: list[Blocked]) -> str:
    text = ""
    if stuck:
        text = f"{len(stuck)} task{'s wait' if len(stuck) > 1 else ' waits'} for reclaim"
        kswapd = len(stuck) > 1 and any(task.comm.startswith("kswapd") for task in stuck)
        text += ", kswapd among them" if kswapd else ""
        text += ". "
    if no_zone_has_any(facts):
        text += (
            "No zone has more free than its min watermark and its reserve, so whoever needs a page "
            "has to free one first. "
        )
    else:
        text += "They have to free memory before they get some. "
    shrinkers = dict.fromkeys(filter(None, map(shrinker_of, stuck)))
    if shrinkers:
        names = " and ".join(f"{name}()" for name in shrinkers)
        text += (
            f"Reclaim does not come back from the shrinker {names}: read what that waits for, it "
            "keeps everybody from getting memory. "
        )
    else:
        text += "A machine that reclaims all the time looks like one that hangs. "
    return text + (
        "Then look at who has the memory: the largest processes, tmpfs (shared), slab caches that "
        "cannot be reclaimed (kmem -s)."
    )


def _of_zone(zone: Zone) -> Evidence:
    verdict = "exhausted" if zone.exhausted else "has enough"
    return Evidence(
        label=f"zone {zone.name}",
        text=f"{zone.free // 1024} KB free; to be left: min {zone.minimum // 1024} KB + reserve "
        f"{zone.reserved // 1024} KB: {verdict}",
        crash="kmem -z",
        drgn="from drgn.helpers.linux.mmzone import for_each_online_pgdat\n\n"
        "for node in for_each_online_pgdat(prog):\n"
        "    for zone in node.node_zones:\n"
        "        print(zone.name, zone._watermark, zone.lowmem_reserve)",
    )


RULE = Rule("memory-exhausted", "memory that is nearly used up", _check)
