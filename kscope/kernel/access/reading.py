"""Reading what may not be readable: each failed value is noted with its reason and left out."""

from collections.abc import Callable
from io import UnsupportedOperation
from typing import TypeVar

from drgn import FaultError, ObjectAbsentError, OutOfBoundsError

from kscope.model.base import Unreadable
from kscope.model.text import printable
from kscope.target.btf import BtfError
from kscope.target.loops import LoopError

T = TypeVar("T")

READ_ERRORS = (
    FaultError,
    BtfError,
    LookupError,
    ObjectAbsentError,
    OutOfBoundsError,
    AttributeError,
    ValueError,
    TypeError,
    OverflowError,
)
"""What reading a damaged, filtered or unfamiliar kernel raises."""


def reason(error: BaseException) -> str:
    """Why a value could not be read, for the one who looks at its empty place."""
    if isinstance(error, FaultError):
        text = str(error).casefold()
        where = f"{error.address:#x}" if error.address is not None else "its address"
        if "excluded" in text:
            return f"the page of {where} was excluded from the dump"
        if "partial" in text or "truncated" in text:
            return f"the dump ends before the page of {where}"
        if error.address is not None and error.address >> 56 not in (0, 0xFF):
            # No machine maps more than 56 bits on each side.
            return f"{where} is not a canonical address"
        return f"{where} is not mapped, or not in the dump"
    if isinstance(error, UnsupportedOperation):
        # Of a task on a CPU whose registers were not saved, or of a machine that is not stopped.
        return "it is running: where its stack ends is in the registers of its CPU alone"
    message = printable(error.args[0] if error.args and isinstance(error.args[0], str) else "")
    if isinstance(error, LoopError):
        return message
    if isinstance(error, LookupError | AttributeError):
        return f"this kernel has none, or its debug info lacks it ({message})"
    return f"{message or 'it could not be read'} ({type(error).__name__})"


class Readings:
    """Collects what could not be read while an answer is put together."""

    def __init__(self) -> None:
        self._unreadable: list[Unreadable] = []

    def read(self, what: str, function: Callable[[], T], otherwise: T) -> T:
        """``function()``, or ``otherwise`` with a note that says why ``what`` is missing."""
        try:
            return function()
        except READ_ERRORS as error:
            self.note(what, reason(error))
            return otherwise

    def note(self, what: str, why: str) -> None:
        """Note that ``what`` could not be read."""
        self._unreadable.append(Unreadable(what, why))

    @property
    def unreadable(self) -> tuple[Unreadable, ...]:
        """Everything noted so far."""
        return tuple(self._unreadable)
