"""Waiting for a condition with a deadline: in an event loop (`eventually`, `equals`) or in a thread."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

#: How long anything may take that should come at once, in seconds.
PATIENCE = 5.0
_STEP = 0.01


def _nothing() -> str:
    return ""


async def eventually(
    condition: Callable[[], object],
    patience: float = PATIENCE,
    *,
    show: Callable[[], object] = _nothing,
    not_yet: tuple[type[Exception], ...] = (),
) -> None:
    """Return once `condition`, a function or a coroutine function, holds; at once if it does already.

    Errors in `not_yet` count as false. After `patience` seconds raises AssertionError with what `show` returns.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + patience
    while True:
        with suppress(*not_yet):
            held = condition()
            if isinstance(held, Awaitable):
                held = await held
            if held:
                return
        assert loop.time() < until, f"not within {patience:g} s: {show()}"
        await asyncio.sleep(_STEP)


async def equals(
    ask: Callable[[], Awaitable[Any]], expected: Any, patience: float = PATIENCE
) -> None:
    """Ask again until the answer is this one: what other processes know may be a moment old."""
    answer: Any = None

    async def is_expected() -> bool:
        nonlocal answer
        answer = await ask()
        return bool(answer == expected)

    await eventually(is_expected, patience, show=lambda: f"{answer} is not {expected}")


def block_until(
    condition: Callable[[], object],
    patience: float = PATIENCE,
    *,
    show: Callable[[], object] = _nothing,
    not_yet: tuple[type[Exception], ...] = (),
) -> None:
    """As `eventually`, for code without an event loop."""
    deadline = time.monotonic() + patience
    while True:
        with suppress(*not_yet):
            if condition():
                return
        assert time.monotonic() < deadline, f"not within {patience:g} s: {show()}"
        time.sleep(_STEP)


@asynccontextmanager
async def no_socket_left() -> AsyncIterator[None]:
    """Wait at the end until the sockets that were opened here are closed, before the loop ends.

    A TLS transport closes when the other side has answered. One that is left over complains in a later test.
    """
    before = _open_sockets()
    yield
    await eventually(lambda: _open_sockets() <= before)


def _open_sockets() -> int:
    folder, sockets = "/proc/self/fd", 0
    for name in os.listdir(folder):
        with suppress(FileNotFoundError):  # the listing's own
            sockets += os.readlink(f"{folder}/{name}").startswith("socket:")
    return sockets
