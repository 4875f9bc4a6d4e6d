"""Where a CPU's registers are, and whether interrupts were on.

While a kernel crashes, each CPU that answers the NMI writes its registers into its own
``crash_notes``. The dump file's NT_PRSTATUS notes are copies of these, one behind the other without
a number: the third is CPU 2's only if CPUs 0 and 1 answered. A hypervisor that dumps a guest writes
NT_PRSTATUS notes alone, one for each virtual CPU.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

from drgn import Program, cast
from drgn.helpers.linux.percpu import per_cpu_ptr

from kscope.kernel.access.reading import READ_ERRORS, Readings
from kscope.model.cpus import RegistersFrom
from kscope.target.elf import NT_PRSTATUS
from kscope.target.target import Target


@dataclass(frozen=True)
class RegisterSources:
    """What decides whose registers are where. ``None`` stands for what cannot be told."""

    notes: int
    """NT_PRSTATUS notes in the dump file."""
    at_work: Collection[int] | None
    """CPUs that were online, be it until panic() stopped them."""
    present: Collection[int] | None
    """CPUs that the machine has."""
    saved: Sequence[int] | None
    """CPUs that saved their registers when the kernel crashed."""

    @classmethod
    def read(cls, target: Target, possible: Sequence[int]) -> Self:
        program = target.program
        readings = Readings()
        online, active, present = (
            readings.read(name, partial(cpu_mask, program, name), None)
            for name in ("online", "active", "present")
        )
        # stop_this_cpu(), which panic() has the others call, takes them off the online ones alone.
        at_work = None if online is None else {*online, *(active or ())}
        saved = _cpus_with_crash_notes(program, possible)
        return cls(target.prstatus_notes, at_work, present, saved)

    def of(self, cpu: int) -> tuple[RegistersFrom, str]:
        """Where the registers of ``cpu`` are, and what is wrong with them."""
        if self.saved:
            return self._crash_note(cpu, self.saved)
        if self.at_work is not None and cpu not in self.at_work:
            # What a hypervisor says of it is how the machine left it, not the kernel.
            return "none", "it was offline"
        if cpu >= self.notes:
            return "none", "the dump file has no note for it"
        # A hypervisor writes one for each CPU of the machine, also for those that are offline.
        known = [len(cpus) for cpus in (self.at_work, self.present) if cpus is not None]
        if known and self.notes not in known:
            return "PRSTATUS note", (
                f"the dump file has {self.notes} notes for {known[-1]} CPUs: "
                "they may be misnumbered"
            )
        return "PRSTATUS note", ""

    def _crash_note(self, cpu: int, saved: Sequence[int]) -> tuple[RegistersFrom, str]:
        if cpu not in saved:
            if self.at_work is None or cpu in self.at_work:
                return "none", "it did not answer the crash NMI: its crash note is empty"
            return "none", "it was offline: its crash note is empty"
        place = saved.index(cpu)
        if place != cpu:
            return "crash note", (
                f"the dump file's note {place} is this CPU's: it has none for a CPU before it"
            )
        if self.notes and place >= self.notes:
            return "crash note", f"the dump file has only {self.notes} notes, and none for it"
        return "crash note", ""


def cpu_mask(program: Program, name: str) -> list[int]:
    """The CPUs that are ``online``, ``active`` or ``present``."""
    words = program[f"__cpu_{name}_mask"].bits
    data = program.read(words.address_, 8 * len(words))
    bits = int.from_bytes(data, "little")
    return [cpu for cpu in range(bits.bit_length()) if bits >> cpu & 1]


def _cpus_with_crash_notes(program: Program, cpus: Sequence[int]) -> list[int] | None:
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
