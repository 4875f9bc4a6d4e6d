"""What a dump says is never code: not in the commands that are offered for copying."""

import shlex

from kscope.kernel.death.log_reports import find_reports
from kscope.model.log import Log, Record
from kscope.target.target import Target
from kscope.triage.facts import Facts
from kscope.triage.panic_kind import classify


def test_a_log_line_cannot_leave_its_quotes_in_a_command(demo_target: Target) -> None:
    hostile = "Kernel panic - not syncing: hung_task: blocked tasks"
    report = "INFO: task a'; touch x #:1 blocked for more than 20 seconds."
    records = tuple(Record(i, i, 0, 0, "", text) for i, text in enumerate((report, hostile)))
    facts = Facts(demo_target)
    facts.__dict__["log"] = Log(
        records=records, reports=tuple(find_reports(records)), boot_time_ns=None
    )
    (evidence,) = (e for e in classify(facts).agreeing if e.label == "last report in the log")
    words = shlex.split(evidence.crash.partition("|")[2])
    assert words == ["grep", "-F", report[:40]]
