"""The survey of the guest with a CPU that takes no interrupts, and of what waits for it."""

import pytest
from drgn.helpers.linux.llist import llist_for_each_entry
from drgn.helpers.linux.percpu import per_cpu
from msgspec.structs import replace

from kscope.kernel.processor.ipis import awaited
from kscope.model.survey import Finding, Panic, Survey
from kscope.model.target import OpenQuery
from kscope.session.answering import finish
from kscope.target.opening import open_target
from kscope.triage.cpu_victims import of_pool
from kscope.triage.facts import Facts
from kscope.triage.rules import interrupts_off, panic_lockup, unanswered_ipis
from tests.kernel.putting import put
from tests.lab.catalogue import LabDump, find
from tests.on_lab.opening import open_lab
from tests.on_lab.surveys import of_rule

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def dump(series: str) -> LabDump:
    return find("stuck-cpus", series)


@pytest.fixture(scope="module")
def deaf(survey: Survey) -> Finding:
    (finding,) = of_rule(survey, "interrupts-off")
    return finding


def text_of(finding: Finding, label: str) -> str:
    return next(e.text for e in finding.evidence if e.label.startswith(label))


def test_the_cpu_that_takes_no_interrupts_comes_first(deaf: Finding, survey: Survey) -> None:
    assert deaf == survey.findings[0]


def test_it_lists_the_tasks_that_are_ready_and_not_run(dump: LabDump, deaf: Finding) -> None:
    assert f"rt-high {dump.task('rt-high')['pid']} for " in text_of(deaf, "runqueue of CPU 1")


def test_it_lists_the_calls_and_wakeups_that_were_asked_of_it(dump: LabDump, deaf: Finding) -> None:
    asked = text_of(deaf, "IPIs to CPU 1")
    assert f"sleeper {dump.task('sleeper')['pid']}" in asked
    assert "storlab_called_and_awaited()" in asked


def test_it_lists_the_timers_that_are_overdue(deaf: Finding) -> None:
    assert "storlab_late_timer_fn() by " in text_of(deaf, "timers of CPU 1")


def test_it_lists_the_pool_of_workers_that_makes_no_progress(deaf: Finding) -> None:
    assert "storlab_late_work_fn()" in text_of(deaf, "pool ")


@pytest.mark.parametrize(
    ("detector", "sentence"),
    [
        ("none", "would report it after 10 s if the machine had one"),
        ("perf", "The hard-lockup detector (perf) reports that after 10 s."),
    ],
)
def test_a_hard_lockup_detector_is_missed_only_where_there_is_none(
    series: str, types: str, detector: str, sentence: str
) -> None:
    facts = Facts(open_lab("stuck-cpus", series, types))
    cpu = facts.all_cpus.cpus[1]
    assert cpu.health is not None
    known = replace(cpu.health.watchdog, hardlockup_detector=detector)
    changed = replace(cpu, health=replace(cpu.health, watchdog=known))
    facts.__dict__["all_cpus"] = replace(facts.all_cpus, cpus=(changed,))
    (finding,) = interrupts_off.RULE.check(facts)
    assert sentence in finding.explanation


def test_one_item_of_work_waits_in_the_singular(series: str, types: str) -> None:
    health = Facts(open_lab("stuck-cpus", series, types)).all_cpus.cpus[1].health
    assert health is not None
    stuck = next(pool for pool in health.pools if pool.stuck)
    first = replace(stuck, pending=stuck.pending[:1])
    assert of_pool(first).text.startswith(f"1 work item waits ({first.pending[0].name}())")


def test_who_spins_until_the_cpu_answers_is_told_for_whom(dump: LabDump, survey: Survey) -> None:
    (finding,) = of_rule(survey, "cpu-stuck")
    assert finding.tasks == (dump.task("caller")["pid"],)
    assert "waits busily for CPU 1" in finding.explanation
    (unanswered,) = of_rule(survey, "unanswered-ipis")
    assert unanswered.cpus == (1, 2)


def test_a_lockup_of_one_who_waits_for_another_cpu_points_to_that(series: str, types: str) -> None:
    facts = Facts(open_lab("stuck-cpus", series, types))
    facts.__dict__["panic"] = Panic(kind="soft-lockup", message="", cpu=2)
    (finding,) = panic_lockup.RULE.check(facts)
    sentence = "It waits busily for CPU 1 to handle storlab_called_and_awaited, so look at what"
    assert sentence in finding.explanation


def test_several_who_wait_for_a_cpu_wait_in_the_plural(series: str, types: str) -> None:
    facts = Facts(open_lab("stuck-cpus", series, types))
    cpu = facts.all_cpus.cpus[1]
    assert cpu.health is not None
    (call,) = (ipi for ipi in cpu.health.ipis if ipi.from_cpu == 2)
    more = replace(cpu.health, ipis=(call, replace(call, from_cpu=3)))
    facts.__dict__["all_cpus"] = replace(facts.all_cpus, cpus=(replace(cpu, health=more),))
    (finding,) = unanswered_ipis.RULE.check(facts)
    assert finding.title.startswith("CPU 1 does not answer CPU 2 and CPU 3, which wait for it for ")


def test_a_queue_of_calls_that_leads_round_in_circles_has_an_end(series: str) -> None:
    path = str(find("stuck-cpus", series).vmcore)
    program = finish(open_target(OpenQuery(path=path)), None).program
    nodes = per_cpu(program["call_single_queue"], 1)
    for node in llist_for_each_entry("struct __call_single_node", nodes.first, "llist"):
        last = node
    put(program, last.llist.next, nodes.first.value_())
    cpus, function = awaited(program, 2)
    assert cpus == (1,)
    assert function is not None
    assert function.name == "storlab_called_and_awaited"


def test_throttled_or_crowded_out_tasks_are_told_with_their_times(
    dump: LabDump, series: str, survey: Survey
) -> None:
    (finding,) = of_rule(survey, "starved-tasks")
    # Where the deadline server gives normal tasks their share (6.12), nothing is throttled, and a
    # normal task may just have run.
    assert "CPU 3" in finding.title
    assert ("throttled" in finding.title) is (series == "6.1")
    assert dump.task("rt-behind")["pid"] in finding.tasks
