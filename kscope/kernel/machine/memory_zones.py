"""How much of each zone ordinary allocations may still take."""

from collections.abc import Iterator
from dataclasses import dataclass

from drgn import Object, Program
from drgn.helpers.linux.mmzone import for_each_online_pgdat
from drgn.helpers.linux.vmstat import zone_page_state

from kscope.kernel.access.reading import READ_ERRORS
from kscope.model.text import printable

_WMARK_MIN = 0
"""Below it only the kernel's own emergencies may allocate."""


@dataclass(frozen=True)
class Zone:
    """A zone that has pages; in bytes."""

    name: str
    """Node and name."""
    free: int
    minimum: int
    """The min watermark."""
    reserved: int
    """``lowmem_reserve``: what allocations that could be made from the highest zone must leave."""

    @property
    def exhausted(self) -> bool:
        """Whether an ordinary allocation finds nothing here (__zone_watermark_ok())."""
        return self.free <= self.minimum + self.reserved


def memory_zones(program: Program) -> list[Zone]:
    """All zones with pages, lowest first."""
    item = program["NR_FREE_PAGES"]
    page = int(program["PAGE_SIZE"])
    zones = list(_populated(program))
    highest = max((index for _, index, _ in zones), default=0)
    return [
        Zone(
            name=f"{node} {printable(zone.name.string_())}",
            free=int(zone_page_state(zone.address_of_(), item)) * page,
            minimum=zone.member_("_watermark")[_WMARK_MIN].value_() * page,
            reserved=zone.lowmem_reserve[highest].value_() * page,
        )
        for node, _, zone in zones
    ]


def _populated(program: Program) -> Iterator[tuple[int, int, Object]]:
    """Number of the node, index of the zone in it, ``struct zone``."""
    for node in for_each_online_pgdat(program):
        for index, zone in enumerate(node.node_zones):
            if zone.present_pages.value_() and _managed(zone):
                yield node.node_id.value_(), index, zone


def _managed(zone: Object) -> int:
    try:
        return int(zone.managed_pages.counter.value_())
    except READ_ERRORS:
        return int(zone.present_pages.value_())
