"""Subscribe and unsubscribe: who may, what is said, what the cluster and observers learn.

See docs/protocol/subscriptions.md.
"""

import asyncio

import pytest

from pusher_server.interfaces import channel_topic, channels_topic
from pusher_server.protocol.errors import MessageRejected, SubscriptionRefused
from pusher_server.protocol.messages import Subscribe
from pusher_server.signals import ChannelOccupied, ChannelVacated
from tests.support.fakes import FakeConnection
from tests.support.node import UNDO_WINDOW, NodeFixture, events, sign


async def refused(
    world: NodeFixture, connection: FakeConnection, message: Subscribe
) -> SubscriptionRefused:
    with pytest.raises(SubscriptionRefused) as caught:
        await world.node.subscriptions.subscribe(connection, message)
    assert connection.take() == []
    return caught.value


async def test_a_public_channel_takes_anybody(world: NodeFixture) -> None:
    client = world.connect()
    await world.node.subscriptions.subscribe(client, Subscribe("my-channel"))
    assert client.payloads == [
        b'{"event":"pusher_internal:subscription_succeeded","data":"{}","channel":"my-channel"}'
    ]
    assert not client.is_authorized


@pytest.mark.parametrize(
    "channel", ["private-x", "private-encrypted-x", "private-cache-x", "private-encrypted-cache-x"]
)
async def test_a_private_channel_takes_who_has_a_proof(world: NodeFixture, channel: str) -> None:
    client = world.connect()
    await world.join(client, channel)
    assert events(client.take())[0] == "subscription_succeeded"
    assert client.is_authorized


async def test_channel_data_of_a_private_channel_is_signed_and_otherwise_ignored(
    world: NodeFixture,
) -> None:
    client = world.connect()
    await world.join(client, "private-x", "anything")
    assert events(client.take()) == ["subscription_succeeded"]


async def test_a_wrong_proof_is_refused_and_nothing_remains(world: NodeFixture) -> None:
    client = world.connect()
    refusal = await refused(world, client, Subscribe("private-x", "key:" + "0" * 64))
    assert (refusal.channel, refusal.kind, refusal.status) == ("private-x", "AuthError", 401)
    assert "Invalid signature" in refusal.message
    assert client.subscriptions == world.node.hub.app_state(world.app).channels == {}
    assert world.told() == []


@pytest.mark.parametrize("channel", ["a b", "", "#x", "x" * 201])
async def test_a_name_outside_the_grammar_is_refused(world: NodeFixture, channel: str) -> None:
    refusal = await refused(world, world.connect(), Subscribe(channel))
    assert (refusal.channel, refusal.kind, refusal.status) == (channel, "InvalidChannel", 400)


async def test_the_grammar_is_the_apps() -> None:
    world = NodeFixture(limits={"channel_name_length": 5}, lenient_channel_names=True)
    client = world.connect()
    await world.join(client, "a:b/c")
    assert events(client.take()) == ["subscription_succeeded"]
    await refused(world, client, Subscribe("a:b/cd"))


async def test_a_connection_has_so_many_subscriptions_and_no_more() -> None:
    world = NodeFixture(limits={"subscriptions_per_connection": 2})
    client = world.connect()
    await world.join(client, "a")
    await world.join(client, "b")
    client.take()
    refusal = await refused(world, client, Subscribe("c"))
    assert (refusal.kind, refusal.status) == ("LimitReached", 4100)
    await world.join(client, "a")  # what it has does not count again
    world.unsubscribe(client, "b")
    await world.join(client, "c")
    assert set(client.subscriptions) == {"a", "c"}


async def test_the_first_subscriber_occupies_and_the_last_one_vacates(world: NodeFixture) -> None:
    first, second = world.connect(), world.connect()
    await world.join(first, "a")
    await world.join(second, "a")
    assert world.told() == [ChannelOccupied(app_id="1", channel="a")]
    world.unsubscribe(first, "a")
    world.drop(second)
    world.wait(UNDO_WINDOW - 0.1)
    assert len(world.told()) == 1
    world.wait(0.1)
    assert world.told() == [
        ChannelOccupied(app_id="1", channel="a"),
        ChannelVacated(app_id="1", channel="a"),
    ]


async def test_a_reload_within_the_undo_window_is_told_to_nobody(world: NodeFixture) -> None:
    await world.join(client := world.connect(), "a")
    world.drop(client)
    world.wait(UNDO_WINDOW / 2)
    await world.join(world.connect(), "a")
    world.wait(2 * UNDO_WINDOW)
    assert world.told() == [ChannelOccupied(app_id="1", channel="a")]


async def test_who_is_gone_gets_nothing_and_the_rest_goes_on(world: NodeFixture) -> None:
    client, other = await world.subscriber("a"), await world.subscriber("a")
    world.publish("a", data="1")
    world.unsubscribe(client, "a")
    world.publish("a", data="2")
    world.flush()
    assert [each["data"] for each in client.take()] == [1]
    assert [each["data"] for each in other.take()] == [1, 2]


