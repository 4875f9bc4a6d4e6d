"""Which type the object has that an address lies in.

What is known of an address without a type is its slab cache or the variable it is in. A cache of
its own is named after its type, or by an old custom; of a ``kmalloc`` cache only the size is known.
"""

from collections.abc import Iterator
from typing import NamedTuple

from drgn import Program, Type, TypeKind
from drgn.helpers.linux.slab import for_each_slab_cache

from kscope.kernel.access import fields
from kscope.kernel.access.fields import Field
from kscope.kernel.access.reading import READ_ERRORS
from kscope.kernel.objects.identify_address import Addresses
from kscope.model.text import printable

_CACHES = {
    # Names in kmem_cache_create() that are not those of the type.
    "anon_vma": "anon_vma", "anon_vma_chain": "anon_vma_chain", "bdev_cache": "bdev_inode",
    "bio_crypt_ctx": "bio_crypt_ctx", "blkdev_ioc": "io_context", "buffer_head": "buffer_head",
    "cred_jar": "cred", "dmaengine-unmap-2": "dmaengine_unmap_data",
    "eventpoll_epi": "epitem", "eventpoll_pwq": "eppoll_entry", "ext4_inode_cache":
    "ext4_inode_info", "file_lock_cache": "file_lock", "files_cache": "files_struct",
    "filp": "file", "fs_cache": "fs_struct", "hugetlbfs_inode_cache": "hugetlbfs_inode_info",
    "inode_cache": "inode", "kernfs_node_cache": "kernfs_node", "key_jar": "key",
    "mnt_cache": "mount", "names_cache": "filename", "net_namespace": "net",
    "nsproxy": "nsproxy", "pid": "pid", "pid_2": "pid", "pool_workqueue": "pool_workqueue",
    "proc_dir_entry": "proc_dir_entry", "proc_inode_cache": "proc_inode",
    "radix_tree_node": "xa_node", "maple_node": "maple_node", "rpc_inode_cache": "rpc_inode",
    "seq_file": "seq_file", "shmem_inode_cache": "shmem_inode_info",
    "sighand_cache": "sighand_struct", "signal_cache": "signal_struct", "sigqueue": "sigqueue",
    "skbuff_head_cache": "sk_buff", "skbuff_fclone_cache": "sk_buff_fclones",
    "sock_inode_cache": "socket_alloc", "task_delay_info": "task_delay_info",
    "task_group": "task_group", "trace_event_file": "trace_event_file", "UNIX": "unix_sock",
    "TCP": "tcp_sock", "TCPv6": "tcp6_sock", "UDP": "udp_sock", "UDPv6": "udp6_sock",
    "uid_cache": "user_struct", "user_namespace": "user_namespace",
    "uts_namespace": "uts_namespace", "vmap_area": "vmap_area", "xfs_inode": "xfs_inode",
    "mqueue_inode_cache": "mqueue_inode_info", "jbd2_journal_head": "journal_head",
    "dentry": "dentry", "vm_area_struct": "vm_area_struct", "mm_struct": "mm_struct",
    "task_struct": "task_struct", "ip_dst_cache": "rtable", "perf_event": "perf_event",
}  # fmt: skip


_HEADS = {
    # Lists whose elements come from kmalloc(), whose caches tell nothing, by where their heads are.
    "modules": "module.list",
    "super_blocks": "super_block.s_list",
    "file_systems": "file_system_type.next",
    "net_namespace_list": "net.list",
    "net.dev_base_head": "net_device.dev_list",
    "workqueues": "workqueue_struct.list",
    "cgroup_roots": "cgroup_root.root_list",
    "bdi_list": "backing_dev_info.bdi_list",
    "all_bdevs": "block_device.bd_list",
    "clocksource_list": "clocksource.list",
    "crypto_alg_list": "crypto_alg.cra_list",
    "pci_root_buses": "pci_bus.node",
    "swap_active_head": "swap_info_struct.list",
    "super_block.s_inodes": "inode.i_sb_list",
    "super_block.s_mounts": "mount.mnt_instance",
    "worker_pool.workers": "worker.node",
    "worker_pool.worklist": "work_struct.entry",
    "mutex.wait_list": "mutex_waiter.list",
    "rw_semaphore.wait_list": "rwsem_waiter.list",
    "semaphore.wait_list": "semaphore_waiter.list",
    "wait_queue_head.head": "wait_queue_entry.entry",
    "swait_queue_head.task_list": "swait_queue.task_list",
    "mm_struct.mmlist": "mm_struct.mmlist",
    "cfs_rq.leaf_cfs_rq_list": "cfs_rq.leaf_cfs_rq_list",
    "rq.leaf_cfs_rq_list": "cfs_rq.leaf_cfs_rq_list",
    "rq.cfs_tasks": "sched_entity.group_node",
    "kmem_cache_node.partial": "slab.slab_list",
    "module.source_list": "module_use.source_list",
    "module.target_list": "module_use.target_list",
    "timerqueue_head.rb_root": "timerqueue_node.node",
    "cfs_rq.tasks_timeline": "sched_entity.run_node",
}


class Guess(NamedTuple):
    """A type that an object may be of."""

    type: Type
    start: int
    """Where the object begins."""
    why: str
    certain: bool = True
    """Whether it cannot be another type of that size."""


