"""What tasks have asked of NFS and other RPC servers that have not answered."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from drgn import Object, Program, cast, container_of
from drgn.helpers.linux.fs import mount_dst, mount_src, super_block_for_each_mount
from drgn.helpers.linux.list import list_for_each_entry
from drgn.helpers.linux.timekeeping import ktime_get_coarse_ns

from kscope.kernel.access.reading import READ_ERRORS
from kscope.kernel.waiting.filesystems import super_blocks
from kscope.model.base import Address
from kscope.model.locks import Unanswered
from kscope.model.text import printable
from kscope.target.loops import once

SLEEPS_IN = "rpc_wait_bit_killable"
"""Who is in this function waits for a bit of ``rpc_task.tk_runstate``."""

_TASK_QUEUED = 1
"""``RPC_TASK_QUEUED`` of include/linux/sunrpc/sched.h: it is in ``tk_waitqueue``."""

_XPRT_CONNECTED = 1
"""A bit of ``rpc_xprt.state`` (include/linux/sunrpc/xprt.h)."""

_DISPLAY_ADDR, _DISPLAY_PORT, _DISPLAY_PROTO = range(3)
"""``enum rpc_display_format_t`` of the same file."""

_PROGRAMS = {"nfs": "NFS", "nfsacl": "NFS"}
"""Those programs whose server is called otherwise."""

_MOST = 10_000


@dataclass(frozen=True)
class Transport:
    """The connection to a server."""

    connected: bool
    protocol: str
    port: str
    in_flight: int
    """Requests that have a slot of it: each until it is answered."""


@dataclass(frozen=True)
class Socket:
    """What TCP knows of such a connection."""

    address: int
    """``struct tcp_sock *``"""
    retransmissions: int
    """Of the oldest segment, since the other side last acknowledged anything."""
    unacknowledged_bytes: int


def asked(program: Program, runstate: int) -> Unanswered | None:
    """The request of whose ``tk_runstate`` a task waits for a bit; ``None`` if it is not one's."""
    flags = Object(program, "unsigned long", address=runstate).address_of_()
    task = container_of(flags, program.type("struct rpc_task"), "tk_runstate")
    link = task.tk_task
    return _request(program, task) if link.next.prev == link.address_of_() else None


def asked_for_folios(program: Program, super_block: Object) -> Iterator[tuple[int, Unanswered]]:
    """Folios of an NFS filesystem, by their addresses, and what has been asked for each.

    :param super_block: ``struct super_block *`` of nfs or nfs4
    :raises READ_ERRORS: if what lies behind cannot be found.
    """
    client = cast("struct nfs_server *", super_block.s_fs_info).client
    tasks = list_for_each_entry("struct rpc_task", client.cl_tasks.address_of_(), "tk_task")
    for task in islice(tasks, _MOST):
        try:
            if program.symbol(task.tk_ops.value_()).name == "nfs_pgio_common_ops":
                request = _request(program, task)
                for folio in _folios(task):
                    yield folio, request
        except READ_ERRORS:
            continue


def _folios(task: Object) -> Iterator[int]:
    header = cast("struct nfs_pgio_header *", task.tk_calldata)
    for page in islice(
        list_for_each_entry("struct nfs_page", header.pages.address_of_(), "wb_list"), _MOST
    ):
        # In a union with wb_folio where NFS uses folios (since v6.3): a folio's address is that of
        # its first page.
        yield page.wb_page.value_()


def _request(program: Program, task: Object) -> Unanswered:
    client, transport = task.tk_client, task.tk_xprt
    name = printable(client.cl_program.name.string_())
    called = _PROGRAMS.get(name, name)
    operation = f"{called}v{client.cl_vers.value_()}"
    if task.tk_msg.rpc_proc:
        operation += f" {_procedure(task.tk_msg.rpc_proc)}"
    return Unanswered(
        kind="rpc",
        server=f"{called if name in _PROGRAMS else 'RPC'} server {_server(transport)}",
        operation=operation,
        progress=_progress(task),
        age_ns=_age_ns(program, task),
        request=Address(task.value_()),
        connection=Address(transport.value_()),
    )


def _procedure(procedure: Object) -> str:
    """Its name; the one that every program has, which asks for nothing, has none."""
    if procedure.p_name:
        return printable(procedure.p_name.string_())
    number = procedure.p_proc.value_()
    return f"procedure {number}" if number else "NULL"


def _server(transport: Object) -> str:
    """As it was named when the filesystem was mounted, with its address if that is another."""
    name = printable(transport.servername.string_())
    try:
        address = _shown(transport, _DISPLAY_ADDR)
    except READ_ERRORS:
        return name
    return name if address in ("", name) else f"{name} ({address})"


def _shown(transport: Object, which: int) -> str:
    text = transport.address_strings[which]
    return printable(text.string_()) if text else ""


def _progress(task: Object) -> str:
    words = "not sent yet"
    try:
        request = task.tk_rqstp
        if request and request.rq_ntrans.value_():
            times = request.rq_ntrans.value_()
            words = f"sent {times} times" if times > 1 else "sent once"
        if task.tk_runstate.value_() >> _TASK_QUEUED & 1 and task.tk_waitqueue:
            words += f", in the queue {printable(task.tk_waitqueue.name.string_())}"
    except READ_ERRORS:
        words += ", and what it waits for could not be read"
    return words


def _age_ns(program: Program, task: Object) -> int | None:
    try:
        now: int = ktime_get_coarse_ns(program).value_()
        return max(0, now - int(task.tk_start.value_()))
    except READ_ERRORS:
        return None


def transport_of(program: Program, address: int) -> Transport:
    """
    :param address: ``struct rpc_xprt *``
    :raises READ_ERRORS: if it cannot be read.
    """
    transport = Object(program, "struct rpc_xprt", address=address)
    return Transport(
        connected=bool(transport.state.value_() >> _XPRT_CONNECTED & 1),
        protocol=_shown(transport, _DISPLAY_PROTO),
        port=_shown(transport, _DISPLAY_PORT),
        in_flight=int(transport.queuelen.counter.value_()),
    )


def mounted_by(program: Program, address: int) -> Iterator[tuple[int, str]]:
    """The NFS filesystems that use a connection: address of the ``super_block``, and in words where
    it is mounted (``127.0.0.1:/ on /mail``). One that cannot be read is left out.

    :param address: ``struct rpc_xprt *``
    """
    for block in super_blocks(program):
        try:
            if block.s_type.name.string_() not in (b"nfs", b"nfs4"):
                continue
            server = cast("struct nfs_server *", block.s_fs_info)
            if server.client.cl_xprt.value_() != address:
                continue
            for mount in once(super_block_for_each_mount(block)):
                source, place = printable(mount_src(mount)), printable(mount_dst(mount))
                yield block.value_(), f"{source} on {place}"
        except READ_ERRORS:
            continue


def socket_of(program: Program, address: int) -> Socket | None:
    """Of a connection by TCP; ``None`` if it has no socket now.

    :param address: ``struct rpc_xprt *``
    :raises READ_ERRORS: if it cannot be read.
    """
    socket = Object(program, "struct sock_xprt", address=address).inet
    if not socket:
        return None
    tcp = cast("struct tcp_sock *", socket)
    sent, acknowledged = tcp.write_seq.value_(), tcp.snd_una.value_()
    return Socket(
        address=tcp.value_(),
        retransmissions=int(tcp.inet_conn.icsk_retransmits.value_()),
        unacknowledged_bytes=(sent - acknowledged) & 0xFFFFFFFF,
    )
