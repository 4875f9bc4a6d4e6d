"""Servers of remote filesystems, and others, that were asked long ago and have not answered."""

import time
from collections.abc import Iterator, Sequence
from itertools import islice

from kscope.kernel.access.reading import READ_ERRORS, reason
from kscope.kernel.waiting.fuse_requests import connection_of, servers_of
from kscope.kernel.waiting.rpc_requests import mounted_by, socket_of, transport_of
from kscope.model.base import Address
from kscope.model.durations import in_words
from kscope.model.locks import Blocked, Unanswered
from kscope.model.survey import Evidence, Finding
from kscope.model.tasks import Task
from kscope.triage.evidence import of_object, of_stack, of_task
from kscope.triage.facts import Facts
from kscope.triage.rule import Rule
from kscope.triage.waiting import lasting, overdue_servers, severity_of, waited

_MOST_SHOWN = 6

_RPC_WAY_OUT = (
    "A request on a hard mount is repeated for ever. Its task goes on when the server is back, or "
    "ends if it is killed; umount -f makes all requests of a filesystem fail."
)

_SECONDS_FOR_FILES = 2.0
"""How long open files are gone through for who serves a FUSE filesystem."""


def _check(facts: Facts) -> Iterator[Finding]:
    for tasks in overdue_servers(facts):
        requests = {task.asked.request: task.asked for task in tasks if task.asked is not None}
        yield _finding(facts, tasks, list(requests.values()))


def _finding(facts: Facts, tasks: Sequence[Blocked], requests: Sequence[Unanswered]) -> Finding:
    longest = waited(tasks)
    count = f"{len(tasks)} task{'s' if len(tasks) > 1 else ''} blocked"
    connections = tuple(dict.fromkeys(request.connection for request in requests))
    tell = _of_rpc if requests[0].kind == "rpc" else _of_fuse
    told = [tell(facts, connection) for connection in connections[:_MOST_SHOWN]]
    words = dict.fromkeys(each for each, _ in told)
    if requests[0].kind == "rpc":
        words[_RPC_WAY_OUT] = None
    return Finding(
        rule=RULE.name,
        severity=severity_of(facts, longest),
        title=f"{requests[0].server} does not answer: {count}{lasting(longest)}",
        explanation=f"{' '.join(words)} Whoever waits for a lock of one of these tasks is a "
        "victim, too.",
        evidence=(
            *map(_of_request, requests[:_MOST_SHOWN]),
            *(each for _, evidence in told for each in evidence),
            *(of_task(task) for task in tasks[:_MOST_SHOWN]),
        ),
        duration_ns=longest or None,
        tasks=tuple(task.pid for task in tasks),
        addresses=(*connections, *(request.request for request in requests[:_MOST_SHOWN])),
        blameless=True,
        disproof="the requests were answered: they are no longer among those of the connection, "
        "and the tasks are runnable",
        rank=4,
    )


def _of_request(request: Unanswered) -> Evidence:
    since = "" if request.age_ns is None else f", {in_words(request.age_ns)} old"
    return of_object(
        f"request {request.request:x}",
        f"{request.operation}{since}, {request.progress}",
        "rpc_task" if request.kind == "rpc" else "fuse_req",
        request.request,
    )


def _of_rpc(facts: Facts, address: Address) -> tuple[str, tuple[Evidence, ...]]:
    """What the connection is like, in words and as evidence."""
    struct, label = "rpc_xprt", f"connection {address:x}"
    try:
        transport = transport_of(facts.program, address)
    except READ_ERRORS as error:
        unread = of_object(label, f"cannot be read: {reason(error)}", struct, address)
        return "What its connection is like could not be read.", (unread,)
    called = f"connection ({transport.protocol} port {transport.port})"
    state = "connected" if transport.connected else "not connected"
    text = f"{state}, {_requests(transport.in_flight)} without an answer"
    evidence = [of_object(label, text, struct, address, "state,queuelen")]
    if not transport.connected:
        words = (
            f"There is no {called}: the client tries to make one again and again. Look whether the "
            "server is up and can be reached."
        )
    elif transport.protocol != "tcp":
        words = f"The {called} is up."
    else:
        more, seen = _of_socket(facts, address)
        words = f"The {called} is up{more}"
        evidence.append(seen)
    evidence += [
        of_object("filesystem", mounted, "super_block", block, "s_id,s_dev,s_fs_info")
        for block, mounted in _mounted(facts, address)
    ]
    return words, tuple(evidence)


