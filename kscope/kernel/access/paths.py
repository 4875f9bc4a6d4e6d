"""The paths of files and directory entries; of a damaged one that has no end, the error says so.

drgn goes up from an entry to its parent until it comes to the root, and keeps every name.
"""

from drgn import Object, container_of
from drgn.helpers.linux.fs import d_path as drgns_d_path
from drgn.helpers.linux.fs import dentry_path as drgns_dentry_path

from kscope.target.loops import LoopError


def dentry_path(dentry: Object) -> bytes:
    """As drgn's: from the root of the entry's filesystem.

    :param dentry: ``struct dentry *``
    :raises LoopError: if the entry is below itself.
    """
    _refuse_endless(dentry.read_())
    return bytes(drgns_dentry_path(dentry))


def d_path(path: Object) -> bytes:
    """As drgn's: from the root of all mounts.

    :param path: ``struct path``
    :raises LoopError: if an entry or a mount on the way is below itself.
    """
    mount = container_of(path.mnt, "struct mount", "mnt")
    _refuse_endless(path.dentry.read_())
    seen: set[int] = set()
    while mount.value_() not in seen:
        seen.add(mount.value_())
        parent = mount.mnt_parent.read_()
        if mount == parent:
            return bytes(drgns_d_path(path))
        _refuse_endless(mount.mnt_mountpoint.read_())
        mount = parent
    raise LoopError(f"the mount {mount.value_():x} is below itself: it is a loop")


def _refuse_endless(dentry: Object) -> None:
    seen: set[int] = set()
    while dentry.value_() not in seen:
        seen.add(dentry.value_())
        parent = dentry.d_parent.read_()
        if dentry == parent:
            return
        dentry = parent
    raise LoopError(f"the directory entry {dentry.value_():x} is below itself: it is a loop")
