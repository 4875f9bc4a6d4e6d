"""Where the memory went: the kernel's own counters, in bytes."""

import contextlib
from collections.abc import Callable

from drgn import Program
from drgn.helpers.linux.mm import totalram_pages
from drgn.helpers.linux.vmstat import global_node_page_state, nr_free_pages

from kscope.kernel.access.reading import READ_ERRORS

# enum node_stat_item by what an administrator calls it, newest name first. Slab's are counted in
# pages also where their names end in _B, for bytes, since Linux kernel commit d42f3245c7e2 ("mm:
# memcg: convert vmstat slab counters to bytes") (in v5.9).
_NODE_COUNTERS = {
    "anonymous": ("NR_ANON_MAPPED",),
    "shared (shmem, tmpfs)": ("NR_SHMEM",),
    "page cache": ("NR_FILE_PAGES",),
    "slab, unreclaimable": ("NR_SLAB_UNRECLAIMABLE_B", "NR_SLAB_UNRECLAIMABLE"),
    "slab, reclaimable": ("NR_SLAB_RECLAIMABLE_B", "NR_SLAB_RECLAIMABLE"),
    "page tables": ("NR_PAGETABLE",),
}


def memory_counters(program: Program) -> dict[str, int]:
    """Bytes by use; what this kernel does not count is left out."""
    page = int(program["PAGE_SIZE"])
    counters: dict[str, int] = {}

    def add(name: str, pages: Callable[[], int]) -> None:
        with contextlib.suppress(*READ_ERRORS):
            counters[name] = pages() * page

    add("total", lambda: int(totalram_pages(program)))
    add("free", lambda: int(nr_free_pages(program)))
    for name, items in _NODE_COUNTERS.items():
        for item in items:
            try:
                constant = program[item]
            except LookupError:
                continue
            add(name, lambda constant=constant: int(global_node_page_state(program, constant)))  # type: ignore[misc]
            break
    add("huge pages", lambda: _huge_pages(program) // page)
    return counters


def _huge_pages(program: Program) -> int:
    total = 0
    for index in range(int(program["hugetlb_max_hstate"])):
        state = program["hstates"][index]
        size = int(program["PAGE_SIZE"]) << state.order.value_()
        total += state.nr_huge_pages.value_() * size
    return total
