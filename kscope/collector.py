"""How Python's garbage collector is set where answers of many thousand rows arrive."""

import gc

_NEW = 20_000
"""Objects that are made before the collector looks at them: some milliseconds' work."""
_YOUNG = 10
_OLD = 50


def keep_pauses_short() -> None:
    """Let the collector walk through what is new, and seldom through everything.

    By default it walks through all rows that were ever answered each time they have become a
    quarter more: half a second for the stacks of 20,000 tasks, in which no key is taken.
    """
    gc.freeze()
    gc.set_threshold(_NEW, _YOUNG, _OLD)
