"""Rows S7-S9: what a cache channel remembers and for how long (docs/protocol/channels.md#cache)."""

from typing import Any

import httpx
import pytest

from tests.conformance.api import Api
from tests.conformance.client import Client, connected, unique
from tests.conformance.target import Target
from tests.support.waiting import eventually

MISS = "pusher:cache_miss"


async def subscribe(client: Client, channel: str) -> None:
    member = '{"user_id":"u"}' if channel.startswith("presence-") else None
    await client.subscribe(channel, member)


@pytest.mark.parametrize(
    "prefix", ["cache-", "private-cache-", "presence-cache-", "private-encrypted-cache-"]
)
async def test_S7_miss_then_hit(target: Target, api: Api, prefix: str) -> None:
    """An empty cache channel answers cache_miss; later the last event follows the success."""
    channel = unique(prefix)
    async with connected(target) as first, connected(target) as second:
        await subscribe(first, channel)
        miss = await first.expect(MISS, channel)
        assert miss.data == "{}"
        await api.publish(channel, "old", "1")
        await api.publish(channel, "my-event", '{"price":1.0}')
        await first.expect("old", channel)
        await first.expect("my-event", channel)
        await subscribe(second, channel)
        cached = await second.expect("my-event", channel)
        assert cached.data == '{"price":1.0}'
        await second.expect_nothing()


async def test_S7_event_is_kept_with_nobody_there(target: Target, api: Api) -> None:
    """The event is kept although nobody was subscribed, and although a socket was excluded."""
    channel = unique("cache-")
    async with connected(target) as client:
        await api.publish(channel, "my-event", "kept", socket_id=client.socket_id)
        await client.subscribe(channel)
        assert (await client.expect("my-event", channel)).data == "kept"


async def test_S7_info_cache_shows_data_and_ttl(target: Target, api: Api) -> None:
    """GET channel with info=cache shows the data and the seconds left, null when empty."""
    channel = unique("cache-")
    async with connected(target) as client:
        await client.subscribe(channel)
        await client.expect(MISS, channel)
        empty = await api.read(f"/channels/{channel}", "info=cache")
        assert empty == {"occupied": True, "cache": None}
        await api.publish(channel, "my-event", '{"a":1}')
        cache = (await api.read(f"/channels/{channel}", "info=cache"))["cache"]
        assert cache["data"] == '{"a":1}'
        assert 0 < cache["ttl"] <= 3_600


async def test_S7_double_subscribe_gets_the_cached_event_again(target: Target, api: Api) -> None:
    """Subscribing again gives the success and the cached event again."""
    channel = unique("cache-")
    async with connected(target) as client:
        await api.publish(channel, "my-event", "x")
        for _ in range(2):
            await client.subscribe(channel)
            await client.expect("my-event", channel)
        await client.expect_nothing()


async def test_S8_event_is_forgotten_after_its_time(
    target: Target, http: httpx.AsyncClient
) -> None:
    """After the TTL a subscriber gets cache_miss again."""
    app = target.app("cache_ttl")
    api = Api(target, app, http)
    channel = unique("cache-")
    await api.publish(channel, "my-event", "short-lived")

    async def cached() -> Any:
        return (await api.read(f"/channels/{channel}", "info=cache"))["cache"]

    async def forgotten() -> bool:
        return await cached() is None

    assert (await cached())["data"] == "short-lived"
    await eventually(forgotten)
    async with connected(target, app) as client:
        await client.subscribe(channel)
        await client.expect(MISS, channel)


async def test_S9_client_event_is_not_cached(target: Target) -> None:
    """A client event on a cache channel is relayed but not remembered."""
    channel = unique("private-cache-")
    async with connected(target) as one, connected(target) as other, connected(target) as late:
        for client in (one, other):
            await client.subscribe(channel)
            await client.expect(MISS, channel)
        await one.send("client-x", channel=channel, data={})
        await other.expect("client-x", channel)
        await late.subscribe(channel)
        await late.expect(MISS, channel)
        await late.expect_nothing()