def _mounted(facts: Facts, address: Address) -> list[tuple[int, str]]:
    try:
        return list(islice(mounted_by(facts.program, address), _MOST_SHOWN))
    except READ_ERRORS:
        return []  # the list of filesystems is damaged: other rules say so


def _of_socket(facts: Facts, address: Address) -> tuple[str, Evidence]:
    """Whether the other host has acknowledged what was sent to it."""
    label = "socket"
    try:
        socket = socket_of(facts.program, address)
    except READ_ERRORS as error:
        text = f"cannot be read: {reason(error)}"
        return ".", of_object(label, text, "sock_xprt", address, "inet")
    if socket is None:
        return ".", of_object(label, "none", "sock_xprt", address, "inet")
    text = (
        f"{socket.unacknowledged_bytes} bytes not acknowledged, {socket.retransmissions} "
        "retransmissions since something was"
    )
    if socket.retransmissions:
        words = (
            ", but what was sent last is not acknowledged: packets do not get there, or nothing "
            "comes back. Look at the network, and whether the server's host is up."
        )
    elif socket.unacknowledged_bytes:
        words = "."
    else:
        words = (
            ", and all that was sent is acknowledged: the network and the server's host work. Look "
            "at what the server does there: its threads, its disks."
        )
    members = "inet_conn.icsk_retransmits,snd_una,write_seq"
    return words, of_object(label, text, "tcp_sock", socket.address, members)


def _of_fuse(facts: Facts, address: Address) -> tuple[str, tuple[Evidence, ...]]:
    """Who serves the filesystem, in words and as evidence."""
    try:
        connection = connection_of(facts.program, address)
    except READ_ERRORS as error:
        text = f"cannot be read: {reason(error)}"
        unread = of_object(f"connection {address:x}", text, "fuse_conn", address)
        return "What its connection is like could not be read.", (unread,)
    state = "connected" if connection.connected else "not connected any more"
    text = f"{connection.filesystem}: {state}, {_requests(connection.waiting)} without an answer"
    label, members = f"connection {connection.number}", "num_waiting,connected"
    seen = of_object(label, text, connection.structure, connection.address, members)
    servers, unfinished = _servers(facts, address)
    if servers:
        names = " and ".join(f"{server.comm} {server.pid}" for server in servers)
        words = f"{connection.filesystem} is served by {names}, which has its device open: look at "
        words += "what that does."
    else:
        words = f"Nobody was found who has the device of {connection.filesystem} open{unfinished}."
    words += (
        f" `echo 1 > /sys/fs/fuse/connections/{connection.number}/abort` makes all requests fail, "
        "and the filesystem with them."
    )
    return words, (seen, *(_of_server(facts, server) for server in servers))


def _requests(count: int) -> str:
    return f"{count} request{'' if count == 1 else 's'}"


def _servers(facts: Facts, address: Address) -> tuple[list[Task], str]:
    """The processes that serve it, and if they may not be all: why."""
    until = time.process_time() + _SECONDS_FOR_FILES
    rows = {int(row.task): row for row in facts.tasks if row.leader and not row.kthread}

    def in_time() -> Iterator[int]:
        for task in rows:
            if time.process_time() > until:
                return
            yield task

    try:
        found = [rows[task] for task in servers_of(facts.program, address, in_time())]
    except READ_ERRORS as error:
        return [], f" ({reason(error)})"
    late = time.process_time() > until
    return found[:_MOST_SHOWN], f" within {_SECONDS_FOR_FILES:.0f} s" if late else ""


def _of_server(facts: Facts, server: Task) -> Evidence:
    label = f"server {server.comm} {server.pid}"
    if server.pid in facts.blocked:
        return of_task(facts.blocked[server.pid], label)
    since = in_words(server.since_last_arrival_ns)
    return of_stack(label, f"{server.state}, last on a CPU {since} ago", server.pid or 0)


RULE = Rule("remote-filesystems", "servers of remote filesystems that do not answer", _check)
