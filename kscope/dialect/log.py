"""The log, as crash's ``log``."""

from kscope.dialect.layout import date
from kscope.dialect.views import Equivalent
from kscope.model.log import Log, LogQuery, Record

QUERY = LogQuery

_DRGN = """\
from drgn.helpers.linux.printk import print_dmesg

print_dmesg(prog{human})
"""


def equivalent(query: LogQuery) -> Equivalent:
    """``log``; a text filter is grep's, level and facility need ``log -m``'s numbers."""
    crash = "log -T" if query.human_time else "log"
    if query.match:
        pattern = query.match.removeprefix("!").replace("'", "'\\''")
        inverted = "v" if query.match.startswith("!") else ""
        crash += f" | grep -{inverted}iE '{pattern}'"
    note = "crash cannot filter by level or facility" if query.level or query.facility else ""
    human = ', timestamps="human"' if query.human_time else ""
    return Equivalent(crash, _DRGN.format(human=human), note)


def text(query: LogQuery, result: Log) -> str:
    """A record a line, ``[  123.456789] text``; further lines of a record as crash indents them."""
    boot_time_ns = result.boot_time_ns if query.human_time else None
    return "\n".join(line(record, boot_time_ns) for record in result.records)


def line(record: Record, boot_time_ns: int | None = None) -> str:
    """One record as crash prints it; with the time of boot, dated as ``log -T`` does."""
    seconds, rest = divmod(record.timestamp_ns, 1_000_000_000)
    if boot_time_ns is None:
        stamp = f"[{seconds:5d}.{rest // 1000:06d}] "
    else:
        stamp = f"[{date((boot_time_ns + record.timestamp_ns) // 1_000_000_000)}] "
    return stamp + record.text.replace("\n", "\n" + " " * len(stamp))
