"""Filesystems that are frozen: whoever writes to one sleeps until it is thawed."""

from collections.abc import Iterator

from drgn import Object
from drgn.helpers.linux.fs import mount_dst, super_block_for_each_mount

from kscope.kernel.access.reading import READ_ERRORS
from kscope.kernel.waiting.filesystems import Filesystem, filesystems
from kscope.model.base import Address
from kscope.model.survey import Evidence, Finding
from kscope.model.text import printable
from kscope.triage.evidence import of_task
from kscope.triage.facts import Facts
from kscope.triage.rule import Rule
from kscope.triage.waiting import lasting, severity_of, waited

_LEVELS = {
    1: "whoever writes",
    2: "whoever writes, page faults included",
    3: "whoever writes, its own threads included",
    4: "whoever writes (it is frozen completely)",
}
"""``SB_FREEZE_*`` of include/linux/fs.h: whom it keeps out."""


def _check(facts: Facts) -> Iterator[Finding]:
    for filesystem in filesystems(facts.program):
        if filesystem.frozen:
            yield _finding(facts, filesystem)


def _finding(facts: Facts, filesystem: Filesystem) -> Finding:
    waiting = [
        task
        for task in facts.locks.blocked
        if task.lock is not None and filesystem.holds(int(task.lock))
    ]
    where = _mounted_on(facts, filesystem)
    title = f"{filesystem}{f' ({where})' if where else ''} is frozen"
    longest = waited(waiting)
    if waiting:
        count = f"{len(waiting)} task{'s' if len(waiting) > 1 else ''}"
        title += f": {count} blocked{lasting(longest)}"
    block = f"{filesystem.address:x}"
    return Finding(
        rule=RULE.name,
        severity=severity_of(facts, longest),
        title=title,
        explanation="Somebody froze it (fsfreeze, a snapshot, a backup or virtualisation "
        f"agent) and has not thawed it. It keeps out {_LEVELS.get(filesystem.frozen, 'others')}. "
        "The kernel does not record who froze it: look for such an agent among the tasks, and "
        "whether it is itself blocked, for instance by writing a log line to that filesystem.",
        evidence=(
            Evidence(
                label="s_writers.frozen",
                text=f"{filesystem.frozen} in super_block {block}, 0 would be thawed",
                crash=f"struct super_block.s_writers {block}",
                drgn="from drgn import Object\n\n"
                f'print(Object(prog, "struct super_block", address=0x{block}).s_writers.frozen)',
            ),
            *(of_task(task) for task in waiting[:6]),
        ),
        duration_ns=longest or None,
        tasks=tuple(task.pid for task in waiting),
        addresses=(Address(filesystem.address),),
        blameless=True,
        disproof="s_writers.frozen is 0",
        rank=3,
    )


def _mounted_on(facts: Facts, filesystem: Filesystem) -> str:
    """The first place where it is mounted; empty if that cannot be read."""
    try:
        block = Object(facts.program, "struct super_block", address=filesystem.address)
        for mount in super_block_for_each_mount(block.address_of_()):
            return printable(mount_dst(mount))
    except READ_ERRORS:
        pass
    return ""


RULE = Rule("frozen-filesystems", "frozen filesystems", _check, needs=("super_blocks",))
