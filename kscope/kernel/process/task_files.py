"""The open files of a task: crash's ``files``."""

from collections.abc import Iterator

from drgn import Object
from drgn.helpers.linux.fs import decode_file_type, for_each_file

from kscope.kernel.access.paths import d_path
from kscope.kernel.access.reading import Readings
from kscope.model.base import Address
from kscope.model.task import Files, OpenFile
from kscope.model.text import printable

_MOST_FILES = 1 << 16


def files(task: Object, readings: Readings) -> Files:
    """Descriptors, working directory and root.

    :param task: ``struct task_struct *``
    """
    root = cwd = None
    fs = readings.read("fs", lambda: task.member_("fs").read_(), None)
    if fs:
        root = readings.read("root", lambda: printable(d_path(fs.root)), None)
        cwd = readings.read("cwd", lambda: printable(d_path(fs.pwd)), None)
    descriptors: list[OpenFile] = []
    # What was found before an unreadable part of the table stays.
    readings.read("open files", lambda: descriptors.extend(_open_files(task)), None)
    return Files(root=root, cwd=cwd, descriptors=tuple(descriptors))


def _open_files(task: Object) -> Iterator[OpenFile]:
    for (descriptor, file), _ in zip(for_each_file(task), range(_MOST_FILES), strict=False):
        if file:
            yield _open_file(descriptor, file)


def _open_file(descriptor: int, file: Object) -> OpenFile:
    readings = Readings()
    dentry = readings.read("dentry", lambda: int(file.f_path.dentry.value_()), None)
    inode = readings.read("inode", lambda: file.member_("f_inode").read_(), None)
    return OpenFile(
        descriptor=descriptor,
        file=Address(file.value_()),
        dentry=None if dentry is None else Address(dentry),
        inode=None if inode is None else Address(inode.value_()),
        type=readings.read("type", lambda: _type(inode), None),
        path=readings.read("path", lambda: printable(d_path(file.f_path)), None),
        flags=readings.read("flags", lambda: int(file.f_flags.value_()), None),
        offset=readings.read("offset", lambda: int(file.f_pos.value_()), None),
        unreadable=readings.unreadable,
    )


def _type(inode: Object | None) -> str | None:
    if not inode:
        return None
    name = decode_file_type(inode.i_mode)
    # What eventfd, epoll and their like open has no type of its own.
    return "" if name.isdecimal() else name