def guesses(program: Program, addresses: Addresses, address: int) -> Iterator[Guess]:
    """The types that what ``address`` lies in may have, the surest first."""
    identity = addresses.identify(address)
    if identity.kind == "task":
        yield Guess(program.type("struct task_struct"), identity.start, "it is a task")
    elif identity.kind in ("symbol", "function", "per-cpu"):
        yield from _variable(program, identity.text, identity.start)
    elif identity.kind in ("slab", "free-slab"):
        yield from _slab_object(program, identity.text, identity.start)
    elif identity.kind == "page":
        yield Guess(program.type("struct page"), identity.start, "it is a struct page")


def _slab_object(program: Program, text: str, start: int) -> Iterator[Guess]:
    cache = text.partition(" +")[0].partition(",")[0]
    try:
        type_ = program.type(f"struct {_CACHES.get(cache, cache)}")
    except (LookupError, SyntaxError, ValueError):
        return
    why = f"it is in the slab cache {cache}"
    others = _sharers(program).get(cache, 1) - 1
    if others:
        why += f", which {others} other{'s' if others > 1 else ''} of its size share"
    yield Guess(type_, start, why, certain=not others)


_CACHE_KEY = "kscope merged caches"


def _sharers(program: Program) -> dict[str, int]:
    """How many caches were merged into one that has the name of the first of them."""
    if _CACHE_KEY not in program.cache:
        found: dict[str, int] = {}
        try:
            for cache in for_each_slab_cache(program):
                # Of those for kmalloc() the kernel counts less than none, to keep them apart.
                if cache.refcount.value_() > 1:
                    found[printable(cache.name.string_())] = cache.refcount.value_()
        except READ_ERRORS:
            pass  # their list is damaged: of those that follow it is not known
        program.cache[_CACHE_KEY] = found
    sharers: dict[str, int] = program.cache[_CACHE_KEY]
    return sharers


def _variable(program: Program, text: str, start: int) -> Iterator[Guess]:
    name = text.split(" ", maxsplit=1)[0].split("+", maxsplit=1)[0].split(":", maxsplit=1)[0]
    try:
        found = program[name]
    except READ_ERRORS:
        return
    if found.address_ is None or found.type_.kind is TypeKind.FUNCTION:
        return
    yield Guess(found.type_.unqualified(), start, f"it is the variable {name}")


def member_at(root: Field, offset: int, tag: str) -> str:
    """The path of the member of ``struct tag`` that begins at ``offset``; empty if none does."""
    for field in root.fields:
        inside = offset - field.offset
        if not 0 <= inside < max(field.size, 1):
            continue
        if inside == 0 and field.tag == tag:
            return field.name
        if field.kind in ("struct", "union"):
            found = member_at(field, inside, tag)
            if found:
                return f"{field.name}.{found}" if field.name else found
        elif field.kind == "array" and field.element is not None and field.element.size:
            index = inside // field.element.size
            element = field.at(index)
            if element.tag == tag and inside == element.offset:
                return f"{field.name}[{index}]"
            found = member_at(element, inside - element.offset, tag)
            if found:
                return f"{field.name}[{index}].{found}"
    return ""


def path_at(root: Field, offset: int) -> str:
    """The path of the innermost member that ``offset`` lies in, as far as it begins there."""
    for field in root.fields:
        inside = offset - field.offset
        if not 0 <= inside < max(field.size, 1):
            continue
        below = ""
        if field.kind in ("struct", "union") and (inside or not field.name):
            below = path_at(field, inside)
        elif field.kind == "array" and field.element is not None and field.element.size:
            index, inside = divmod(inside, field.element.size)
            deeper = path_at(field.at(index), inside) if inside else ""
            return f"{field.name}[{index}]" + (f".{deeper}" if deeper else "")
        if field.name and below:
            return f"{field.name}.{below}"
        return field.name or below
    return ""


def known_entry(program: Program, addresses: Addresses, head: int) -> tuple[Type, str, str] | None:
    """What the list at ``head`` is known to link, by the variable or the member that it is."""
    for guess in guesses(program, addresses, head):
        names = [guess.why.removeprefix("it is the variable ")] if guess.start == head else []
        if guess.type.unaliased_kind() is TypeKind.STRUCT:
            path = member_at(fields.of_type(program, guess.type), head - guess.start, "list_head")
            path = path or member_at(
                fields.of_type(program, guess.type), head - guess.start, "rb_root"
            )
            names.append(f"{guess.type.unaliased().tag}.{path}")
        for name in names:
            if name in _HEADS:
                tag, _, member = _HEADS[name].partition(".")
                try:
                    type_ = program.type(f"struct {tag}")
                except LookupError:
                    continue
                if fields.of_type(program, type_).find(member) is not None:
                    return type_, member, f"it is what {name} links"
    return None


def entry_of(
    program: Program, addresses: Addresses, node: int, tag: str
) -> tuple[Type, str, str] | None:
    """The structure that the ``struct tag`` at ``node`` is a member of.

    :return: its type, the member's path and how that was found out.
    """
    for guess in guesses(program, addresses, node):
        if guess.type.unaliased_kind() is not TypeKind.STRUCT:
            continue
        root = fields.of_type(program, guess.type)
        member = member_at(root, node - guess.start, tag)
        if member:
            return guess.type, member, guess.why
    return None
