"""How crash writes times, sizes and lines of facts."""

import datetime
from collections.abc import Iterable


def date(seconds: int) -> str:
    """A date as crash writes it, in the reader's time zone."""
    moment = datetime.datetime.fromtimestamp(seconds).astimezone()
    return moment.strftime("%a %b %e %T %Z %Y")


def duration(seconds: int) -> str:
    """``17 days, 04:12:09``; without days below one."""
    days, rest = divmod(seconds, 86400)
    clock = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return f"{days} days, {clock}" if days else clock


def size(size_bytes: int) -> str:
    """Memory in binary units with one decimal, trailing zero dropped: ``277.3 MB``, ``4 GB``."""
    value = float(size_bytes)
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if value < 1024 or unit == "TB":
            break
        value /= 1024
    return f"{value:.1f}".removesuffix(".0") + f" {unit}"


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """``LABEL: value`` lines, labels right-aligned."""
    rows = list(rows)
    width = max((len(label) for label, _ in rows), default=0)
    return "\n".join(f"{label:>{width}}: {value}" for label, value in rows)
