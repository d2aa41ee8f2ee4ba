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
    fixture: NodeFixture, connection: FakeConnection, message: Subscribe
) -> SubscriptionRefused:
    with pytest.raises(SubscriptionRefused) as caught:
        await fixture.node.subscriptions.subscribe(connection, message)
    assert connection.take() == []
    return caught.value


async def test_a_public_channel_takes_anybody(fixture: NodeFixture) -> None:
    client = fixture.connect()
    await fixture.node.subscriptions.subscribe(client, Subscribe("my-channel"))
    assert client.payloads == [
        b'{"event":"pusher_internal:subscription_succeeded","data":"{}","channel":"my-channel"}'
    ]
    assert not client.is_authorized


@pytest.mark.parametrize(
    "channel", ["private-x", "private-encrypted-x", "private-cache-x", "private-encrypted-cache-x"]
)
async def test_a_private_channel_takes_who_has_a_proof(fixture: NodeFixture, channel: str) -> None:
    client = fixture.connect()
    await fixture.join(client, channel)
    assert events(client.take())[0] == "subscription_succeeded"
    assert client.is_authorized


async def test_channel_data_of_a_private_channel_is_signed_and_otherwise_ignored(
    fixture: NodeFixture,
) -> None:
    client = fixture.connect()
    await fixture.join(client, "private-x", "anything")
    assert events(client.take()) == ["subscription_succeeded"]


async def test_a_wrong_proof_is_refused_and_nothing_remains(fixture: NodeFixture) -> None:
    client = fixture.connect()
    refusal = await refused(fixture, client, Subscribe("private-x", "key:" + "0" * 64))
    assert (refusal.channel, refusal.kind, refusal.status) == ("private-x", "AuthError", 401)
    assert "Invalid signature" in refusal.message
    assert client.subscriptions == fixture.node.hub.app_state(fixture.app).channels == {}
    assert fixture.told() == []


@pytest.mark.parametrize("channel", ["a b", "", "#x", "x" * 201])
async def test_a_name_outside_the_grammar_is_refused(fixture: NodeFixture, channel: str) -> None:
    refusal = await refused(fixture, fixture.connect(), Subscribe(channel))
    assert (refusal.channel, refusal.kind, refusal.status) == (channel, "InvalidChannel", 400)


async def test_the_grammar_is_the_apps() -> None:
    fixture = NodeFixture(limits={"channel_name_length": 5}, lenient_channel_names=True)
    client = fixture.connect()
    await fixture.join(client, "a:b/c")
    assert events(client.take()) == ["subscription_succeeded"]
    await refused(fixture, client, Subscribe("a:b/cd"))


async def test_a_connection_has_so_many_subscriptions_and_no_more() -> None:
    fixture = NodeFixture(limits={"subscriptions_per_connection": 2})
    client = fixture.connect()
    await fixture.join(client, "a")
    await fixture.join(client, "b")
    client.take()
    refusal = await refused(fixture, client, Subscribe("c"))
    assert (refusal.kind, refusal.status) == ("LimitReached", 4100)
    await fixture.join(client, "a")  # what it has does not count again
    fixture.unsubscribe(client, "b")
    await fixture.join(client, "c")
    assert set(client.subscriptions) == {"a", "c"}


async def test_the_first_subscriber_occupies_and_the_last_one_vacates(fixture: NodeFixture) -> None:
    first, second = fixture.connect(), fixture.connect()
    await fixture.join(first, "a")
    await fixture.join(second, "a")
    assert fixture.told() == [ChannelOccupied(app_id="1", channel="a")]
    fixture.unsubscribe(first, "a")
    fixture.drop(second)
    fixture.wait(UNDO_WINDOW - 0.1)
    assert len(fixture.told()) == 1
    fixture.wait(0.1)
    assert fixture.told() == [
        ChannelOccupied(app_id="1", channel="a"),
        ChannelVacated(app_id="1", channel="a"),
    ]


async def test_a_reload_within_the_undo_window_is_told_to_nobody(fixture: NodeFixture) -> None:
    await fixture.join(client := fixture.connect(), "a")
    fixture.drop(client)
    fixture.wait(UNDO_WINDOW / 2)
    await fixture.join(fixture.connect(), "a")
    fixture.wait(2 * UNDO_WINDOW)
    assert fixture.told() == [ChannelOccupied(app_id="1", channel="a")]


async def test_who_is_gone_gets_nothing_and_the_rest_goes_on(fixture: NodeFixture) -> None:
    client, other = await fixture.subscriber("a"), await fixture.subscriber("a")
    fixture.publish("a", data="1")
    fixture.unsubscribe(client, "a")
    fixture.publish("a", data="2")
    fixture.flush()
    assert [each["data"] for each in client.take()] == [1]
    assert [each["data"] for each in other.take()] == [1, 2]


async def test_an_unsubscribe_of_nothing_is_silent(fixture: NodeFixture) -> None:
    """Echo's leave() unsubscribes four names, most of which were never subscribed."""
    client = fixture.connect()
    fixture.unsubscribe(client, "a")
    assert client.take() == fixture.told() == []


