"""One attempt for all who want the same thing at the same time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

R = TypeVar("R")


class Joined(Generic[R]):
    """Runs `work` for the first who calls; those who call until it is done get the same result."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, R]]) -> None:
        self._work = work
        self._task: asyncio.Task[R] | None = None

    async def __call__(self) -> R:
        """The result, or what `work` raises. A caller that gives up stops nobody else."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        return await asyncio.shield(self._task)
