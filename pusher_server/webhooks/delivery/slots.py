"""How many requests are open at a time, shared between apps so that none takes what the others need.

An app may have as many as are free beside them (Choudhury and Hahne's dynamic threshold with a factor of 1):
one alone half of all, each of two a third, and so on. An app that has none is given the next one that is free.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Slots:
    """`total` of them. Everything is in one loop."""

    def __init__(self, total: int) -> None:
        self._free = total
        self._used: dict[str, int] = {}
        #: By app, those who wait, the longest first; none is empty.
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def of(self, app_id: str) -> AsyncIterator[None]:
        """One for the app, as soon as it may have it."""
        if app_id in self._waiting or not self._may_take(app_id):
            await self._turn(app_id)
        else:
            self._take(app_id)
        try:
            yield
        finally:
            self._give_back(app_id)

    def _may_take(self, app_id: str) -> bool:
        return self._used.get(app_id, 0) < self._free

    def _take(self, app_id: str) -> None:
        self._free -= 1
        self._used[app_id] = self._used.get(app_id, 0) + 1

    async def _turn(self, app_id: str) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(app_id, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back(app_id)  # it was given to us in this very moment
            raise

    def _give_back(self, app_id: str) -> None:
        self._free += 1
        self._used[app_id] -= 1
        if not self._used[app_id]:
            del self._used[app_id]
        self._hand_out()

    def _hand_out(self) -> None:
        """To those who wait, the app with the fewest first."""
        while self._waiting:
            app_id = min(self._waiting, key=lambda each: self._used.get(each, 0))
            if not self._may_take(app_id):
                return
            waiting = self._waiting[app_id]
            turn = waiting.popleft()
            if not waiting:
                del self._waiting[app_id]
            if not turn.done():  # else it was given up
                self._take(app_id)
                turn.set_result(None)
