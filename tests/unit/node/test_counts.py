"""`subscription_count`: small channels at once, crowds at intervals.

See docs/protocol/channels.md#subscription-count.
"""

import pytest

from pusher_server.node.counts import INTERVAL, LARGE_CHANNEL
from pusher_server.signals import SubscriptionCountChanged
from tests.support.fakes import FakeConnection
from tests.support.node import NodeFixture, events


@pytest.fixture
def fixture() -> NodeFixture:
    return NodeFixture(subscription_count=True)


def counts(client: FakeConnection) -> list[int]:
    """The counts that a client was told since last asked."""
    return [
        message["data"]["subscription_count"]
        for message in client.take()
        if message["event"] == "pusher_internal:subscription_count"
    ]


async def crowd(fixture: NodeFixture, size: int, channel: str = "a") -> list[FakeConnection]:
    """That many subscribers, nothing unread, no interval running."""
    clients = [await fixture.subscriber(channel) for _ in range(size)]
    fixture.wait(INTERVAL)
    fixture.wait(INTERVAL)
    for client in clients:
        client.take()
    fixture.signals.clear()
    return clients


async def test_every_subscriber_learns_of_every_change(fixture: NodeFixture) -> None:
    first, second = fixture.connect(), fixture.connect()
    await fixture.join(first, "a")
    assert counts(first) == [1]
    await fixture.join(second, "a")
    assert (counts(first), counts(second)) == ([2], [2])
    fixture.unsubscribe(first, "a")
    assert (counts(first), counts(second)) == ([], [1])
    fixture.drop(second)
    assert [
        signal.subscription_count
        for signal in fixture.told(SubscriptionCountChanged)
        if isinstance(signal, SubscriptionCountChanged)
    ] == [1, 2, 1]


async def test_the_success_comes_before_the_count(fixture: NodeFixture) -> None:
    client = fixture.connect()
    await fixture.join(client, "private-cache-x")
    assert events(client.take()) == ["subscription_succeeded", "cache_miss", "subscription_count"]


async def test_encrypted_channels_are_counted_for_the_backend_only(fixture: NodeFixture) -> None:
    """Android's client would try to decrypt the event, and throw."""
    client = fixture.connect()
    await fixture.join(client, "private-encrypted-x")
    assert counts(client) == []
    assert len(fixture.told(SubscriptionCountChanged)) == 1


async def test_dropped_connections_count_too(fixture: NodeFixture) -> None:
    first, second = await fixture.subscriber("a"), await fixture.subscriber("a")
    first.take()
    fixture.drop(second)
    fixture.flush()
    assert counts(first) == [1]


async def test_presence_and_user_channels_have_none(fixture: NodeFixture) -> None:
    client = await fixture.user("5")
    await fixture.enter(client, "a")
    await fixture.join(client, "#server-to-user-5")
    assert counts(client) == []
    assert fixture.told(SubscriptionCountChanged) == []


async def test_the_switch_is_the_apps() -> None:
    fixture = NodeFixture()
    client = fixture.connect()
    await fixture.join(client, "a")
    assert events(client.take()) == ["subscription_succeeded"]


async def test_up_to_a_hundred_every_change_is_told(fixture: NodeFixture) -> None:
    first, *_ = await crowd(fixture, LARGE_CHANNEL - 1)
    await fixture.subscriber("a")
    assert counts(first) == [LARGE_CHANNEL]


async def test_a_crowd_is_told_at_most_every_five_seconds(fixture: NodeFixture) -> None:
    first, *rest = await crowd(fixture, LARGE_CHANNEL + 2)
    for _ in range(3):
        await fixture.subscriber("a")
    assert counts(first) == [LARGE_CHANNEL + 3]
    fixture.wait(INTERVAL - 0.1)
    assert counts(first) == []
    fixture.wait(0.1)
    assert counts(first) == [LARGE_CHANNEL + 5]
    fixture.unsubscribe(rest[0], "a")
    assert counts(first) == []
    fixture.wait(INTERVAL)
    assert counts(first) == [LARGE_CHANNEL + 4]
    assert len(fixture.told(SubscriptionCountChanged)) == 3


async def test_without_change_a_crowd_is_left_alone(fixture: NodeFixture) -> None:
    first, *_ = await crowd(fixture, LARGE_CHANNEL + 1)
    await fixture.subscriber("a")
    assert counts(first) == [LARGE_CHANNEL + 2]
    fixture.wait(10 * INTERVAL)
    assert counts(first) == []


async def test_crowds_have_intervals_of_their_own(fixture: NodeFixture) -> None:
    first, *_ = await crowd(fixture, LARGE_CHANNEL + 1, "a")
    other, *_ = await crowd(fixture, LARGE_CHANNEL + 1, "b")
    await fixture.subscriber("a")
    await fixture.subscriber("b")
    assert (counts(first), counts(other)) == ([LARGE_CHANNEL + 2], [LARGE_CHANNEL + 2])


async def test_a_crowd_that_has_shrunk_is_not_told_the_same_twice(fixture: NodeFixture) -> None:
    first, *rest = await crowd(fixture, LARGE_CHANNEL + 3)
    fixture.unsubscribe(rest[0], "a")  # told, and the interval begins
    fixture.unsubscribe(rest[1], "a")  # has to wait
    fixture.unsubscribe(rest[2], "a")  # no crowd any more: told at once
    assert counts(first) == [LARGE_CHANNEL + 2, LARGE_CHANNEL]
    fixture.wait(INTERVAL)
    assert counts(first) == []


async def test_a_change_that_waits_is_not_told_after_the_channel_has_ended(
    fixture: NodeFixture,
) -> None:
    """Nor to a new channel of the same name."""
    clients = await crowd(fixture, LARGE_CHANNEL + 2)
    for _ in range(2):
        clients.append(await fixture.subscriber("a"))
    for client in clients:
        fixture.node.close(client, 1006, settle=False)
    newcomer = fixture.connect()
    await fixture.join(newcomer, "a")
    assert counts(newcomer) == [1]
    fixture.wait(INTERVAL)
    assert counts(newcomer) == []
