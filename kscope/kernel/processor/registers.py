"""Where a CPU's registers are, and whether interrupts were on.

While a kernel crashes, each CPU that answers the NMI writes its registers into its own
``crash_notes``. The dump file's NT_PRSTATUS notes are copies of these, one behind the other without
a number: the third is CPU 2's only if CPUs 0 and 1 answered. A hypervisor that dumps a guest writes
NT_PRSTATUS notes alone, one for each virtual CPU.
"""

from collections.abc import Sequence

from drgn import Program, cast
from drgn.helpers.linux.percpu import per_cpu_ptr

from kscope.kernel.access.reading import READ_ERRORS
from kscope.model.cpus import RegistersFrom
from kscope.target.elf import NT_PRSTATUS
from kscope.target.target import Target


def cpus_with_crash_notes(program: Program, cpus: Sequence[int]) -> list[int] | None:
    """Those of ``cpus`` that saved their registers when the kernel crashed.

    :return: ``None`` if it cannot be told.
    """
    try:
        notes = program["crash_notes"]
        if not notes:
            return []
        note_type = program.type("struct elf64_note *")
    except READ_ERRORS:
        return None
    saved = []
    for cpu in cpus:
        try:
            note = per_cpu_ptr(cast(note_type, notes), cpu)
            if note.n_type.value_() == NT_PRSTATUS and note.n_descsz.value_():
                saved.append(cpu)
        except READ_ERRORS:
            continue
    return saved


def registers_from(
    target: Target,
    cpu: int,
    online: Sequence[int] | None,
    present: Sequence[int] | None,
    saved: Sequence[int] | None,
) -> tuple[RegistersFrom, str]:
    """Where the registers of ``cpu`` come from, and what is wrong with them.

    :param online: the CPUs that were online; ``None`` if that is not known.
    :param present: the CPUs that the machine has, likewise.
    :param saved: what ``cpus_with_crash_notes`` returned.
    """
    notes = target.prstatus_notes
    is_online = online is None or cpu in online
    if saved:
        if cpu not in saved:
            if is_online:
                return "none", "it did not answer the crash NMI: its crash note is empty"
            return "none", "it was offline: its crash note is empty"
        place = saved.index(cpu)
        if place != cpu:
            return "crash note", (
                f"the dump file's note {place} is this CPU's: it has none for a CPU before it"
            )
        if notes and place >= notes:
            return "crash note", f"the dump file has only {notes} notes, and none for it"
        return "crash note", ""
    if cpu < notes:
        # A hypervisor writes one for each CPU of the machine, also for those that are offline or
        # that panic() stopped.
        known = [cpus for cpus in (online, present) if cpus is not None]
        if known and all(len(cpus) != notes for cpus in known):
            return "PRSTATUS note", (
                f"the dump file has {notes} notes for {len(known[-1])} CPUs: "
                "they may be misnumbered"
            )
        return "PRSTATUS note", ""
    return "none", "" if not is_online else "the dump file has no note for it"
