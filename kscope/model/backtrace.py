"""Backtraces of chosen tasks: crash's ``bt``."""

from typing import Annotated

import msgspec
from msgspec import Meta

from kscope.model.base import Address, Query, Result
from kscope.model.stacks import Stack
from kscope.model.tasks import Task


class StackWord(msgspec.Struct, gc=False, frozen=True):
    """One word of a task's stack."""

    address: Address
    value: Address
    symbol: str
    """The symbol that the value lies in, with its offset: ``schedule+90``; empty if in none."""
    code: bool
    """Whether that is a function, so that the value may be a return address."""
    module: str = ""
    """The module that it is in; empty for the kernel itself."""


class Backtrace(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """One task and its kernel stack."""

    task: Task
    stack: Stack
    words: tuple[StackWord, ...] = ()
    """The whole of its stack from the lowest address up; empty unless asked for."""
    words_why: str = ""
    """Why that, or pages of it, could not be read."""


class Backtraces(Result, frozen=True, kw_only=True):
    """In the order in which they were asked for."""

    backtraces: tuple[Backtrace, ...]


class BacktraceQuery(Query[Backtraces], frozen=True, kw_only=True):
    """The kernel stacks of tasks."""

    tasks: Annotated[str, Meta(description="PIDs and addresses: '161 ffff8a7502908000'")]
    raw: Annotated[bool, Meta(description="with every word of the stack (bt -f, -r, -t)")] = False
