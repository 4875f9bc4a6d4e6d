"""The survey: runs every rule that can be run, and ranks what they found."""

import time
from collections.abc import Generator

from drgn.helpers.linux.cpumask import num_present_cpus
from msgspec.structs import replace

from kscope.kernel.access.reading import READ_ERRORS, Readings, reason
from kscope.model.base import Part, Progress, QueryError
from kscope.model.survey import (
    Finding,
    Outcome,
    Panic,
    RuleReport,
    Survey,
    SurveyQuery,
    SurveyTarget,
    in_order,
)
from kscope.target.target import Target
from kscope.triage.facts import Facts
from kscope.triage.rule import Rule
from kscope.triage.rules import all_rules
from kscope.triage.signature import signature
from kscope.triage.time_limit import OutOfTimeError, time_limit

_PREPARATION_SECONDS = 20.0
"""For what all rules share: the tables of tasks, locks and CPUs."""


def survey(target: Target, query: SurveyQuery) -> Generator[Progress | Part[Survey], None, Survey]:
    """Answer a SurveyQuery; each rule's findings come as soon as it has ended.

    :raises QueryError: if there is no rule of the name that is asked for.
    """
    rules = [rule for rule in all_rules() if query.rule in ("", rule.name)]
    if not rules:
        names = " ".join(rule.name for rule in all_rules())
        raise QueryError(f"There is no rule {query.rule}.", f"There are: {names}.")
    running = _Survey(target, rules)
    for done, rule in enumerate(rules):
        yield Progress(done, len(rules), f"looking for {rule.about}")
        running.run(rule)
        yield Part(result=running.result())
    return running.result(complete=True)


class _Survey:
    def __init__(self, target: Target, rules: list[Rule]) -> None:
        self._target = target
        self._facts = Facts(target)
        self._readings = Readings()
        self._findings: list[Finding] = []
        self._reports = {
            rule.name: RuleReport(rule=rule.name, about=rule.about, outcome="waiting")
            for rule in rules
        }
        identity = target.identity
        if target.debug_info.types == "none":
            self._readings.note("the kernel's types", "; ".join(target.debug_info.missing))
        self._described = SurveyTarget(
            path=identity.path,
            format=identity.format,
            release=identity.release,
            build_id=identity.build_id,
            arch=identity.machine,
            cpus=self._number_of_cpus(),
            types=target.debug_info.types,
            complete=identity.complete,
            filtered=identity.filtered,
        )
        try:
            with time_limit(_PREPARATION_SECONDS):
                self._panic = self._facts.panic
        except OutOfTimeError:
            self._panic = Panic(kind="other", message="")
            self._readings.note("the panic", "reading it took too long")

    def _number_of_cpus(self) -> int | None:
        if self._target.debug_info.types == "none":
            return None
        return self._readings.read("CPUs", lambda: num_present_cpus(self._target.program), None)

    def run(self, rule: Rule) -> None:
        """Run one rule; whatever becomes of it, the others go on."""
        why = self._why_not(rule)
        if why:
            self._report(rule, "not run", why)
            return
        start = time.monotonic()
        found: list[Finding] = []
        outcome: Outcome
        try:
            with time_limit(rule.seconds):
                found.extend(rule.check(self._facts))
            outcome, why = ("found" if found else "nothing"), ""
        except OutOfTimeError:
            outcome, why = "out of time", f"it was stopped after {rule.seconds:g} s"
        except QueryError as error:
            outcome, why = "failed", error.sentence
        except READ_ERRORS as error:
            outcome, why = "failed", reason(error)
        # No finding without evidence.
        self._findings += [_without_nameless(finding) for finding in found if finding.evidence]
        self._report(rule, outcome, why, time.monotonic() - start)

    def _why_not(self, rule: Rule) -> str:
        if self._target.identity.live and not rule.live:
            return "what it reads does not stand still on a running machine"
        if not rule.needs_types:
            return ""
        if self._target.debug_info.types == "none":
            return "there are no types to read it with"
        for need in rule.needs:
            try:
                if need.startswith("struct "):
                    self._target.program.type(need)
                else:
                    self._target.program[need]
            except LookupError:
                return f"this kernel has no {need}, or its debug info lacks it"
            except READ_ERRORS as error:
                return reason(error)
        return ""

    def _report(self, rule: Rule, outcome: Outcome, why: str, seconds: float = 0.0) -> None:
        self._reports[rule.name] = RuleReport(
            rule=rule.name, about=rule.about, outcome=outcome, why=why,
            milliseconds=round(seconds * 1000),
        )  # fmt: skip

    def result(self, *, complete: bool = False) -> Survey:
        """What is known so far."""
        findings = in_order(self._findings)
        return Survey(
            target=self._described,
            panic=self._panic,
            findings=findings,
            verdict=self._verdict(findings) if findings or complete else "",
            signature=self._signature(findings) if complete else "",
            rules=tuple(self._reports.values()),
            unreadable=(*self._facts.unreadable, *self._readings.unreadable),
        )

    def _verdict(self, findings: tuple[Finding, ...]) -> str:
        if findings:
            return findings[0].title
        unable = [r for r in self._reports.values() if r.outcome not in ("found", "nothing")]
        if not unable:
            return "Nothing wrong was found."
        return f"Nothing was found, but {len(unable)} of {len(self._reports)} rules could not run."

    def _signature(self, findings: tuple[Finding, ...]) -> str:
        try:
            return signature(self._facts, self._panic.kind, findings)
        except READ_ERRORS as error:
            self._readings.note("signature", reason(error))
        except QueryError as error:
            self._readings.note("signature", error.sentence)
        return ""


def _without_nameless(finding: Finding) -> Finding:
    """Without tasks whose PID could not be read: these are only in its sentences."""
    return replace(finding, tasks=tuple(pid for pid in finding.tasks if pid >= 0))


ANSWERS = {SurveyQuery: survey}
