"""Everybody else: subscribed clients, a backend that publishes, and clients who come newly.

A sample is the time from when a publication was *due* to its arrival at the last of the subscribers. A server
that stands still for a second thus spoils all samples of that second, as it would for people, and not one.
"""

import asyncio
import json
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

from tests.abuse.flood import APP_ID, KEY, SECRET
from tests.support.signing import signed_query
from tests.support.wire import QUERY, Address, Wire, connected, opened, request

CHANNEL = "victims"
#: With several workers each of them has some, save once in a thousand runs.
SUBSCRIBERS = 8
PER_SECOND = 150
#: Every so many publications, somebody connects and subscribes.
NEWCOMERS = 10
#: What is not there by then counts as taking so long, and a new connection is given up.
LONGEST = 4.0
#: Connections of the backend: at the least, so that each worker has one, and at the most; then a request waits.
_BACKEND_LEAST, _BACKEND_MOST = 6, 32


def percentile(samples: Sequence[float], share: float) -> float:
    """The nearest rank; 0.0 of nothing."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


@dataclass
class Round:
    """Seconds that everything took."""

    events: list[float] = field(default_factory=list)
    newcomers: list[float] = field(default_factory=list)
    #: Publications that were not answered with 200.
    refused: int = 0
    #: Subscribers that the server has cut off.
    lost: int = 0

    def p50(self) -> float:
        """Of the events."""
        return percentile(self.events, 0.5)

    def p99(self) -> float:
        """Of the events; in a round below a hundred samples it is the slowest."""
        return percentile(self.events, 0.99)

    def newcomer_p99(self) -> float:
        """Of connect and subscribe."""
        return percentile(self.newcomers, 0.99)


class Victim:
    """Made by `victims`, for as many rounds as one likes."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._number = 0
        #: Of a publication: how many have yet to get it, and who waits for that.
        self._waiting: dict[int, tuple[int, asyncio.Future[float]]] = {}
        self._idle: deque[Wire] = deque()
        self._opened = 0
        self._backend = asyncio.Semaphore(_BACKEND_MOST)
        self._stack = AsyncExitStack()
        self.lost = 0

    async def read(self, subscriber: Wire) -> None:
        """Take what arrives at one client until its connection ends."""
        try:
            while True:
                message = await subscriber.message(patience=1e6)
                if message["event"] == "probe":
                    self._arrived(int(message["data"]))
        except (OSError, EOFError):
            self.lost += 1

    def _arrived(self, number: int) -> None:
        if number in self._waiting:
            left, all_there = self._waiting[number]
            self._waiting[number] = left - 1, all_there
            if left == 1 and not all_there.done():
                all_there.set_result(time.monotonic())

    async def round(self, seconds: float) -> Round:
        """Publish at an even pace, wait for all of it, and say how long each took."""
        found = Round()
        before = self.lost
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for step in range(int(seconds * PER_SECOND)):
                due = began + step / PER_SECOND
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                group.create_task(self._event(due, found))
                if step % NEWCOMERS == NEWCOMERS // 2:
                    group.create_task(self._newcomer(due, found))
        found.lost = self.lost - before
        return found

    async def probe(self) -> float:
        """Seconds that one publication takes."""
        found = Round()
        await self._event(time.monotonic(), found)
        return found.events[0]

    async def _event(self, due: float, found: Round) -> None:
        self._number += 1
        number = self._number
        future = asyncio.get_running_loop().create_future()
        self._waiting[number] = SUBSCRIBERS - self.lost, future
        took = LONGEST
        try:
            async with asyncio.timeout(LONGEST):
                if not await self._publish(number):
                    found.refused += 1
                took = min(LONGEST, await future - due)
        except (OSError, EOFError, TimeoutError):
            found.refused += 1
        finally:
            del self._waiting[number]
            found.events.append(took)

    async def _publish(self, number: int) -> bool:
        body = json.dumps({"name": "probe", "channel": CHANNEL, "data": str(number)}).encode()
        path = f"/apps/{APP_ID}/events"
        query = signed_query(KEY, SECRET, "POST", path, body)
        async with self._backend:
            while self._idle and self._opened >= _BACKEND_LEAST:
                wire = self._idle.popleft()
                if not wire.reader.at_eof():  # the server may close idle ones
                    break
            else:
                wire = await self._stack.enter_async_context(opened(self._address))
                self._opened += 1
            await wire.send(request(f"{path}?{query}", method="POST", body=body))
            answer = await wire.answer(patience=LONGEST)
            self._idle.append(wire)
        return answer.status == 200

    async def _newcomer(self, due: float, found: Round) -> None:
        took = LONGEST
        with suppress(OSError, EOFError, TimeoutError):
            async with asyncio.timeout(LONGEST), opened(self._address) as wire:
                await wire.handshake(f"/app/{KEY}{QUERY}")
                await wire.established()
                await wire.join("newcomers")
                took = time.monotonic() - due
        found.newcomers.append(took)

    async def close(self) -> None:
        """End the backend's connections."""
        await self._stack.aclose()


@asynccontextmanager
async def victims(address: Address) -> AsyncIterator[Victim]:
    """Connected and subscribed."""
    async with AsyncExitStack() as stack:
        subscribers = [
            await stack.enter_async_context(connected(address, KEY)) for _ in range(SUBSCRIBERS)
        ]
        for each in subscribers:
            await each.join(CHANNEL)
        victim = Victim(address)
        reading = [asyncio.ensure_future(victim.read(each)) for each in subscribers]
        try:
            yield victim
        finally:
            for task in reading:
                task.cancel()
            await victim.close()
