"""Requests that block drivers were given and have not completed."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from drgn import Object, Program
from drgn.helpers.linux.block import (
    blk_rq_bytes,
    blk_rq_pos,
    disk_name,
    for_each_disk,
    op_is_write,
    req_op,
    request_queue_busy_iter,
)
from drgn.helpers.linux.timekeeping import ktime_get_coarse_ns

from kscope.kernel.access.reading import READ_ERRORS
from kscope.model.text import printable

_MOST = 5000


@dataclass(frozen=True)
class Request:
    """One request in flight."""

    address: int
    age_ns: int
    """Since the driver was given it; where the queue keeps no statistics, since it was made."""
    write: bool
    sector: int
    size_bytes: int


def busy_requests(program: Program) -> Iterator[tuple[str, Object]]:
    """The disk's name and ``struct request *`` of each. The rest of a queue that cannot be read is
    left out."""
    for disk in for_each_disk(program):
        try:
            name = printable(disk_name(disk))
            for request in islice(request_queue_busy_iter(disk.queue), _MOST):
                yield name, request
        except READ_ERRORS:
            continue


def requests_in_flight(program: Program) -> Mapping[str, Sequence[Request]]:
    """By disk, the oldest first. One that cannot be read is left out."""
    now = int(ktime_get_coarse_ns(program))
    found: dict[str, list[Request]] = defaultdict(list)
    for disk, request in busy_requests(program):
        try:
            start = request.io_start_time_ns.value_() or request.start_time_ns.value_()
            if start:
                found[disk].append(_read(request, max(0, now - start)))
        except READ_ERRORS:
            continue
    return {disk: sorted(requests, key=lambda r: -r.age_ns) for disk, requests in found.items()}


def _read(request: Object, age_ns: int) -> Request:
    return Request(
        address=request.value_(),
        age_ns=age_ns,
        write=bool(op_is_write(req_op(request))),
        sector=int(blk_rq_pos(request)),
        size_bytes=int(blk_rq_bytes(request)),
    )
