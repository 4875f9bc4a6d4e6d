"""Long outputs do not hold up who waits for them."""

import asyncio

from kscope.dialect.crash.writing import written


async def test_others_get_their_turn_while_a_long_output_is_written() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    waiting = asyncio.create_task(others())
    text = await written(str(number) for number in range(20_000))
    waiting.cancel()
    assert text.splitlines() == [str(number) for number in range(20_000)]
    assert turns >= 20
