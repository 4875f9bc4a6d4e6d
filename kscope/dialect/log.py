"""The log, as crash's ``log``."""

from kscope.dialect.views import Equivalent
from kscope.model.log import Log, LogQuery, Record

QUERY = LogQuery

_DRGN = """\
from drgn.helpers.linux.printk import print_dmesg

print_dmesg(prog)
"""


def equivalent(query: LogQuery) -> Equivalent:
    """``log``; a text filter is grep's, level and facility need ``log -m``'s numbers."""
    crash = "log"
    if query.match:
        pattern = query.match.removeprefix("!").replace("'", "'\\''")
        inverted = "v" if query.match.startswith("!") else ""
        crash += f" | grep -{inverted}iE '{pattern}'"
    note = "crash cannot filter by level or facility" if query.level or query.facility else ""
    return Equivalent(crash, _DRGN, note)


def text(query: LogQuery, result: Log) -> str:  # noqa: ARG001
    """A record a line, ``[  123.456789] text``; further lines of a record as crash indents them."""
    return "\n".join(line(record) for record in result.records)


def line(record: Record) -> str:
    """One record as crash prints it."""
    seconds, rest = divmod(record.timestamp_ns, 1_000_000_000)
    stamp = f"[{seconds:5d}.{rest // 1000:06d}] "
    return stamp + record.text.replace("\n", "\n" + " " * len(stamp))