async def test_strict_complains_about_an_unsubscribe_of_nothing() -> None:
    fixture = NodeFixture(strict=True)
    with pytest.raises(MessageRejected) as caught:
        fixture.unsubscribe(fixture.connect(), "a")
    assert (caught.value.code, caught.value.channel) == (None, "a")
    assert caught.value.message == (
        "No current subscription to channel a, or subscription in progress"
    )


async def test_a_second_subscribe_is_confirmed_and_changes_nothing(fixture: NodeFixture) -> None:
    fixture.change(subscription_count=True)
    client, other = fixture.connect(), await fixture.subscriber("a")
    await fixture.join(client, "a")
    assert events(client.take()) == ["subscription_succeeded", "subscription_count"]
    other.take()
    signals = len(fixture.told())
    await fixture.join(client, "a")
    assert events(client.take()) == ["subscription_succeeded"]
    assert other.take() == []
    assert len(fixture.told()) == signals
    fixture.publish("a")
    fixture.flush()
    assert events(client.take()) == ["event"]


async def test_a_second_success_does_not_overtake_events_of_its_channel(
    fixture: NodeFixture,
) -> None:
    client = await fixture.subscriber("a")
    fixture.publish("a")
    await fixture.node.subscriptions.subscribe(client, Subscribe("a"))
    assert events(client.take()) == ["event", "subscription_succeeded"]


async def test_a_second_subscribe_needs_its_proof_again(fixture: NodeFixture) -> None:
    client = await fixture.subscriber("private-x")
    await refused(fixture, client, Subscribe("private-x", "key:wrong"))
    assert "private-x" in client.subscriptions


async def test_strict_refuses_a_second_subscribe_as_pusher_does() -> None:
    fixture = NodeFixture(strict=True)
    client = await fixture.subscriber("private-x")
    with pytest.raises(MessageRejected) as caught:
        await fixture.join(client, "private-x")
    assert (caught.value.code, caught.value.message) == (
        None,
        "Existing subscription to channel private-x",
    )
    assert client.take() == []


async def test_the_bus_is_listened_to_while_somebody_is_here(fixture: NodeFixture) -> None:
    topic = channel_topic("1", "a")
    first, second = fixture.connect(), fixture.connect()
    await fixture.join(first, "a")
    await fixture.join(second, "a")
    assert fixture.broker.subscribed == [topic]
    fixture.unsubscribe(first, "a")
    assert fixture.broker.subscribed == [topic]
    fixture.drop(second)
    assert fixture.broker.subscribed == []


async def test_without_the_bus_public_and_private_channels_work_here(fixture: NodeFixture) -> None:
    fixture.broker.subscribing.is_away = True
    client = fixture.connect()
    await fixture.join(client, "private-x")
    fixture.publish("private-x")
    fixture.flush()
    assert events(client.take()) == ["subscription_succeeded", "event"]
    fixture.broker.subscribing.is_away = False
    await fixture.join(fixture.connect(), "private-x")
    assert fixture.broker.subscribed == [channel_topic("1", "private-x")]


async def test_without_the_bus_a_presence_join_waits_for_the_roster_alone(
    fixture: NodeFixture,
) -> None:
    fixture.broker.subscribing.is_away = True
    fixture.roster.asking.close()
    client = fixture.connect()
    joining = asyncio.create_task(fixture.enter(client, "a"))
    await fixture.roster.asking.reached()
    assert client.take() == []
    fixture.roster.asking.open()
    await joining
    assert events(client.take()) == ["subscription_succeeded"]


async def test_events_that_come_while_the_bus_is_being_joined_follow_the_success(
    fixture: NodeFixture,
) -> None:
    fixture.broker.subscribing.close()
    client = fixture.connect()
    joining = asyncio.create_task(fixture.join(client, "a"))
    await fixture.broker.subscribing.reached()
    fixture.publish("a", data="1")
    fixture.flush()
    assert client.take() == []
    fixture.broker.subscribing.open()
    await joining
    assert events(client.take()) == ["subscription_succeeded", "event"]


@pytest.mark.parametrize("how", ["unsubscribe", "close"])
async def test_who_leaves_while_the_bus_is_being_joined_is_told_nothing(
    fixture: NodeFixture, how: str
) -> None:
    fixture.broker.subscribing.close()
    client = fixture.connect()
    joining = asyncio.create_task(fixture.join(client, "private-x"))
    await fixture.broker.subscribing.reached()
    if how == "close":
        fixture.drop(client)
    else:
        fixture.unsubscribe(client, "private-x")
    fixture.broker.subscribing.open()
    await joining
    assert client.take() == []
    assert not client.is_authorized
    assert await fixture.roster.count(channels_topic("1")) == 0


@pytest.mark.parametrize("closed", [False, True])
async def test_a_wait_that_is_cancelled_leaves_nothing_behind(
    fixture: NodeFixture, closed: bool
) -> None:
    fixture.broker.subscribing.close()
    client = fixture.connect()
    joining = asyncio.create_task(
        fixture.node.subscriptions.subscribe(client, Subscribe("a", sign(client, "a")))
    )
    await fixture.broker.subscribing.reached()
    if closed:
        fixture.drop(client)
    joining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await joining
    assert client.subscriptions == fixture.node.hub.app_state(fixture.app).channels == {}
