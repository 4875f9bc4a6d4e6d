"""What had tainted the kernel: Documentation/admin-guide/tainted-kernels.rst."""

from drgn import Program

from kscope.model.system import Taint

MEANINGS = {
    "P": "a proprietary module was loaded",
    "F": "a module was loaded by force",
    "S": "the kernel runs on hardware outside its specification",
    "R": "a module was unloaded by force",
    "M": "the processor reported a machine check",
    "B": "a bad page was referenced or bad page flags were found",
    "U": "user space asked for it to be set",
    "D": "the kernel died before: an oops or BUG",
    "A": "an ACPI table was overridden",
    "W": "the kernel had issued a warning",
    "C": "a staging driver was loaded",
    "I": "it works around a bug in the platform's firmware",
    "O": "an out-of-tree module was loaded",
    "E": "an unsigned module was loaded",
    "L": "a soft lockup occurred before",
    "K": "the kernel was live patched",
    "X": "auxiliary taint, defined by the distribution",
    "T": "it was built with struct randomisation",
    "N": "an in-kernel test was run",
    "J": "user space used fwctl to change device state",
}


def taints(program: Program) -> tuple[Taint, ...]:
    """The taint flags that are set, in the kernel's order."""
    mask = program["tainted_mask"].value_()
    found = []
    for bit, flag in enumerate(program["taint_flags"]):
        if mask & 1 << bit:
            letter = chr(flag.c_true.value_())
            found.append(Taint(letter, MEANINGS.get(letter, "unknown to kscope")))
    return tuple(found)
