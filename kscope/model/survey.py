"""The survey: what is wrong with this machine, each finding with its evidence."""

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from kscope.model.base import Address, Query, Result, Unreadable

PanicKind = Literal[
    "none", "sysrq", "bug", "warn", "oom", "hung-task", "null-deref", "bad-page-fault",
    "general-protection", "soft-lockup", "hard-lockup", "unknown-nmi", "rcu-stall",
    "machine-check", "other",
]  # fmt: skip

Severity = Literal["critical", "warning", "info"]

SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "info")
"""The worst first."""

Outcome = Literal["waiting", "found", "nothing", "not run", "failed", "out of time"]


class SurveyTarget(msgspec.Struct, frozen=True, kw_only=True):
    """Which machine's memory was surveyed, and how complete it is."""

    path: str
    format: str
    release: str
    build_id: str
    arch: str
    cpus: int | None
    types: str
    complete: bool
    filtered: bool


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One fact that a finding rests on: the exact value, and how to see it with other tools."""

    label: str
    text: str
    crash: str = ""
    """A crash command; empty where crash has nothing near it."""
    drgn: str = ""
    """drgn code that runs as it is, with ``prog`` set."""


class Panic(msgspec.Struct, frozen=True, kw_only=True):
    """How the kernel died, if it did, and what proves it."""

    kind: PanicKind
    message: str
    cpu: int | None = None
    pid: int | None = None
    comm: str = ""
    task: Address | None = None
    agreeing: tuple[Evidence, ...] = ()
    """What each source says that points to this kind."""
    conflicting: tuple[Evidence, ...] = ()
    """What points elsewhere."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is wrong."""

    rule: str
    severity: Severity
    title: str
    """One line with names, and for how long it has been so."""
    explanation: str
    """In plain words, with what an expert would look at next."""
    evidence: tuple[Evidence, ...]
    duration_ns: int | None = None
    """For how long it had been so: by those who wait, the longest of them. The title says it, too.
    ``None`` of what happened at a moment."""
    tasks: tuple[int, ...] = ()
    """PIDs, whoever is to blame first."""
    blameless: bool = False
    """None of them is to blame: they are those who wait."""
    cpus: tuple[int, ...] = ()
    locks: tuple[Address, ...] = ()
    addresses: tuple[Address, ...] = ()
    disproof: str = ""
    """What would show that it is not so."""
    records: tuple[int, ...] = ()
    """Sequence numbers of the log records that it is about."""
    rank: int = 50
    """Within its severity: causes have low ranks, their victims high ones."""


class RuleReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one rule."""

    rule: str
    about: str
    """What it looks for."""
    outcome: Outcome
    why: str = ""
    """Why it could not run, failed or was stopped."""
    milliseconds: int = 0


class Survey(Result, frozen=True, kw_only=True):
    """Findings, the cause before its victims."""

    target: SurveyTarget
    panic: Panic
    findings: tuple[Finding, ...] = ()
    verdict: str = ""
    """One line: what is wrong with this machine."""
    signature: str = ""
    """The same for dumps that died alike: the kind and the telling functions."""
    rules: tuple[RuleReport, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()


class SurveyQuery(Query[Survey], frozen=True, kw_only=True):
    """What is wrong with this machine."""

    deadline_seconds: ClassVar[float] = 120.0

    rule: Annotated[str, Meta(description="only the rule of this name")] = ""


def in_order(findings: tuple[Finding, ...] | list[Finding]) -> tuple[Finding, ...]:
    """The worst first, among equals causes before victims, and then the longest first."""
    return tuple(
        sorted(
            findings,
            key=lambda found: (
                SEVERITIES.index(found.severity), found.rank, -(found.duration_ns or 0)
            ),
        )
    )  # fmt: skip
