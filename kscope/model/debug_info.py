"""Which debug info was found for the kernel and each of its modules, and what is missing."""

from typing import Literal

import msgspec

from kscope.model.base import Query, Result, Unreadable
from kscope.model.target import DebugInfo, TypesFrom


class ModuleDebugInfo(msgspec.Struct, frozen=True):
    """What is known of one module's (or the kernel's own) symbols and types."""

    name: str
    types: TypesFrom
    symbols: Literal["elf", "kallsyms", "none"]
    source_lines: bool
    path: str
    """The file with its debug info; empty when there is none."""
    why: str
    """What is missing and why; empty when nothing is."""


class DebugInfoReport(Result, frozen=True):
    """Debug info by module, the kernel itself first."""

    kernel: DebugInfo
    modules: tuple[ModuleDebugInfo, ...]
    unreadable: tuple[Unreadable, ...] = ()


class DebugInfoQuery(Query[DebugInfoReport], frozen=True, kw_only=True):
    """Which debug info was found for the kernel and each of its modules."""
