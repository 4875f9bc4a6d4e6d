"""The rows of a walk as crash prints them for ``list -s`` and ``tree -s``."""

from kscope.model.list import Walk, WalkRow


def rows(walk: Walk, command: str = "list") -> str:
    """An address a line, with the members asked for below it; then why it ended early.

    :param command: which of crash's commands says so.
    """
    lines: list[str] = []
    for row in walk.rows:
        lines.append(_heading(walk, row))
        if row.position:
            lines.append(f"  position: {row.position}")
        if row.values:
            lines += [
                f"  {name} = {_value(value)},"
                for name, value in zip(walk.columns, row.values, strict=True)
            ]
    if walk.broken is not None:
        lines.append(f"{command}: {walk.broken.sentence}")
    if walk.truncated:
        lines.append(f"{command}: there are more than {len(walk.rows):,} elements")
    lines += [f"unreadable: {u.what}: {u.why}" for u in walk.unreadable]
    return "\n".join(lines) or "(empty)"


def _heading(walk: Walk, row: WalkRow) -> str:
    address = f"{row.entry:x}"
    if walk.kind == "per-cpu":
        return f"[{row.key}]: {address}"
    if walk.kind in ("xarray", "radix", "array"):
        return f"{address}  index: {row.key}" + (f"  {row.what}" if row.what else "")
    if walk.kind == "maple":
        return f"{address}  index: {row.key}-{row.last}"
    return f"{address}  {row.what}" if row.what else address


def _value(value: int | float | bool | str | None) -> str:
    if value is None:
        return "<unreadable>"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
