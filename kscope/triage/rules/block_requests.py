"""Block requests that a driver was given long ago and has not completed."""

from collections.abc import Iterator, Sequence

from kscope.kernel.machine.block_requests import Request
from kscope.model.base import Address
from kscope.model.durations import in_words
from kscope.model.locks import Blocked
from kscope.model.survey import Finding
from kscope.triage.evidence import of_object, of_task
from kscope.triage.facts import Facts
from kscope.triage.rule import Rule
from kscope.triage.waiting import LONG_NS, overdue_devices, severity_of

_MOST_SHOWN = 6


def _check(facts: Facts) -> Iterator[Finding]:
    for device in overdue_devices(facts):
        waiting = [task for task in facts.locks.blocked if task.device == device]
        yield _finding(facts, device, facts.requests[device], waiting)


def _finding(
    facts: Facts, device: str, requests: Sequence[Request], waiting: Sequence[Blocked]
) -> Finding:
    old = [request for request in requests if request.age_ns >= LONG_NS]
    longest = old[0].age_ns
    count = f"{len(old)} request{'s' if len(old) > 1 else ''}"
    found = f"{len(old)} of {len(requests)} requests in flight are older than {in_words(LONG_NS)}"
    if waiting:
        found += f", {len(waiting)} task{'s wait' if len(waiting) > 1 else ' waits'} for it"
    return Finding(
        rule=RULE.name,
        severity=severity_of(facts, longest),
        title=f"{device} does not answer: {count}, the oldest {in_words(longest)}",
        explanation=f"{found}. The driver was given them and has not completed them: a device, "
        "a path to it or a hypervisor that does not answer. Whoever waits for one of them, for a "
        "page or a journal commit that needs one, or for a lock of such a task, is a victim. Look "
        f"for messages of {device}'s driver in the log, at the state of its paths, and at the "
        "storage on the host's or the array's side.",
        evidence=(
            *(
                of_object(
                    f"request {request.address:x}",
                    f"{'write' if request.write else 'read'} of {request.size_bytes} bytes at "
                    f"sector {request.sector}, {in_words(request.age_ns)} old, more than "
                    f"{in_words(LONG_NS)}",
                    "request",
                    request.address,
                )
                for request in old[:_MOST_SHOWN]
            ),
            *(of_task(task) for task in waiting[:_MOST_SHOWN]),
        ),
        duration_ns=longest,
        tasks=tuple(task.pid for task in waiting),
        addresses=tuple(Address(request.address) for request in old[:_MOST_SHOWN]),
        blameless=True,
        disproof="the requests' state is MQ_RQ_IDLE, or their tags were given to others: then the "
        "device did answer",
        rank=4,
    )


RULE = Rule("block-requests", "block requests that do not complete", _check,
            needs=("struct request",))  # fmt: skip
