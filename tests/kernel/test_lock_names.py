"""What locks are called, by the objects of the bundled dump that they are part of."""

from drgn import Object
from drgn.helpers.linux.fs import fget
from drgn.helpers.linux.pid import for_each_task

from kscope.kernel.waiting.lock_names import lock_name
from kscope.target.target import Target


def task(target: Target, comm: bytes) -> Object:
    return next(t for t in for_each_task(target.program) if t.comm.string_() == comm)


def name_of(target: Target, lock: Object) -> str:
    return lock_name(target.program, lock.address_of_().value_())


def test_an_mmap_lock_is_named_with_its_process(demo_target: Target) -> None:
    journald = task(demo_target, b"journald")
    name = name_of(demo_target, journald.mm.mmap_lock)
    assert name.startswith("mmap_lock of mm_struct ")
    assert name.endswith(f" (journald {journald.pid.value_()})")


def test_an_inodes_lock_is_named_with_path_and_device(demo_target: Target) -> None:
    inode = fget(task(demo_target, b"journald"), 4).f_inode
    name = name_of(demo_target, inode.i_rwsem)
    assert name.startswith("vfs_inode.i_rwsem of ext4_inode_info ")
    assert name.endswith(" (log/journal.log on vdb)")


def test_a_lock_of_an_open_file_is_named_with_its_path(demo_target: Target) -> None:
    file = fget(task(demo_target, b"journald"), 4)
    name = name_of(demo_target, file.f_pos_lock)
    assert name.startswith("f_pos_lock of file ")
    assert name.endswith(" (/srv/log/journal.log)")


def test_what_writers_of_a_filesystem_take_is_named_with_its_device(demo_target: Target) -> None:
    block = fget(task(demo_target, b"journald"), 4).f_inode.i_sb
    name = name_of(demo_target, block.s_writers.rw_sem[0])
    assert name == f"s_writers.rw_sem[0] of super_block {block.value_():x} (ext4 on vdb)"


def test_a_static_lock_is_named_by_its_symbol(demo_target: Target) -> None:
    assert name_of(demo_target, demo_target.program["cgroup_mutex"]) == "cgroup_mutex"


def test_an_address_without_a_name_has_none(demo_target: Target) -> None:
    assert lock_name(demo_target.program, 0xFFFF000000000000) == ""
