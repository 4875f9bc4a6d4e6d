"""Signals that end an app, which gives the terminal back before it goes."""

import asyncio
import signal
from collections.abc import Callable


def leave_on_signals(leave: Callable[[], None]) -> None:
    """Call ``leave`` when the app is to end or its terminal is gone.

    To be called in ``on_load``, before the terminal is taken: what it is set to by then would
    otherwise stay.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, leave)
