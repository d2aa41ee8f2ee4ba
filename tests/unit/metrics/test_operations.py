"""Answers of the operations listener that need no listener."""

import asyncio
from collections.abc import Mapping

from pusher_server.config import OperationsSettings
from pusher_server.metrics.operations import Operations, OperationsAnswer
from pusher_server.metrics.process_group import Probe, ProcessGroup
from pusher_server.metrics.reading import Reading
from tests.unit.metrics.counted import reading


def operations(found: Reading, **settings: str) -> Operations:
    async def ask() -> Reading:
        return found

    team = ProcessGroup(lambda: [Probe("1", "ready", 1, ask)])
    return Operations(OperationsSettings(**settings), team, port=6001)


async def get(asked: Operations, path: str, headers: Mapping[str, str] = {}) -> OperationsAnswer:
    return await asked.answer("GET", path, headers)


async def test_many_apps_do_not_hold_up_the_loop() -> None:
    """Their text is written in a thread: the loop turns meanwhile."""
    many = operations(reading(deliveries_total={(f"app-{n}",): n for n in range(20_000)}))
    task = asyncio.ensure_future(get(many, "/metrics"))
    turns = 0
    while not task.done():
        turns += 1
        await asyncio.sleep(0)
    assert task.result().body.count(b'app="app-') == 20_000
    assert turns > 10


async def test_few_apps_are_written_at_once() -> None:
    few = operations(reading(deliveries_total={("1",): 7}))
    assert b'pusher_server_deliveries_total{app="1"} 7.0' in (await get(few, "/metrics")).body


async def test_a_token_is_compared_as_bytes() -> None:
    """A header may hold anything."""
    guarded = operations(reading(), token="t")
    for header in ("Bearer \xe9", "Bearer", "", "Bearer t t"):
        assert (await get(guarded, "/metrics", {"authorization": header})).status == 401
    assert (await get(guarded, "/metrics", {"authorization": "Bearer t"})).status == 200


def test_a_token_is_in_no_repr() -> None:
    settings = OperationsSettings(token="t0k3n")
    assert "t0k3n" not in repr(settings)
