"""Shares one attempt between concurrent callers."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

R = TypeVar("R")


class Joined(Generic[R]):
    """Runs `work` for the first caller; further callers get the same result, until it is done."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, R]]) -> None:
        self._work = work
        self._task: asyncio.Task[R] | None = None

    async def __call__(self) -> R:
        """Return the result of `work`, or raise its error. The others still get it when one caller gives up."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        return await asyncio.shield(self._task)
