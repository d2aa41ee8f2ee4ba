"""Bounds the requests that are open at a time, and shares them between apps.

An app may have as many slots as are free beside its own (Choudhury and Hahne's dynamic threshold with a factor
of 1). So one app alone has half of all, each of two a third, and so on. An app without a slot gets the next
free one.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Slots:
    """`total` slots for open requests. Everything runs in one loop."""

    def __init__(self, total: int) -> None:
        self._free = total
        self._used: dict[str, int] = {}
        #: By app, the waiting requests, the oldest first; no queue is empty.
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def of(self, app_id: str) -> AsyncIterator[None]:
        """Hold a slot for the app, as soon as one is free for it."""
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
                self._give_back(app_id)  # it was given to us just before
            raise

    def _give_back(self, app_id: str) -> None:
        self._free += 1
        self._used[app_id] -= 1
        if not self._used[app_id]:
            del self._used[app_id]
        self._hand_out()

    def _hand_out(self) -> None:
        """Give free slots to waiting requests, of the app with the fewest slots first."""
        while self._waiting:
            app_id = min(self._waiting, key=lambda name: self._used.get(name, 0))
            if not self._may_take(app_id):
                return
            waiting = self._waiting[app_id]
            turn = waiting.popleft()
            if not waiting:
                del self._waiting[app_id]
            if not turn.done():  # else the request was cancelled
                self._take(app_id)
                turn.set_result(None)
