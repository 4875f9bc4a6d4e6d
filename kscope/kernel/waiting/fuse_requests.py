"""What tasks have asked of FUSE servers that have not answered."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from drgn import Object, Program, cast, container_of, offsetof
from drgn.helpers.linux.fs import mount_dst, mount_src, super_block_for_each_mount
from drgn.helpers.linux.list import list_for_each_entry

from kscope.kernel.access.reading import READ_ERRORS
from kscope.kernel.machine.clocks import Clocks
from kscope.model.base import Address
from kscope.model.locks import Unanswered
from kscope.model.text import printable

SLEEPS_IN = "request_wait_answer"
"""Who is in this function waits for ``fuse_req.waitq``."""

_HASH_SIZE = 256
"""``FUSE_PQ_HASH_SIZE`` of fs/fuse/fuse_i.h: how many lists ``fuse_pqueue.processing`` has."""

_MOST = 10_000
_MOST_FILES = 1 << 16


@dataclass(frozen=True)
class Connection:
    """A filesystem's connection to its server."""

    number: int
    """That of its directory below /sys/fs/fuse/connections."""
    waiting: int
    """How many requests there are, those that nobody waits for included."""
    connected: bool
    filesystem: str
    """Such as ``fuse.sshfs archive:/srv``."""
    structure: str
    """The type of what says how many there are, and whether it is connected."""
    address: int
    """Its address."""


def asked(program: Program, queue: int) -> Unanswered | None:
    """The request for whose ``waitq`` a task waits; ``None`` if it is not one's."""
    head = Object(program, "struct wait_queue_head", address=queue).address_of_()
    request = container_of(head, program.type("struct fuse_req"), "waitq")
    return _request(program, request) if _operation(program, request) else None


def asked_for_folios(program: Program, super_block: Object) -> Iterator[tuple[int, Unanswered]]:
    """Folios of a FUSE filesystem, by their addresses, and what has been asked for each.

    :param super_block: ``struct super_block *`` of fuse or fuseblk
    :raises READ_ERRORS: if what lies behind cannot be found.
    """
    connection = cast("struct fuse_mount *", super_block.s_fs_info).fc
    for request in islice(_requests(connection), _MOST):
        try:
            folios = list(_folios(request))
            asked_for = _request(program, request) if folios else None
        except READ_ERRORS:
            continue
        if asked_for is not None:
            yield from ((folio, asked_for) for folio in folios)


def connection_of(program: Program, address: int) -> Connection:
    """
    :param address: ``struct fuse_conn *``
    :raises READ_ERRORS: if it cannot be read.
    """
    connection = Object(program, "struct fuse_conn", address=address).address_of_()
    channel = _channel(connection)
    return Connection(
        number=int(connection.dev.value_()),
        waiting=int(channel.num_waiting.counter.value_()),
        connected=bool(channel.connected.value_()),
        filesystem=_filesystem(connection),
        structure=channel.type_.type.tag,
        address=channel.value_(),
    )


def servers_of(program: Program, address: int, tasks: Iterable[int]) -> Iterator[int]:
    """Those tasks that have the other end of a connection open: its server, mostly.

    :param address: ``struct fuse_conn *``
    :param tasks: addresses of ``struct task_struct``; one that cannot be read is left out.
    :raises READ_ERRORS: if the connection cannot be read.
    """
    connection = Object(program, "struct fuse_conn", address=address).address_of_()
    devices = {device.value_() for device in _devices(connection)}
    offset = offsetof(program.type("struct file"), "private_data")
    for task in tasks:
        try:
            if any(
                program.read_u64(file + offset) in devices for file in _open_files(program, task)
            ):
                yield task
        except READ_ERRORS:
            continue


def _open_files(program: Program, task: int) -> Iterator[int]:
    files = Object(program, "struct task_struct", address=task).files
    if not files:
        return
    table = files.fdt.read_()
    for index in range(min(table.max_fds.value_(), _MOST_FILES)):
        file = table.fd[index].value_()
        if file:
            yield file


# A request, and what it says.


