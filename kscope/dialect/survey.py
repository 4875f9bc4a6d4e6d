"""The survey as text and as Markdown, and many surveys side by side."""

import re
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from kscope.dialect.views import Equivalent
from kscope.model.survey import Finding, RuleReport, Survey, SurveyQuery
from kscope.model.text import code_span

QUERY = SurveyQuery

_WIDTH = 100
_LABEL = 24
_LETTERS = {"critical": "C", "warning": "W", "info": "I"}

_DRGN = """\
from drgn import FaultError
from drgn.helpers.linux.panic import panic_message
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.sched import task_state_to_char

try:
    print(panic_message(prog))
    print(prog.crashed_thread().stack_trace())
except (LookupError, ValueError, FaultError) as error:
    print("no panic:", error)
for task in for_each_task(prog):
    if task_state_to_char(task) == "D":
        print(task.comm.string_(), prog.stack_trace(task))
"""


def equivalent(query: SurveyQuery) -> Equivalent:  # noqa: ARG001
    """What one would begin with; each piece of evidence has a command of its own."""
    return Equivalent(
        "ps -m | grep UN",
        _DRGN,
        "crash draws no conclusions: each piece of evidence has a command of its own",
    )


def text(query: SurveyQuery, result: Survey) -> str:  # noqa: ARG001
    """The verdict, each finding with its evidence, then what the rules did."""
    parts = ["\n".join(_head(result))]
    parts += ["\n".join(_finding(finding)) for finding in result.findings]
    parts.append("\n".join(_rules(result.rules)))
    if result.unreadable:
        parts.append("UNREADABLE\n" + "\n".join(f"  {u.what}: {u.why}" for u in result.unreadable))
    return "\n\n".join(parts)


def _head(survey: Survey) -> Iterator[str]:
    target = survey.target
    facts = [
        target.path,
        target.release,
        f"{target.cpus} CPUs" if target.cpus is not None else "",
        target.format,
        "partial" if target.filtered else "",
        "" if target.complete else "INCOMPLETE",
        f"types from {target.types.upper()}" if target.types != "none" else "no types",
    ]
    yield " · ".join(filter(None, facts))
    yield f"PANIC    {panic_words(survey)}"
    yield f"VERDICT  {survey.verdict}"


def panic_words(survey: Survey) -> str:
    """The panic in one line."""
    panic = survey.panic
    if panic.kind == "none" and any(each.what == "the log" for each in survey.unreadable):
        return "not known: the log cannot be read"
    if panic.kind == "none":
        return "none: this machine did not panic"
    where = f", {panic.comm} {panic.pid}" if panic.pid is not None else ""
    where += f" on CPU {panic.cpu}" if panic.cpu is not None else ""
    return f"{panic.kind}{where}" + (f": {panic.message}" if panic.message else "")


def _finding(finding: Finding) -> Iterator[str]:
    yield f"{_LETTERS[finding.severity]}  {finding.title}"
    yield from _wrapped(finding.explanation, "   ")
    for evidence in finding.evidence:
        label = f"   {evidence.label:<{_LABEL}} "
        yield from _wrapped(evidence.text, label, " " * (_LABEL + 4))
        if evidence.crash:
            yield f"{' ' * (_LABEL + 4)}crash> {evidence.crash}"
    if finding.disproof:
        yield from _wrapped(finding.disproof, f"   {'disproved if':<{_LABEL}} ", " " * (_LABEL + 4))


