"""`subscription_count`: small channels at once, crowds at intervals.

See docs/protocol/channels.md#subscription-count.
"""

import pytest

from pusher_server.node.counts import INTERVAL, LARGE_CHANNEL
from pusher_server.signals import SubscriptionCountChanged
from tests.fakes import FakeConnection
from tests.unit.node.world import World, events


@pytest.fixture
def world() -> World:
    return World(subscription_count=True)


def counts(client: FakeConnection) -> list[int]:
    """The counts that a client was told since last asked."""
    return [
        message["data"]["subscription_count"]
        for message in client.take()
        if message["event"] == "pusher_internal:subscription_count"
    ]


async def crowd(world: World, size: int, channel: str = "a") -> list[FakeConnection]:
    """That many subscribers, nothing unread, no interval running."""
    clients = [await world.subscriber(channel) for _ in range(size)]
    world.wait(INTERVAL)
    world.wait(INTERVAL)
    for client in clients:
        client.take()
    world.signals.clear()
    return clients


async def test_every_subscriber_learns_of_every_change(world: World) -> None:
    first, second = world.connect(), world.connect()
    await world.join(first, "a")
    assert counts(first) == [1]
    await world.join(second, "a")
    assert (counts(first), counts(second)) == ([2], [2])
    world.unsubscribe(first, "a")
    assert (counts(first), counts(second)) == ([], [1])
    world.drop(second)
    assert [
        signal.subscription_count
        for signal in world.told(SubscriptionCountChanged)
        if isinstance(signal, SubscriptionCountChanged)
    ] == [1, 2, 1]


async def test_the_success_comes_before_the_count(world: World) -> None:
    client = world.connect()
    await world.join(client, "private-cache-x")
    assert events(client.take()) == ["subscription_succeeded", "cache_miss", "subscription_count"]


async def test_dropped_connections_count_too(world: World) -> None:
    first, second = await world.subscriber("a"), await world.subscriber("a")
    first.take()
    world.drop(second)
    world.flush()
    assert counts(first) == [1]


async def test_presence_and_user_channels_have_none(world: World) -> None:
    client = await world.user("5")
    await world.enter(client, "a")
    await world.join(client, "#server-to-user-5")
    assert counts(client) == []
    assert world.told(SubscriptionCountChanged) == []


async def test_the_switch_is_the_apps() -> None:
    world = World()
    client = world.connect()
    await world.join(client, "a")
    assert events(client.take()) == ["subscription_succeeded"]


async def test_up_to_a_hundred_every_change_is_told(world: World) -> None:
    first, *_ = await crowd(world, LARGE_CHANNEL - 1)
    await world.subscriber("a")
    assert counts(first) == [LARGE_CHANNEL]


async def test_a_crowd_is_told_at_most_every_five_seconds(world: World) -> None:
    first, *rest = await crowd(world, LARGE_CHANNEL + 2)
    for _ in range(3):
        await world.subscriber("a")
    assert counts(first) == [LARGE_CHANNEL + 3]
    world.wait(INTERVAL - 0.1)
    assert counts(first) == []
    world.wait(0.1)
    assert counts(first) == [LARGE_CHANNEL + 5]
    world.unsubscribe(rest[0], "a")
    assert counts(first) == []
    world.wait(INTERVAL)
    assert counts(first) == [LARGE_CHANNEL + 4]
    assert len(world.told(SubscriptionCountChanged)) == 3


async def test_without_change_a_crowd_is_left_alone(world: World) -> None:
    first, *_ = await crowd(world, LARGE_CHANNEL + 1)
    await world.subscriber("a")
    assert counts(first) == [LARGE_CHANNEL + 2]
    world.wait(10 * INTERVAL)
    assert counts(first) == []


async def test_crowds_have_intervals_of_their_own(world: World) -> None:
    first, *_ = await crowd(world, LARGE_CHANNEL + 1, "a")
    other, *_ = await crowd(world, LARGE_CHANNEL + 1, "b")
    await world.subscriber("a")
    await world.subscriber("b")
    assert (counts(first), counts(other)) == ([LARGE_CHANNEL + 2], [LARGE_CHANNEL + 2])


async def test_a_crowd_that_has_shrunk_is_not_told_the_same_twice(world: World) -> None:
    first, *rest = await crowd(world, LARGE_CHANNEL + 3)
    world.unsubscribe(rest[0], "a")  # told, and the interval begins
    world.unsubscribe(rest[1], "a")  # has to wait
    world.unsubscribe(rest[2], "a")  # no crowd any more: told at once
    assert counts(first) == [LARGE_CHANNEL + 2, LARGE_CHANNEL]
    world.wait(INTERVAL)
    assert counts(first) == []


async def test_a_change_that_waits_is_not_told_after_the_channel_has_ended(world: World) -> None:
    """Nor to a new channel of the same name."""
    clients = await crowd(world, LARGE_CHANNEL + 2)
    for _ in range(2):
        clients.append(await world.subscriber("a"))
    for client in clients:
        world.node.close(client, 1006, settle=False)
    newcomer = world.connect()
    await world.join(newcomer, "a")
    assert counts(newcomer) == [1]
    world.wait(INTERVAL)
    assert counts(newcomer) == []
