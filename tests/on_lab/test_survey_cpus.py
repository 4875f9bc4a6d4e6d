"""The survey of the guest with a CPU that takes no interrupts, and of what waits for it."""

import pytest

from kscope.model.survey import Finding, Survey
from tests.lab.catalogue import LabDump, find
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


def test_who_spins_until_the_cpu_answers_is_told_for_whom(dump: LabDump, survey: Survey) -> None:
    (finding,) = of_rule(survey, "cpu-stuck")
    assert finding.tasks == (dump.task("caller")["pid"],)
    assert "waits busily for CPU 1" in finding.explanation
    (unanswered,) = of_rule(survey, "unanswered-ipis")
    assert unanswered.cpus == (1, 2)


def test_throttled_or_crowded_out_tasks_are_told_with_their_times(
    dump: LabDump, series: str, survey: Survey
) -> None:
    (finding,) = of_rule(survey, "starved-tasks")
    # Where the deadline server gives normal tasks their share (6.12), nothing is throttled, and a
    # normal task may just have run.
    assert "CPU 3" in finding.title
    assert ("throttled" in finding.title) is (series == "6.1")
    assert dump.task("rt-behind")["pid"] in finding.tasks
