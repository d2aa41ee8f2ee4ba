"""What a tenant's cache channels may take, in real processes: alone and with workers (limits.cache_bytes)."""

import asyncio
from pathlib import Path

from tests.edge.test_operations import APP, operated, operations_of, scrape
from tests.support import signed, wire
from tests.support.inprocess import APP_ID, KEY, app
from tests.support.team import Team, running
from tests.support.waiting import eventually
from tests.support.wire import Address

LIMITED = app(limits={"cache_bytes": 1_000_000})
#: One event each, with a fiftieth of the limit.
CHANNELS = [f"cache-{number}" for number in range(200)]


async def fill(address: Address) -> None:
    """Publish to all of them, in this order."""
    async with wire.opened(address) as backend:
        for channel in CHANNELS:
            await backend.send(signed.event(channel, f"{channel} ".ljust(20_000)))
            assert (await backend.answer()).status == 200


async def found(address: Address, channel: str) -> str:
    """What a new subscriber is told: the event's data, or `miss`."""
    async with wire.connected(address, KEY) as client:
        await client.join(channel)
        told = await client.message()
        return "miss" if told["event"] == "pusher:cache_miss" else str(told["data"]).strip()


async def expect_the_newest(address: Address, operations: Address) -> None:
    """The oldest are gone and counted, and nobody is told anything wrong."""
    kept = [channel for channel in CHANNELS if await found(address, channel) == channel]
    assert kept == CHANNELS[-len(kept) :]
    assert 40 <= len(kept) <= 50
    evicted, count = ("pusher_server_cache_evictions_total", APP), 0.0
    async with asyncio.timeout(20):
        while count < len(CHANNELS) - len(kept):  # workers hear of it with their leases
            count = (await scrape(operations)).get(evicted, 0.0)
    assert count == len(CHANNELS) - len(kept)


async def test_a_process_alone(tmp_path: Path) -> None:
    async with operated(tmp_path, {"apps": [LIMITED]}) as (server, operations):
        address = Address(port=server.port)
        await fill(address)
        await expect_the_newest(address, operations)
        assert server.log.count("limits.cache_bytes") == 1


async def test_workers_have_one_limit_together(tmp_path: Path) -> None:
    settings = {"apps": [LIMITED], "cluster": {"lease": 3.0}}
    async with running(Team(tmp_path, settings)) as team:
        await team.complete()
        await eventually(lambda: "/metrics" in team.log)
        await fill(team.address)
        await expect_the_newest(team.address, operations_of(team))


async def test_a_hundred_channels_and_one_event(tmp_path: Path) -> None:
    """Its data is there once: 5 MB for 100 channels would be five times the limit."""
    async with operated(tmp_path, {"apps": [LIMITED]}) as (server, operations):
        address = Address(port=server.port)
        async with wire.opened(address) as backend:
            await backend.send(
                signed.post({"name": "e", "channels": CHANNELS[:100], "data": "x" * 50_000})
            )
            assert (await backend.answer()).status == 200
        for channel in CHANNELS[:100:33]:
            assert await found(address, channel) == "x" * 50_000
        samples = await scrape(operations)
        assert ("pusher_server_cache_evictions_total", APP) not in samples
        assert samples["pusher_server_publishes_total", (("app", APP_ID),)] == 100
