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


async def joined(fixture: NodeFixture, channel: str = NAME) -> FakeConnection:
    client = fixture.connect()
    await fixture.join(client, channel)
    return client


async def test_an_empty_channel_is_a_miss_and_then_live(fixture: NodeFixture) -> None:
    client = await joined(fixture)
    fixture.publish(NAME, data="1")
    fixture.flush()
    assert data(client) == ["miss", 1]


@pytest.mark.parametrize("name", [NAME, "private-cache-x", "private-encrypted-cache-x"])
async def test_the_last_event_follows_the_success(fixture: NodeFixture, name: str) -> None:
    for number in "12":
        fixture.publish(name, data=number)
    fixture.flush()
    assert data(await joined(fixture, name)) == [2]


async def test_the_cached_event_is_the_live_one_byte_for_byte(fixture: NodeFixture) -> None:
    live = await fixture.subscriber(NAME)
    fixture.publish(NAME, data={"a": 1})
    fixture.flush()
    late = await joined(fixture)
    assert late.payloads[-1] == live.payloads[-1]


async def test_the_last_event_comes_after_a_presence_list(fixture: NodeFixture) -> None:
    name = "presence-cache-x"
    fixture.publish(name, data="1")
    client = fixture.connect()
    await fixture.enter(client, "a", channel=name)
    assert data(client) == [1]


async def test_an_apps_cache_has_its_bytes_and_the_oldest_are_a_miss() -> None:
    fixture = NodeFixture(limits={"cache_bytes": 10_000})
    names = [f"cache-{number}" for number in range(20)]
    for name in names:
        fixture.publish(name, data="x" * 1_000)
    assert [data(await joined(fixture, name)) for name in (names[0], names[-1])] == [
        ["miss"],
        ["x" * 1_000],
    ]
    fixture.change(limits=AppLimits(cache_bytes=0))
    for name in names:
        fixture.publish(name, data="1")
    assert [data(await joined(fixture, name)) for name in names] == [[1]] * 20


async def test_an_event_is_remembered_for_the_apps_time() -> None:
    fixture = NodeFixture(cache_ttl=10)
    fixture.publish(NAME, data="1")
    fixture.wait(9.9)
    assert data(await joined(fixture)) == [1]
    fixture.wait(0.1)
    assert data(await joined(fixture)) == ["miss"]


async def test_other_channels_remember_nothing(fixture: NodeFixture) -> None:
    fixture.publish("private-x")
    assert data(await joined(fixture, "private-x")) == []


async def test_client_events_and_our_own_are_not_remembered(fixture: NodeFixture) -> None:
    name = "presence-cache-x"
    first = fixture.connect()
    await fixture.enter(first, "a", channel=name)
    fixture.client_event(first, name, "hi")
    fixture.drop(first)
    late = fixture.connect()
    await fixture.enter(late, "b", channel=name)
    assert data(late) == ["miss"]


async def test_an_excluded_sender_still_finds_its_event_in_the_cache(fixture: NodeFixture) -> None:
    """The exclusion affects only the live send."""
    sender = await fixture.subscriber(NAME)
    fixture.publish(NAME, data="1", socket_id=sender.socket_id)
    fixture.flush()
    assert sender.take() == []
    await fixture.join(sender, NAME)
    assert data(sender) == [1]


async def test_a_second_subscribe_gets_the_last_event_again(fixture: NodeFixture) -> None:
    client = await fixture.subscriber(NAME)
    fixture.publish(NAME, data="1")
    await fixture.join(client, NAME)
    assert events(client.take()) == ["event", "subscription_succeeded", "event"]


@pytest.mark.parametrize("before", [True, False])
async def test_an_event_published_while_the_cache_is_asked_comes_once(
    fixture: NodeFixture, before: bool
) -> None:
    """The answer is older than what was published meanwhile: both come, each once."""
    if before:
        fixture.publish(NAME, data="1")
    fixture.broker.caching.close()
    client = fixture.connect()
    joining = asyncio.create_task(fixture.join(client, NAME))
    await fixture.broker.caching.reached()
    fixture.publish(NAME, data="2")
    fixture.flush()
    fixture.publish(NAME, data="3")
    assert client.take() == []
    fixture.broker.caching.open()
    await joining
    assert data(client) == [1, 2, 3] if before else ["miss", 2, 3]


@pytest.mark.parametrize("flush", [True, False])
async def test_an_event_that_is_in_the_cache_and_on_its_way_comes_once(
    fixture: NodeFixture, flush: bool
) -> None:
    """Published while the bus was being joined: the cache has it, and it was held back, too."""
    fixture.publish(NAME, data="1")
    fixture.broker.subscribing.close()
    client = fixture.connect()
    joining = asyncio.create_task(fixture.join(client, NAME))
    await fixture.broker.subscribing.reached()
    for number in "23":
        fixture.publish(NAME, data=number)
        if flush:
            fixture.flush()
    fixture.broker.subscribing.open()
    await joining
    assert data(client) == [2, 3]


async def test_an_event_that_one_is_excluded_from_comes_from_the_cache(
    fixture: NodeFixture,
) -> None:
    fixture.broker.subscribing.close()
    client = fixture.connect()
    joining = asyncio.create_task(fixture.join(client, NAME))
    await fixture.broker.subscribing.reached()
    fixture.publish(NAME, data="1", socket_id=client.socket_id)
    fixture.broker.subscribing.open()
    await joining
    assert data(client) == [1]


async def test_without_the_store_there_is_neither_event_nor_miss(fixture: NodeFixture) -> None:
    fixture.broker.caching.is_away = True
    assert data(await joined(fixture)) == []
    assert fixture.told(CacheMissed) == []


async def test_who_leaves_while_the_cache_is_asked_is_told_nothing(fixture: NodeFixture) -> None:
    fixture.broker.caching.close()
    client = fixture.connect()
    joining = asyncio.create_task(fixture.join(client, NAME))
    await fixture.broker.caching.reached()
    fixture.unsubscribe(client, NAME)
    fixture.broker.caching.open()
    await joining
    assert client.take() == []


async def test_a_second_subscribe_whose_channel_is_left_meanwhile_is_not_confirmed(
    fixture: NodeFixture,
) -> None:
    client = await fixture.subscriber(NAME)
    fixture.broker.caching.close()
    joining = asyncio.create_task(fixture.join(client, NAME))
    await fixture.broker.caching.reached()
    fixture.unsubscribe(client, NAME)
    fixture.broker.caching.open()
    await joining
    assert client.take() == []


async def test_a_miss_is_told_to_observers_once_in_ten_seconds(fixture: NodeFixture) -> None:
    missed = CacheMissed(app_id="1", channel=NAME)
    await joined(fixture)
    await joined(fixture)
    await joined(fixture, "cache-y")
    assert fixture.told(CacheMissed) == [missed, CacheMissed(app_id="1", channel="cache-y")]
    fixture.wait(MISS_INTERVAL / 2)
    await joined(fixture)
    assert len(fixture.told(CacheMissed)) == 2
    fixture.wait(MISS_INTERVAL / 2)
    await joined(fixture)
    assert fixture.told(CacheMissed)[2:] == [missed]
