"""What findings say is no more than what is proved, in situations that the bundled dump lacks."""

import dataclasses
from collections.abc import Iterable

import msgspec
import pytest

from kscope.model.cpus import Cpu, Cpus
from kscope.model.locks import Locks
from kscope.model.log import Log, Record
from kscope.model.survey import Finding, Panic
from kscope.target.target import Target
from kscope.target.vmcoreinfo import Vmcoreinfo
from kscope.triage.facts import Facts
from kscope.triage.rule import Rule
from kscope.triage.rules import cpu_stuck, deadlock, hardware_errors, panic_bad_access, panic_oom

replace = msgspec.structs.replace
S = 10**9


def only(rule: Rule, facts: Facts) -> Finding:
    (finding,) = rule.check(facts)
    return finding


def with_cpus(target: Target, cpus: Iterable[Cpu]) -> Facts:
    known: Cpus = Facts(target).all_cpus
    facts = Facts(target)
    facts.__dict__["all_cpus"] = replace(known, cpus=tuple(cpus))
    return facts


def with_locks(target: Target, *, certain: bool, killable: bool) -> Facts:
    facts = Facts(target)
    known: Locks = facts.locks
    facts.__dict__["locks"] = replace(
        known,
        rings=tuple(replace(ring, certain=certain) for ring in known.rings),
        blocked=tuple(replace(task, killable=killable) for task in known.blocked),
    )
    return facts


def test_memory_that_ran_out_without_panic_on_oom_is_not_blamed_on_it(demo_target: Target) -> None:
    facts = Facts(demo_target)
    message = "Kernel panic - not syncing: System is deadlocked on memory"
    facts.__dict__["panic"] = Panic(kind="oom", message=message)
    explanation = only(panic_oom.RULE, facts).explanation
    assert "no process left that could be killed" in explanation
    assert "panic_on_oom" not in explanation


def test_a_cpu_without_ticks_is_not_said_to_let_nothing_else_run(demo_target: Target) -> None:
    """As one whose host did not run it: it may well schedule."""
    cpu = next(cpu for cpu in Facts(demo_target).online_cpus if not (cpu.idle or cpu.panicked))
    assert cpu.health is not None
    tick = replace(cpu.health.tick, stopped=False, next_in_ns=-5 * S)
    late = replace(
        cpu, health=replace(cpu.health, tick=tick), fair=(), lockup=None, irqs_enabled=True
    )
    finding = only(cpu_stuck.RULE, with_cpus(demo_target, [late]))
    assert finding.title.startswith(f"CPU {cpu.cpu} has lost its tick for 5.0 s: ")
    assert "nothing else" not in finding.explanation
    assert "the host" in finding.explanation


@pytest.mark.parametrize(
    ("certain", "killable", "sentence"),
    [
        (True, False, "None of them can ever go on. "),
        (True, True, "None of them can ever go on, unless one that may be interrupted gets a sig"),
        (False, False, "If it has not: none of them can ever go on. "),
    ],
)
def test_a_deadlock_lasts_for_ever_only_if_that_is_certain(
    demo_target: Target, certain: bool, killable: bool, sentence: str
) -> None:
    facts = with_locks(demo_target, certain=certain, killable=killable)
    assert sentence in only(deadlock.RULE, facts).explanation


def test_one_error_that_the_hardware_could_not_correct_is_one(demo_target: Target) -> None:
    line = "mce: [Hardware Error]: CPU 1: Machine Check: 0 Bank 1: b600000000000135"
    facts = Facts(demo_target)
    facts.__dict__["log"] = Log(
        records=(Record(0, 0, 0, 0, "", line),), reports=(), boot_time_ns=None
    )
    assert "could not correct it: " in only(hardware_errors.RULE, facts).explanation


@pytest.mark.parametrize("five_levels", [False, True])
def test_what_is_canonical_depends_on_how_many_levels_page_tables_have(
    demo_target: Target, five_levels: bool
) -> None:
    number = {"NUMBER(pgtable_l5_enabled)": str(int(five_levels))}
    values = {**demo_target.vmcoreinfo.values, **number}
    facts = Facts(dataclasses.replace(demo_target, vmcoreinfo=Vmcoreinfo(values)))
    assert facts.stopped is not None
    in_direct_map_of_five = 0xFF11000000001000
    meaning = panic_bad_access.meaning_of(facts, in_direct_map_of_five, None, facts.stopped)
    assert meaning.startswith("not canonical: the CPU") is not five_levels