async def test_an_unsubscribe_of_nothing_is_silent(world: NodeFixture) -> None:
    """Echo's leave() unsubscribes four names, most of which were never subscribed."""
    client = world.connect()
    world.unsubscribe(client, "a")
    assert client.take() == world.told() == []


async def test_strict_complains_about_an_unsubscribe_of_nothing() -> None:
    world = NodeFixture(strict=True)
    with pytest.raises(MessageRejected) as caught:
        world.unsubscribe(world.connect(), "a")
    assert (caught.value.code, caught.value.channel) == (None, "a")
    assert caught.value.message == (
        "No current subscription to channel a, or subscription in progress"
    )


async def test_a_second_subscribe_is_confirmed_and_changes_nothing(world: NodeFixture) -> None:
    world.change(subscription_count=True)
    client, other = world.connect(), await world.subscriber("a")
    await world.join(client, "a")
    assert events(client.take()) == ["subscription_succeeded", "subscription_count"]
    other.take()
    signals = len(world.told())
    await world.join(client, "a")
    assert events(client.take()) == ["subscription_succeeded"]
    assert other.take() == []
    assert len(world.told()) == signals
    world.publish("a")
    world.flush()
    assert events(client.take()) == ["event"]


async def test_a_second_success_does_not_overtake_events_of_its_channel(world: NodeFixture) -> None:
    client = await world.subscriber("a")
    world.publish("a")
    await world.node.subscriptions.subscribe(client, Subscribe("a"))
    assert events(client.take()) == ["event", "subscription_succeeded"]


async def test_a_second_subscribe_needs_its_proof_again(world: NodeFixture) -> None:
    client = await world.subscriber("private-x")
    await refused(world, client, Subscribe("private-x", "key:wrong"))
    assert "private-x" in client.subscriptions


async def test_strict_refuses_a_second_subscribe_as_pusher_does() -> None:
    world = NodeFixture(strict=True)
    client = await world.subscriber("private-x")
    with pytest.raises(MessageRejected) as caught:
        await world.join(client, "private-x")
    assert (caught.value.code, caught.value.message) == (
        None,
        "Existing subscription to channel private-x",
    )
    assert client.take() == []


async def test_the_bus_is_listened_to_while_somebody_is_here(world: NodeFixture) -> None:
    topic = channel_topic("1", "a")
    first, second = world.connect(), world.connect()
    await world.join(first, "a")
    await world.join(second, "a")
    assert world.broker.subscribed == [topic]
    world.unsubscribe(first, "a")
    assert world.broker.subscribed == [topic]
    world.drop(second)
    assert world.broker.subscribed == []


async def test_without_the_bus_public_and_private_channels_work_here(world: NodeFixture) -> None:
    world.broker.subscribing.is_away = True
    client = world.connect()
    await world.join(client, "private-x")
    world.publish("private-x")
    world.flush()
    assert events(client.take()) == ["subscription_succeeded", "event"]
    world.broker.subscribing.is_away = False
    await world.join(world.connect(), "private-x")
    assert world.broker.subscribed == [channel_topic("1", "private-x")]


async def test_without_the_bus_a_presence_join_waits_for_the_roster_alone(
    world: NodeFixture,
) -> None:
    world.broker.subscribing.is_away = True
    world.roster.asking.close()
    client = world.connect()
    joining = asyncio.create_task(world.enter(client, "a"))
    await world.roster.asking.reached()
    assert client.take() == []
    world.roster.asking.open()
    await joining
    assert events(client.take()) == ["subscription_succeeded"]


async def test_events_that_come_while_the_bus_is_being_joined_follow_the_success(
    world: NodeFixture,
) -> None:
    world.broker.subscribing.close()
    client = world.connect()
    joining = asyncio.create_task(world.join(client, "a"))
    await world.broker.subscribing.reached()
    world.publish("a", data="1")
    world.flush()
    assert client.take() == []
    world.broker.subscribing.open()
    await joining
    assert events(client.take()) == ["subscription_succeeded", "event"]


@pytest.mark.parametrize("how", ["unsubscribe", "close"])
async def test_who_leaves_while_the_bus_is_being_joined_is_told_nothing(
    world: NodeFixture, how: str
) -> None:
    world.broker.subscribing.close()
    client = world.connect()
    joining = asyncio.create_task(world.join(client, "private-x"))
    await world.broker.subscribing.reached()
    if how == "close":
        world.drop(client)
    else:
        world.unsubscribe(client, "private-x")
    world.broker.subscribing.open()
    await joining
    assert client.take() == []
    assert not client.is_authorized
    assert await world.roster.count(channels_topic("1")) == 0


@pytest.mark.parametrize("closed", [False, True])
async def test_a_wait_that_is_cancelled_leaves_nothing_behind(
    world: NodeFixture, closed: bool
) -> None:
    world.broker.subscribing.close()
    client = world.connect()
    joining = asyncio.create_task(
        world.node.subscriptions.subscribe(client, Subscribe("a", sign(client, "a")))
    )
    await world.broker.subscribing.reached()
    if closed:
        world.drop(client)
    joining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await joining
    assert client.subscriptions == world.node.hub.app_state(world.app).channels == {}
