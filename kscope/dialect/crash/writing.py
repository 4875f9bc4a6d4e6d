"""Long outputs, written so that whoever waits for them is not held up."""

import asyncio
from collections.abc import Iterable

_SLICE = 500
"""Lines that are written in a few milliseconds."""


async def written(lines: Iterable[str]) -> str:
    """The lines as one text. Every so many of them keys are taken and the screen is painted."""
    done: list[str] = []
    for line in lines:
        done.append(line)
        if len(done) % _SLICE == 0:
            await asyncio.sleep(0)
    return "\n".join(done)
