"""The log, as crash's ``log``."""

from kscope.dialect.layout import date
from kscope.dialect.views import Equivalent
from kscope.model.log import FACILITIES, LEVELS, Log, LogQuery, Record

QUERY = LogQuery

_DRGN = """\
from drgn.helpers.linux.printk import print_dmesg

print_dmesg(prog{human})
"""
_DRGN_SELECTED = """\
import re
from drgn.helpers.linux.printk import get_printk_records

for record in get_printk_records(prog):
    if {conditions}:
        seconds = record.timestamp / 1e9
        print(f"[{{seconds:12.6f}}] {{record.text.decode(errors='backslashreplace')}}")
"""


def equivalent(query: LogQuery) -> Equivalent:
    """``log``; a text filter is grep's, level and facility need ``log -m``'s numbers."""
    crash = "log -T" if query.human_time else "log"
    if query.match:
        pattern = query.match.removeprefix("!").replace("'", "'\\''")
        inverted = "v" if query.match.startswith("!") else ""
        crash += f" | grep -{inverted}iE '{pattern}'"
    note = "crash cannot filter by level or facility" if query.level or query.facility else ""
    return Equivalent(crash, _drgn(query), note)


def _drgn(query: LogQuery) -> str:
    conditions = []
    if query.level:
        conditions.append(f"record.level <= {LEVELS.index(query.level)}")
    if query.facility:
        conditions.append(f"record.facility == {FACILITIES.index(query.facility)}")
    if query.match:
        wanted = query.match.removeprefix("!")
        inverted = "not " if wanted != query.match else ""
        conditions.append(f"{inverted}re.search({wanted.encode()!r}, record.text, re.I)")
    if conditions:
        return _DRGN_SELECTED.format(conditions=" and ".join(conditions))
    return _DRGN.format(human=', timestamps="human"' if query.human_time else "")


def text(query: LogQuery, result: Log) -> str:
    """A record a line, ``[  123.456789] text``; further lines of a record as crash indents them."""
    boot_time_ns = result.boot_time_ns if query.human_time else None
    return "\n".join(line(record, boot_time_ns) for record in result.records)


def line(
    record: Record,
    boot_time_ns: int | None = None,
    *,
    stamped: bool = True,
    level: bool = False,
    caller: bool = False,
) -> str:
    """One record as crash prints it.

    :param boot_time_ns: dates it as ``log -T`` does.
    :param stamped: with its time, which ``log -t`` leaves out.
    :param level: with its level, as ``log -m``.
    :param caller: with the thread or CPU that wrote it, as ``log -c``.
    """
    seconds, rest = divmod(record.timestamp_ns, 1_000_000_000)
    if not stamped:
        stamp = ""
    elif boot_time_ns is None:
        stamp = f"[{seconds:5d}.{rest // 1000:06d}] "
    else:
        stamp = f"[{date((boot_time_ns + record.timestamp_ns) // 1_000_000_000)}] "
    if caller and record.caller:
        stamp += f"[{record.caller:>6}] "
    if level:
        stamp += f"<{record.level}>"
    return stamp + record.text.replace("\n", "\n" + " " * len(stamp))