def _wrapped(words: str, first: str, others: str | None = None) -> list[str]:
    return textwrap.wrap(
        words, _WIDTH, initial_indent=first,
        subsequent_indent=first if others is None else others, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def _rules(rules: Iterable[RuleReport]) -> Iterator[str]:
    rules = list(rules)
    quiet = [rule for rule in rules if rule.outcome == "nothing"]
    if quiet:
        about = ", ".join(rule.about for rule in quiet)
        yield from _wrapped(f"{len(quiet)} rules found nothing: {about}", "·  ", "   ")
    for about, why in unable(rules):
        yield from _wrapped(f"{about}: {why}", "!  ", "   ")


def unable(rules: Iterable[RuleReport]) -> list[tuple[str, str]]:
    """The rules that did not come to an end, and why; those with the same reason together."""
    reasons: dict[tuple[str, str], list[str]] = defaultdict(list)
    for rule in rules:
        if rule.outcome in ("not run", "failed", "out of time"):
            reasons[rule.outcome, rule.why].append(rule.about)
    return [
        (f"{abouts[0]} {outcome}" if len(abouts) == 1
         else f"{len(abouts)} rules {outcome} ({', '.join(abouts)})", why)
        for (outcome, why), abouts in reasons.items()
    ]  # fmt: skip


# Markdown.


def markdown(result: Survey) -> str:
    """The survey as a report to paste into a ticket: conclusions first, then commands."""
    lines = [f"# {_escaped(result.verdict)}", ""]
    target = result.target
    for name, value in (
        ("Dump", target.path),
        ("Kernel", f"{target.release} {target.arch}".strip()),
        ("Build ID", target.build_id),
        ("CPUs", target.cpus),
        ("Panic", panic_words(result)),
    ):
        if value:
            lines.append(f"- {name}: {_escaped(str(value))}")
    if result.signature:
        lines.append(f"- Signature: {code_span(result.signature)}")
    for finding in result.findings:
        lines += ["", f"## {finding.severity.capitalize()}: {_escaped(finding.title)}", ""]
        lines += [_escaped(finding.explanation.strip()), ""]
        for evidence in finding.evidence:
            crash = f" ({code_span(evidence.crash)})" if evidence.crash else ""
            lines.append(f"- {_escaped(evidence.label)}: {_escaped(evidence.text)}{crash}")
        if finding.disproof:
            lines += ["", f"Disproved if: {_escaped(finding.disproof)}."]
    missing = unable(result.rules)
    if missing:
        lines += ["", "## Not looked at", ""]
        lines += [f"- {about}: {_escaped(why)}" for about, why in missing]
    return "\n".join(lines)


_MARKED = re.compile(r"[\\`*\[\]]|<(?=[A-Za-z/!?])|_(?!\w)|^[#>+-]")
"""What Markdown could make something of. An underscore can only end an emphasis where no word goes
on after it, and none begins that does not end: the names of C need no escapes."""


def _escaped(words: str) -> str:
    return _MARKED.sub(lambda match: "\\" + match[0], words)


# Many.

Failed = tuple[str, str]
"""A dump that could not be surveyed, and why."""


def culprit(survey: Survey) -> str:
    """Who is to blame, in a few words."""
    for finding in survey.findings:
        if finding.severity != "info" and finding.tasks:
            if finding.blameless:
                return "-"
            pid = finding.tasks[0]
            if pid == survey.panic.pid:
                break
            # Evidence about a task is labelled with its name and PID.
            labels = [evidence.label for evidence in finding.evidence]
            named = next((label for label in labels if label.endswith(f" {pid}")), "")
            in_title = re.search(rf"(\S+ {pid})\b", finding.title)
            return named or (in_title[1] if in_title else str(pid))
    if survey.panic.pid is not None:
        return f"{survey.panic.comm} {survey.panic.pid}"
    return "-"


def groups(surveys: Iterable[Survey]) -> list[tuple[str, list[Survey]]]:
    """Those that died alike together, the largest group first."""
    by_signature: dict[str, list[Survey]] = defaultdict(list)
    for survey in surveys:
        by_signature[survey.signature].append(survey)
    return sorted(by_signature.items(), key=lambda item: -len(item[1]))


def table(surveys: Sequence[Survey], failed: Sequence[Failed]) -> str:
    """A line a dump, those that died alike under their signature."""
    rows = [("KIND", "CULPRIT", "DUMP", "VERDICT")]
    rows += [(s.panic.kind, culprit(s), s.target.path, s.verdict) for s in surveys]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]

    def line(row: Sequence[str]) -> str:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        return "  ".join((*cells, row[3])).rstrip()

    lines = [line(rows[0])]
    for signature, alike in groups(surveys):
        lines += ["", f"{len(alike)} x  {signature}"]
        lines += [line((s.panic.kind, culprit(s), s.target.path, s.verdict)) for s in alike]
    if failed:
        lines += ["", "NOT SURVEYED"]
        lines += [f"{path}: {why}" for path, why in failed]
    return "\n".join(lines)
