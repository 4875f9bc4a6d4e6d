"""A crash command that drgn's crash mode runs."""

from typing import ClassVar

import msgspec

from kscope.model.base import Address, Query, Result


class CommandOutput(Result, frozen=True, kw_only=True):
    """What the command printed."""

    text: str
    error: str = ""
    """Why it ended early, in the command's own words; empty when it did not."""


class CommandQuery(Query[CommandOutput], frozen=True, kw_only=True):
    """One crash command, without pipes and redirections: those are not the worker's."""

    # Searching all memory is silent for as long as it takes.
    deadline_seconds: ClassVar[float] = 3600.0

    line: str
    task: Address | None = None
    """The current task, as crash's ``set`` has it; ``None`` when there is none."""
    radix: int = 10
    columns: int = 80
    """How wide structures may be written."""


class Command(msgspec.Struct, frozen=True):
    """One command of drgn's crash mode."""

    name: str
    description: str


class Commands(Result, frozen=True, kw_only=True):
    """The commands of drgn's crash mode, by name."""

    commands: tuple[Command, ...]


class CommandsQuery(Query[Commands], frozen=True, kw_only=True):
    """Which commands drgn's crash mode has."""
