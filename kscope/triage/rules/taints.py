"""What had tainted a kernel that then failed: modules that are not its own, and what they are."""

import shlex
from collections.abc import Iterator

from drgn.helpers.linux.module import for_each_module, module_taints

from kscope.kernel.access.reading import READ_ERRORS
from kscope.kernel.machine.taints import taints
from kscope.model.survey import Evidence, Finding
from kscope.model.text import printable
from kscope.triage.facts import Facts
from kscope.triage.rule import Rule

_HARMLESS_KINDS = ("none", "sysrq", "unknown-nmi", "machine-check")
"""Ways in which a kernel does not fail by itself: whose module was loaded then explains nothing."""

_MODULE_FLAGS = frozenset("PFOEC")


def _check(facts: Facts) -> Iterator[Finding]:
    if facts.panic.kind in _HARMLESS_KINDS:
        return
    flags = {taint.letter: taint.meaning for taint in taints(facts.program)}
    if not flags:
        return
    modules = list(_modules(facts))
    names = ", ".join(f"{name} ({letters})" for name, letters in modules)
    letters = "".join(flags)
    title = f"Kernel tainted {letters}" + (f": {names}" if names else "")
    yield Finding(
        rule=RULE.name,
        severity="info",
        title=title,
        explanation="; ".join(f"{letter}: {meaning}" for letter, meaning in flags.items())
        + ". Code that is not part of the kernel runs with all its rights: ask who made it, unless "
        "the findings above have nothing to do with it."
        if _MODULE_FLAGS & set(flags)
        else "; ".join(f"{letter}: {meaning}" for letter, meaning in flags.items()) + ".",
        evidence=(
            Evidence(
                label="tainted_mask",
                text=f"{facts.program['tainted_mask'].value_():#x}: {letters}",
                crash="p tainted_mask",
                drgn="from drgn.helpers.linux.panic import tainted\n\nprint(tainted(prog))",
            ),
            *(
                Evidence(
                    label=f"module {name}",
                    text=f"tainted {letters}",
                    crash=f"mod -t | grep -w {shlex.quote(name)}",
                    drgn="from drgn.helpers.linux.module import find_module, module_taints\n\n"
                    f"print(module_taints(find_module(prog, {name!r})))",
                )
                for name, letters in modules
            ),
        ),
        disproof="",
        rank=90,
    )


def _modules(facts: Facts) -> Iterator[tuple[str, str]]:
    try:
        for module in for_each_module(facts.program):
            letters = module_taints(module)
            if letters:
                yield printable(module.name.string_()), letters
    except READ_ERRORS:
        return


RULE = Rule("taints", "what had tainted the kernel", _check, needs=("tainted_mask",))
