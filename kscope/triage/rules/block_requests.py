"""Block requests that a driver was given long ago and has not completed."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

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
from kscope.model.durations import in_words
from kscope.model.survey import Evidence, Finding
from kscope.model.text import printable
from kscope.triage.facts import Facts
from kscope.triage.rule import Rule
from kscope.triage.waiting import LONG_NS, severity_of

_MOST_SHOWN = 6
_MOST_READ = 5000


@dataclass(frozen=True)
class _Request:
    address: int
    age_ns: int
    write: bool
    sector: int
    size_bytes: int


def _check(facts: Facts) -> Iterator[Finding]:
    now = int(ktime_get_coarse_ns(facts.program))
    for device, requests in _in_flight(facts, now).items():
        old = sorted((r for r in requests if r.age_ns >= LONG_NS), key=lambda r: -r.age_ns)
        if old:
            yield _finding(facts, device, old, len(requests))


def _in_flight(facts: Facts, now: int) -> dict[str, list[_Request]]:
    found: dict[str, list[_Request]] = defaultdict(list)
    for disk in for_each_disk(facts.program):
        name = printable(disk_name(disk))
        try:
            for count, request in enumerate(request_queue_busy_iter(disk.queue)):
                if count >= _MOST_READ:
                    break
                # Zero where the queue keeps no statistics.
                start = request.io_start_time_ns.value_() or request.start_time_ns.value_()
                if start:
                    found[name].append(
                        _Request(
                            request.value_(),
                            max(0, now - start),
                            bool(op_is_write(req_op(request))),
                            int(blk_rq_pos(request)),
                            int(blk_rq_bytes(request)),
                        )
                    )
        except READ_ERRORS:
            continue
    return found


def _finding(facts: Facts, device: str, old: list[_Request], total: int) -> Finding:
    longest = old[0].age_ns
    return Finding(
        rule=RULE.name,
        severity=severity_of(facts, longest),
        title=f"{device}: {len(old)} of {total} requests in flight are older than "
        f"{in_words(LONG_NS)}, the oldest {in_words(longest)}",
        explanation=f"The driver of {device} was given these requests and has not completed them: "
        "a device, a path to it or a hypervisor that does not answer. Look at the driver's "
        "messages in the log and at its timeouts.",
        evidence=tuple(
            Evidence(
                label=f"request {request.address:x}",
                text=f"{'write' if request.write else 'read'} of {request.size_bytes} bytes at "
                f"sector {request.sector}, {in_words(request.age_ns)} old",
                crash=f"struct request {request.address:x}",
                drgn="from drgn import Object\n\n"
                f'print(Object(prog, "struct request", address={request.address:#x}))',
            )
            for request in old[:_MOST_SHOWN]
        ),
        disproof="the requests' state is idle, or their tags were given to others",
        rank=15,
    )


RULE = Rule("block-requests", "block requests that do not complete", _check,
            needs=("struct request",))  # fmt: skip