def _request(program: Program, request: Object) -> Unanswered:
    connection = _connection(request)
    return Unanswered(
        kind="fuse",
        server=f"FUSE server of {_where(connection)}",
        operation=_operation(program, request),
        progress=_progress(program, request),
        age_ns=_age_ns(program, request),
        request=Address(request.value_()),
        connection=Address(connection.value_()),
    )


def _operation(program: Program, request: Object) -> str:
    """Its opcode's name in include/uapi/linux/fuse.h, such as ``GETATTR``; empty if it has none."""
    opcode = request.member_("in").h.opcode.value_()
    for enumerator in program.type("enum fuse_opcode").enumerators or ():
        if enumerator.value == opcode:
            name: str = enumerator.name
            return name.removeprefix("FUSE_")
    return ""


def _progress(program: Program, request: Object) -> str:
    try:
        flags = request.flags.value_()
        bits = {
            each.name: flags >> each.value & 1
            for each in program.type("enum fuse_req_flag").enumerators or ()
        }
    except READ_ERRORS:
        return "how far it got could not be read"
    if bits.get("FR_SENT"):
        words = "read by the server"
    elif bits.get("FR_PENDING"):
        words = "not read by the server yet"
    else:
        words = "not given to the server yet"
    return f"{words}, interrupted by a signal" if bits.get("FR_INTERRUPTED") else words


def _age_ns(program: Program, request: Object) -> int | None:
    try:
        created: int = request.create_time.value_()
    except READ_ERRORS:
        return None  # before v6.14, which has it for timeouts
    clocks = Clocks(program)
    if not created or clocks.jiffies is None or not clocks.ticks_per_second:
        return None
    return max(0, clocks.jiffies - created) * 1_000_000_000 // clocks.ticks_per_second


def _folios(request: Object) -> Iterator[int]:
    arguments = request.args
    if not arguments.in_pages and not arguments.out_pages:
        return
    pages = container_of(arguments, request.prog_.type("struct fuse_args_pages"), "args")
    try:
        # In a union with pages since v6.13 and later stable kernels of v6.12, alone since v6.14.
        array, count = pages.folios, pages.num_folios
    except AttributeError:
        array, count = pages.pages, pages.num_pages
    for index in range(min(count.value_(), _MOST)):
        yield array[index].value_()


# A connection, and what it has.


def _connection(request: Object) -> Object:
    try:
        return request.chan.conn
    except AttributeError:
        return request.fm.fc


def _channel(connection: Object) -> Object:
    """What has its requests: itself, in newer kernels (v7.3 for one) a ``fuse_chan``."""
    try:
        return connection.chan
    except AttributeError:
        return connection


def _devices(connection: Object) -> Iterator[Object]:
    """Its other ends: what opening /dev/fuse has made."""
    devices = _channel(connection).devices.address_of_()
    yield from islice(list_for_each_entry("struct fuse_dev", devices, "entry"), _MOST)


def _requests(connection: Object) -> Iterator[Object]:
    """Those that wait for their turn, those that the server has not read, and those it has."""
    channel = _channel(connection)
    lists = [channel.bg_queue, channel.iq.pending]
    for device in _devices(connection):
        lists += [device.pq.io, *(device.pq.processing[index] for index in range(_HASH_SIZE))]
    for head in lists:
        yield from list_for_each_entry("struct fuse_req", head.address_of_(), "list")


def _where(connection: Object) -> str:
    """The first place where its filesystem is mounted; what it is where that cannot be read."""
    try:
        for block in _super_blocks(connection):
            for mount in super_block_for_each_mount(block):
                return printable(mount_dst(mount))
    except READ_ERRORS:
        pass
    return _filesystem(connection)


def _filesystem(connection: Object) -> str:
    """Such as ``fuse.sshfs archive:/srv``."""
    for block in _super_blocks(connection):
        kind = printable(block.s_type.name.string_())
        if block.s_subtype:
            kind += f".{printable(block.s_subtype.string_())}"
        for mount in super_block_for_each_mount(block):
            return f"{kind} {printable(mount_src(mount))}"
        return kind
    return "a filesystem that is not mounted"


def _super_blocks(connection: Object) -> Iterator[Object]:
    mounts = list_for_each_entry("struct fuse_mount", connection.mounts.address_of_(), "fc_entry")
    for mount in islice(mounts, _MOST):
        if mount.sb:
            yield mount.sb
