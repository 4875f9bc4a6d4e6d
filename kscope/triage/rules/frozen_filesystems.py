"""Filesystems that are frozen: whoever writes to one sleeps until it is thawed."""

from collections.abc import Iterator

from drgn import Object
from drgn.helpers.linux.list import list_for_each_entry

from kscope.kernel.access.reading import READ_ERRORS
from kscope.model.survey import Evidence, Finding
from kscope.model.text import printable
from kscope.triage.evidence import of_task
from kscope.triage.facts import Facts
from kscope.triage.rule import Rule

_UNFROZEN = 0
_LEVELS = {1: "writers", 2: "page faults", 3: "the filesystem's own threads", 4: "everything"}
"""``SB_FREEZE_*`` of include/linux/fs.h: whom it keeps out."""


def _check(facts: Facts) -> Iterator[Finding]:
    for block in list_for_each_entry(
        "struct super_block", facts.program["super_blocks"].address_of_(), "s_list"
    ):
        try:
            level = int(block.s_writers.frozen.value_())
        except READ_ERRORS:
            continue
        if level != _UNFROZEN:
            yield _finding(facts, block, level)


def _finding(facts: Facts, block: Object, level: int) -> Finding:
    name = printable(block.s_id.string_())
    kind = printable(block.s_type.name.string_())
    waiting = [
        task
        for task in facts.locks.blocked
        if task.lock is not None
        and block.value_() <= task.lock < block.value_() + block.type_.type.size
    ]
    return Finding(
        rule=RULE.name,
        severity="warning",
        title=f"{kind} on {name} is frozen"
        + (f", {len(waiting)} tasks wait for it to be thawed" if waiting else ""),
        explanation="Somebody froze it (fsfreeze, a snapshot, a backup agent) and has not thawed "
        f"it: it keeps out {_LEVELS.get(level, 'others')}. If the one that is to thaw it writes to "
        "it first, for a log line, both wait for ever.",
        evidence=(
            Evidence(
                label="s_writers.frozen",
                text=f"{level} in super_block {block.value_():x}",
                crash=f"struct super_block.s_writers {block.value_():x}",
                drgn="from drgn import Object\n\n"
                f'print(Object(prog, "struct super_block", address={block.value_():#x}).s_writers)',
            ),
            *(of_task(task) for task in waiting[:6]),
        ),
        tasks=tuple(task.pid for task in waiting),
        disproof="s_writers.frozen is 0",
        rank=8,
    )


RULE = Rule("frozen-filesystems", "frozen filesystems", _check, needs=("super_blocks",))
