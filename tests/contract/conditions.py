"""Waiting in contract suites: for a condition, with a deadline, so that a network may be in between."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

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


@asynccontextmanager
async def no_socket_left() -> AsyncIterator[None]:
    """Wait at the end until the sockets that were opened here are closed, before the loop ends.

    A TLS transport closes when the other side has answered. One that is left over complains in a later test.
    """
    before = _open_sockets()
    yield
    await eventually(lambda: _open_sockets() <= before)


def _open_sockets() -> int:
    folder, found = "/proc/self/fd", 0
    for name in os.listdir(folder):
        with suppress(FileNotFoundError):  # the listing's own
            found += os.readlink(f"{folder}/{name}").startswith("socket:")
    return found
