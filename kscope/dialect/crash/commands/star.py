"""``*``: ``struct`` or ``union``, whichever there is."""

from kscope.dialect.crash.commands.struct import SUMMARY, USAGE, run

__all__ = ["SUMMARY", "USAGE", "run"]
