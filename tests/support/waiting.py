"""Waiting in contract suites: for a condition, with a deadline, so that a network may be in between."""

import asyncio
from collections.abc import Awaitable, Callable

#: Seconds after which a condition counts as failed.
DEADLINE = 5.0
_STEP = 0.01


async def eventually(
    condition: Callable[[], bool | Awaitable[bool]], seconds: float = DEADLINE
) -> None:
    """Return once `condition` holds; at once if it does already."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while True:
        held = condition()
        if not isinstance(held, bool):
            held = await held
        if held:
            return
        assert loop.time() < until, f"did not come true within {seconds:g} s"
        await asyncio.sleep(_STEP)
