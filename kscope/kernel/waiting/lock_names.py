"""What a lock is called: by its symbol, its module, or the object that it is part of."""

from drgn import Object, Program, Type, TypeKind, cast
from drgn.helpers.common.type import member_at_offset
from drgn.helpers.linux.list import hlist_for_each_entry
from drgn.helpers.linux.slab import slab_object_info

from kscope.kernel.access.paths import d_path, dentry_path
from kscope.kernel.access.reading import READ_ERRORS
from kscope.kernel.waiting.filesystems import filesystem_of
from kscope.model.text import printable

# What the objects of a slab cache are, for those whose locks tasks get stuck on.
_CACHED_TYPES = {
    "mm_struct": "mm_struct",
    "task_struct": "task_struct",
    "signal_cache": "signal_struct",
    "files_cache": "files_struct",
    "filp": "file",
    "inode_cache": "inode",
    "dentry": "dentry",
    "buffer_head": "buffer_head",
    "shmem_inode_cache": "shmem_inode_info",
    "proc_inode_cache": "proc_inode",
    "sock_inode_cache": "socket_alloc",
    "ext4_inode_cache": "ext4_inode_info",
    "xfs_inode": "xfs_inode",
    "xfs_buf": "xfs_buf",
    "btrfs_inode": "btrfs_inode",
    "nfs_inode_cache": "nfs_inode",
    "fuse_inode": "fuse_inode",
    "kernfs_node_cache": "kernfs_node",
}


_LOCKS = {
    "mutex", "rw_semaphore", "semaphore", "rt_mutex", "rt_mutex_base", "percpu_rw_semaphore",
    "completion", "wait_queue_head", "swait_queue_head", "spinlock", "raw_spinlock", "work_struct",
}  # fmt: skip


def lock_name(program: Program, address: int) -> str:
    """A name for the lock at ``address``; empty if it lies nowhere that has one."""
    for namer in (_symbol, _slab_object):
        try:
            name = namer(program, address)
        except READ_ERRORS:
            continue
        if name:
            return name
    return ""


def _symbol(program: Program, address: int) -> str:
    symbol = program.symbol(address)
    offset = address - symbol.address
    name = printable(symbol.name)
    return name if not offset else f"{name}+{offset:#x}"


def _slab_object(program: Program, address: int) -> str:
    info = slab_object_info(program, address)
    if info is None:
        return ""
    cache = printable(info.slab_cache.name.string_())
    offset = address - info.address
    type_name = _CACHED_TYPES.get(cache)
    if type_name is None and cache.startswith("kmalloc"):
        filesystem = filesystem_of(program, address)
        if filesystem is not None:
            block = program.type("struct super_block")
            offset = address - filesystem.address
            member = _lock_member(block, str(member_at_offset(block, offset)))
            return f"{member} of super_block {filesystem.address:x} ({filesystem})"
    if type_name is None:
        return f"{cache} object {info.address:x}+{offset:#x}"
    try:
        container = program.type("struct " + type_name)
        member = _lock_member(container, str(member_at_offset(container, offset)))
    except READ_ERRORS:
        return f"{cache} object {info.address:x}+{offset:#x}"
    of_what = _which(program, type_name, info.address, member)
    return f"{member} of {type_name} {info.address:x}{of_what}"


def _lock_member(container: Type, paths: str) -> str:
    """Of the members that begin at a lock's first byte, the one that is the lock.

    In a union, the one that is a lock.
    """
    found = [_up_to_lock(container, path) for path in sorted(paths.split(" or "), key=len)]
    return next((path for path, lock in found if lock), found[0][0])


def _up_to_lock(container: Type, path: str) -> tuple[str, bool]:
    """The outermost lock on the way to a member, and whether there is one."""
    names: list[str] = []
    type_ = container
    for name in path.split("."):
        names.append(name)
        type_ = type_.member(name.partition("[")[0]).type
        while type_.kind is TypeKind.ARRAY:
            type_ = type_.type
        while type_.kind is TypeKind.TYPEDEF:
            if type_.name == "spinlock_t":
                return ".".join(names), True
            type_ = type_.type
        if type_.kind is TypeKind.STRUCT and type_.tag in _LOCKS:
            return ".".join(names), True
    return path, False


def _which(program: Program, type_name: str, address: int, member: str) -> str:
    """Which one of its kind an object is, in words that an administrator knows."""
    container = Object(program, "struct " + type_name, address=address)
    try:
        if type_name == "mm_struct":
            owner = container.owner
            return f" ({printable(owner.comm.string_())} {owner.pid.value_()})" if owner else ""
        if "vfs_inode" in member or type_name == "inode":
            inode = container if type_name == "inode" else container.vfs_inode
            # In newer kernels (v7.3 for one), the union is an anonymous one.
            link = "d_u.d_alias" if program.type("struct dentry").has_member("d_u") else "d_alias"
            for dentry in hlist_for_each_entry("struct dentry", inode.i_dentry.address_of_(), link):
                path = printable(dentry_path(dentry)) or "/"
                filesystem = printable(inode.i_sb.s_id.string_())
                return f" ({path} on {filesystem})"
        if type_name == "task_struct":
            task = cast("struct task_struct *", container.address_of_())
            return f" ({printable(task.comm.string_())} {task.pid.value_()})"
        if type_name == "file":
            return f" ({printable(d_path(container.f_path))})"
    except READ_ERRORS:
        pass
    return ""
