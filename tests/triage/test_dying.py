"""Whether and how a kernel died, where its log says something else, on the bundled dump."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from drgn import FaultError

from kscope.kernel.death.log_reports import find_reports
from kscope.model.log import Log, Record
from kscope.model.survey import Panic
from kscope.model.target import OpenQuery
from kscope.session.answering import finish
from kscope.target.opening import open_target
from kscope.target.target import Target
from kscope.triage.facts import Facts
from kscope.triage.panic_kind import classify
from kscope.triage.rules import panic_hung_task
from tests.kernel.excluding import exclude
from tests.kernel.putting import put


@pytest.fixture
def target(demo: Path) -> Target:
    return finish(open_target(OpenQuery(path=str(demo))), None)


def with_log(target: Target, *lines: str) -> Facts:
    records = tuple(Record(i, i * 10**9, 0, 0, "", text) for i, text in enumerate(lines))
    facts = Facts(target)
    facts.__dict__["log"] = Log(
        records=records, reports=tuple(find_reports(records)), boot_time_ns=None
    )
    return facts


def test_a_machine_that_survived_a_fault_did_not_die_of_it(target: Target) -> None:
    """As a hypervisor dumps it later: no CPU has panicked, and no crash kernel was started."""
    put(target.program, target.program["panic_cpu"].counter, -1)
    identity = msgspec.structs.replace(target.identity, crash_time_seconds=None)
    taken_outside = replace(target, identity=identity)
    facts = with_log(
        taken_outside, "BUG: kernel NULL pointer dereference, address: 0000000000000008"
    )
    assert classify(facts) == Panic(kind="none", message="")


def test_a_setting_that_cannot_be_read_keeps_nothing_from_being_told(target: Target) -> None:
    timeout = target.program["sysctl_hung_task_timeout_secs"]
    panics = target.program["sysctl_hung_task_panic"]
    exclude(target.program, [timeout.address_ or 0, panics.address_ or 0], 4)
    with pytest.raises(FaultError):
        timeout.value_()
    facts = Facts(target)
    assert facts.panic.kind == "hung-task"
    (finding,) = panic_hung_task.RULE.check(facts)
    assert "sleep for more than it was told to allow. " in finding.explanation
