"""Cache channels: the last event or a miss, and never an event twice (docs/protocol/channels.md#cache).

docs/decisions.md#last-events-belong-to-the-broker
"""

import asyncio
from typing import Any

import pytest

from pusher_server.app import AppLimits
from pusher_server.node.subscriptions import MISS_INTERVAL
from pusher_server.signals import CacheMissed
from tests.support.fakes import FakeConnection
from tests.support.node import NodeFixture, events

NAME = "cache-x"


def data(client: FakeConnection) -> list[Any]:
    """What a client took of events, `miss` for a miss; the success must come first."""
    success, *rest = client.take()
    assert success["event"] == "pusher_internal:subscription_succeeded"
    return ["miss" if each["event"] == "pusher:cache_miss" else each["data"] for each in rest]


async def joined(world: NodeFixture, channel: str = NAME) -> FakeConnection:
    client = world.connect()
    await world.join(client, channel)
    return client


async def test_an_empty_channel_is_a_miss_and_then_live(world: NodeFixture) -> None:
    client = await joined(world)
    world.publish(NAME, data="1")
    world.flush()
    assert data(client) == ["miss", 1]


@pytest.mark.parametrize("name", [NAME, "private-cache-x", "private-encrypted-cache-x"])
async def test_the_last_event_follows_the_success(world: NodeFixture, name: str) -> None:
    for number in "12":
        world.publish(name, data=number)
    world.flush()
    assert data(await joined(world, name)) == [2]


async def test_the_cached_event_is_the_live_one_byte_for_byte(world: NodeFixture) -> None:
    live = await world.subscriber(NAME)
    world.publish(NAME, data={"a": 1})
    world.flush()
    late = await joined(world)
    assert late.payloads[-1] == live.payloads[-1]


async def test_the_last_event_comes_after_a_presence_list(world: NodeFixture) -> None:
    name = "presence-cache-x"
    world.publish(name, data="1")
    client = world.connect()
    await world.enter(client, "a", channel=name)
    assert data(client) == [1]


async def test_an_apps_cache_has_its_bytes_and_the_oldest_are_a_miss() -> None:
    world = NodeFixture(limits={"cache_bytes": 10_000})
    names = [f"cache-{number}" for number in range(20)]
    for name in names:
        world.publish(name, data="x" * 1_000)
    assert [data(await joined(world, name)) for name in (names[0], names[-1])] == [
        ["miss"],
        ["x" * 1_000],
    ]
    world.change(limits=AppLimits(cache_bytes=0))
    for name in names:
        world.publish(name, data="1")
    assert [data(await joined(world, name)) for name in names] == [[1]] * 20


async def test_an_event_is_remembered_for_the_apps_time() -> None:
    world = NodeFixture(cache_ttl=10)
    world.publish(NAME, data="1")
    world.wait(9.9)
    assert data(await joined(world)) == [1]
    world.wait(0.1)
    assert data(await joined(world)) == ["miss"]


async def test_other_channels_remember_nothing(world: NodeFixture) -> None:
    world.publish("private-x")
    assert data(await joined(world, "private-x")) == []


async def test_client_events_and_our_own_are_not_remembered(world: NodeFixture) -> None:
    name = "presence-cache-x"
    first = world.connect()
    await world.enter(first, "a", channel=name)
    world.client_event(first, name, "hi")
    world.drop(first)
    late = world.connect()
    await world.enter(late, "b", channel=name)
    assert data(late) == ["miss"]


async def test_an_excluded_sender_still_finds_its_event_in_the_cache(world: NodeFixture) -> None:
    """The exclusion affects only the live send."""
    sender = await world.subscriber(NAME)
    world.publish(NAME, data="1", socket_id=sender.socket_id)
    world.flush()
    assert sender.take() == []
    await world.join(sender, NAME)
    assert data(sender) == [1]


async def test_a_second_subscribe_gets_the_last_event_again(world: NodeFixture) -> None:
    client = await world.subscriber(NAME)
    world.publish(NAME, data="1")
    await world.join(client, NAME)
    assert events(client.take()) == ["event", "subscription_succeeded", "event"]


@pytest.mark.parametrize("before", [True, False])
async def test_an_event_published_while_the_cache_is_asked_comes_once(
    world: NodeFixture, before: bool
) -> None:
    """The answer is older than what was published meanwhile: both come, each once."""
    if before:
        world.publish(NAME, data="1")
    world.broker.caching.close()
    client = world.connect()
    joining = asyncio.create_task(world.join(client, NAME))
    await world.broker.caching.reached()
    world.publish(NAME, data="2")
    world.flush()
    world.publish(NAME, data="3")
    assert client.take() == []
    world.broker.caching.open()
    await joining
    assert data(client) == [1, 2, 3] if before else ["miss", 2, 3]


@pytest.mark.parametrize("flush", [True, False])
async def test_an_event_that_is_in_the_cache_and_on_its_way_comes_once(
    world: NodeFixture, flush: bool
) -> None:
    """Published while the bus was being joined: the cache has it, and it was held back, too."""
    world.publish(NAME, data="1")
    world.broker.subscribing.close()
    client = world.connect()
    joining = asyncio.create_task(world.join(client, NAME))
    await world.broker.subscribing.reached()
    for number in "23":
        world.publish(NAME, data=number)
        if flush:
            world.flush()
    world.broker.subscribing.open()
    await joining
    assert data(client) == [2, 3]


async def test_an_event_that_one_is_excluded_from_comes_from_the_cache(world: NodeFixture) -> None:
    world.broker.subscribing.close()
    client = world.connect()
    joining = asyncio.create_task(world.join(client, NAME))
    await world.broker.subscribing.reached()
    world.publish(NAME, data="1", socket_id=client.socket_id)
    world.broker.subscribing.open()
    await joining
    assert data(client) == [1]


async def test_without_the_store_there_is_neither_event_nor_miss(world: NodeFixture) -> None:
    world.broker.caching.is_away = True
    assert data(await joined(world)) == []
    assert world.told(CacheMissed) == []


async def test_who_leaves_while_the_cache_is_asked_is_told_nothing(world: NodeFixture) -> None:
    world.broker.caching.close()
    client = world.connect()
    joining = asyncio.create_task(world.join(client, NAME))
    await world.broker.caching.reached()
    world.unsubscribe(client, NAME)
    world.broker.caching.open()
    await joining
    assert client.take() == []


async def test_a_second_subscribe_whose_channel_is_left_meanwhile_is_not_confirmed(
    world: NodeFixture,
) -> None:
    client = await world.subscriber(NAME)
    world.broker.caching.close()
    joining = asyncio.create_task(world.join(client, NAME))
    await world.broker.caching.reached()
    world.unsubscribe(client, NAME)
    world.broker.caching.open()
    await joining
    assert client.take() == []


async def test_a_miss_is_told_to_observers_once_in_ten_seconds(world: NodeFixture) -> None:
    missed = CacheMissed(app_id="1", channel=NAME)
    await joined(world)
    await joined(world)
    await joined(world, "cache-y")
    assert world.told(CacheMissed) == [missed, CacheMissed(app_id="1", channel="cache-y")]
    world.wait(MISS_INTERVAL / 2)
    await joined(world)
    assert len(world.told(CacheMissed)) == 2
    world.wait(MISS_INTERVAL / 2)
    await joined(world)
    assert world.told(CacheMissed)[2:] == [missed]
