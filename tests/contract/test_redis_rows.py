"""What stands in Redis: nothing of an app stays for ever, and numbers that others have written stop nobody."""

import pytest

from pusher_server.cluster.commands import Remember, Track
from tests.contract.stores import RedisHarness, StoreClient, running_redis

A = "channel:1:cache-a"


async def ear_at(harness: RedisHarness) -> StoreClient:
    """Somebody who has entered."""
    client = StoreClient(harness.link())
    await client.link.open()
    await client.enter("n1.1.1")
    return client


async def test_whatever_is_remembered_ends_by_itself() -> None:
    """Also what an only channel's newer event with less time begins anew."""
    harness = RedisHarness(running_redis("redis"))
    client = await ear_at(harness)
    for ttl in (60.0, 30.0, 30.0):
        await client.do(Remember(A, b"", b"cached", ttl))
    redis, base = harness.redis.masters()[0], f"{{{harness.settings.prefix}:0}}"
    for key in ("co:1", "cs:1", f"c:{A}"):
        assert 0 < redis.ask("PTTL", f"{base}:{key}") <= 60_000, key
    client.link.close()


@pytest.mark.parametrize("damage", ["many", "6e666", "9223372036854775807", str(2**60)])
async def test_a_bad_number_of_joins_keeps_nobody_from_joining(damage: str) -> None:
    """And those who join later still stand behind those who were there."""
    harness = RedisHarness(running_redis("redis"))
    client = await ear_at(harness)
    for key in ("first", "second"):
        await client.do(Track(client.holder, "members:1:presence-x", key, ""))
    redis, base = harness.redis.masters()[0], f"{{{harness.settings.prefix}:0}}"
    redis.ask("HSET", f"{base}:world", "seq", damage)
    for key in ("third", "fourth"):
        await client.do(Track(client.holder, "members:1:presence-x", key, ""))
    places = redis.ask("ZRANGE", f"{base}:i:{client.holder}", 0, -1)
    assert [each.decode().rpartition("presence-x")[2] for each in places] == [
        "first", "second", "third", "fourth",
    ]  # fmt: skip
    assert not client.lost
    client.link.close()
