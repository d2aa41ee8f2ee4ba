"""Many wishes are few calls."""

import asyncio

from pusher_server.server.coalesced import Coalesced
from tests.support.waiting import eventually


async def test_a_flood_is_two_calls_and_the_last_wish_is_served() -> None:
    calls: list[int] = []
    wishes = 0

    def call() -> None:
        calls.append(wishes)

    coalesced = Coalesced(call, interval=0.05)
    for _ in range(1_000):
        wishes += 1
        coalesced.request()
    assert calls == [1]
    await eventually(lambda: len(calls) == 2)
    assert calls == [1, 1_000]
    coalesced.request()  # still within the interval of the second
    assert len(calls) == 2
    await eventually(lambda: len(calls) == 3)


async def test_one_wish_is_one_call() -> None:
    calls: list[None] = []
    coalesced = Coalesced(lambda: calls.append(None), interval=0.01)
    coalesced.request()
    await asyncio.sleep(0.05)
    assert len(calls) == 1
