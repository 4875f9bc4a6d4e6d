"""``union``: as ``struct``."""

from kscope.dialect.crash.commands.struct import SUMMARY, USAGE, run

__all__ = ["SUMMARY", "USAGE", "run"]
