"""The kernel's log: the printk ring buffer, and the reports in it."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from kscope.model.base import Query, Result, Unreadable

LEVELS = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
"""printk's levels 0 to 7, named as ``dmesg`` names them."""

FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron",
    "authpriv", "ftp", "ntp", "audit", "alert", "clock",
    "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
)  # fmt: skip
"""syslog's facilities; the kernel's own lines are ``kern``, others came through /dev/kmsg."""

ReportKind = Literal[
    "panic", "oops", "bug", "warning", "null-deref", "bad-page-fault", "general-protection",
    "soft-lockup", "hard-lockup", "rcu-stall", "hung-task", "oom", "nmi", "sysrq",
    "machine-check", "workqueue-lockup", "kasan",
]  # fmt: skip


class Record(msgspec.Struct, frozen=True):
    """One printk record. Its text may have several lines."""

    seq: int
    timestamp_ns: int
    """Since boot, from the kernel's ``local_clock()``."""
    level: int
    facility: int
    caller: str
    """``T123`` for a task, ``C2`` for a CPU in interrupt; empty without CONFIG_PRINTK_CALLER."""
    text: str


class Report(msgspec.Struct, frozen=True):
    """A report the kernel printed about itself: where in the log it is and what it says."""

    kind: ReportKind
    title: str
    first: int
    """Index into ``Log.records`` of its first record."""
    last: int
    """Index of its last record."""


class Log(Result, frozen=True):
    """The log, oldest record first."""

    records: tuple[Record, ...]
    reports: tuple[Report, ...]
    boot_time_ns: int | None
    """Realtime clock minus uptime when the dump was taken, ns since 1970: what turns timestamps
    into dates as ``log -T`` does. ``None`` when it cannot be read."""
    overwritten: int = 0
    """Records that the ring buffer had let go of before the dump was taken."""
    unreadable: tuple[Unreadable, ...] = ()


class LogQuery(Query[Log], frozen=True, kw_only=True):
    """The kernel's log."""

    level: Annotated[
        str, Meta(description="show only records of this level and worse: " + " ".join(LEVELS))
    ] = ""
    facility: Annotated[str, Meta(description="show only records of this facility")] = ""
    match: Annotated[
        str, Meta(description="show only records matching this regular expression (! inverts)")
    ] = ""
    human_time: Annotated[bool, Meta(description="dates in place of seconds, as log -T")] = False
