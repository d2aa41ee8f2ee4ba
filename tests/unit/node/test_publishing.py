"""Events of the backend, and client events with all their checks (docs/protocol/client-events.md)."""

import json
from typing import Any

import pytest

from pusher_server.interfaces import EventMessage, channel_topic
from pusher_server.protocol.errors import Code, MessageRejected
from pusher_server.protocol.messages import ClientEvent
from pusher_server.signals import ClientEventSent, EventPublished
from tests.support.fakes import FakeConnection
from tests.support.node import NodeFixture, events

OFF = "Client events are off for this app; its setting client_events turns them on"
KIND = "Client event rejected - only supported on private and presence channels"
SEALED = "A client event on an encrypted channel needs data with nonce and ciphertext in base64"


def rejection(
    fixture: NodeFixture, client: FakeConnection, channel: str, data: Any = None
) -> tuple[Any, ...]:
    """Code, message and channel of the error that a client event earns."""
    sent = len(fixture.broker.published)
    with pytest.raises(MessageRejected) as caught:
        fixture.client_event(client, channel, data)
    assert len(fixture.broker.published) == sent
    assert fixture.told(ClientEventSent) == []
    return caught.value.code, caught.value.message, caught.value.channel


async def test_an_event_reaches_every_subscriber_as_it_was_given(fixture: NodeFixture) -> None:
    clients = [await fixture.subscriber("my-channel") for _ in range(2)]
    other = await fixture.subscriber("other")
    fixture.publish("my-channel", data={"message": "hello"})
    fixture.flush()
    for client in clients:
        assert client.payloads[-1] == (
            b'{"event":"event","data":"{\\"message\\":\\"hello\\"}","channel":"my-channel"}'
        )
    assert other.take() == []


async def test_an_event_is_told_to_the_other_nodes_and_to_observers_once(
    fixture: NodeFixture,
) -> None:
    client, _ = await fixture.subscriber("a"), await fixture.subscriber("a")
    fixture.publish("a", "b", socket_id=client.socket_id)
    assert [
        (topic, message.except_socket, message.payload)
        for topic, message in fixture.broker.published
    ] == [
        (
            channel_topic("1", name),
            client.socket_id,
            b'{"event":"event","data":"d","channel":"%b"}' % name.encode(),
        )
        for name in ("a", "b")
    ]
    assert fixture.told(EventPublished) == [
        EventPublished(app_id="1", channel="a", event="event", recipients=1),
        EventPublished(app_id="1", channel="b", event="event", recipients=0),
    ]


@pytest.mark.parametrize("kind", ["EventPublished", "ClientEventSent"])
async def test_a_signal_that_nobody_observes_is_not_made(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Neither on the way of a publication nor on that of a client event."""

    def make(**fields: object) -> None:
        raise AssertionError(f"{kind} is made")

    monkeypatch.setattr(f"pusher_server.node.publishing.{kind}", make)
    fixture = NodeFixture(is_observed=False)
    sender, other = await fixture.subscriber("private-a"), await fixture.subscriber("private-a")
    fixture.publish("private-a")
    fixture.client_event(sender, "private-a")
    assert events(other.take()) == ["event", "client-x"]


def test_a_kind_is_observed_once_an_observer_wants_it() -> None:
    observers = NodeFixture(is_observed=False).parts.observers
    assert not observers.is_observed(EventPublished)
    observers.observe(lambda signal: None, ClientEventSent)
    assert [observers.is_observed(kind) for kind in (ClientEventSent, EventPublished)] == [
        True,
        False,
    ]
    observers.observe(lambda signal: None)
    assert observers.is_observed(EventPublished)


async def test_every_event_has_a_number_of_its_own(fixture: NodeFixture) -> None:
    fixture.publish("a", "b")
    fixture.publish("a")
    numbers = [message.event_id for _, message in fixture.broker.published]
    assert len(set(numbers)) == 3


async def test_the_socket_that_caused_an_event_is_left_out(fixture: NodeFixture) -> None:
    sender, other = await fixture.subscriber("a"), await fixture.subscriber("a")
    fixture.publish("a", socket_id=sender.socket_id)
    fixture.flush()
    assert (sender.take(), events(other.take())) == ([], ["event"])


async def test_publishing_for_an_app_that_nobody_uses_is_no_error(fixture: NodeFixture) -> None:
    fixture.publish("a")
    assert len(fixture.broker.published) == 1


async def test_an_event_from_another_node_is_delivered_here(fixture: NodeFixture) -> None:
    sender, other = await fixture.subscriber("a"), await fixture.subscriber("a")
    message = EventMessage(payload=b'{"event":"x"}', event_id=9, except_socket=sender.socket_id)
    fixture.node.on_message(channel_topic("1", "a"), message)
    fixture.node.on_message(channel_topic("2", "a"), message)
    fixture.flush()
    assert (sender.take(), other.take()) == ([], [{"event": "x"}])
    assert fixture.broker.published == []


async def test_e1_a_client_event_goes_to_the_others(fixture: NodeFixture) -> None:
    sender, other = await fixture.subscriber("private-x"), await fixture.subscriber("private-x")
    fixture.client_event(sender, "private-x", {"on": True})
    assert sender.take() == []
    assert other.payloads[-1] == (
        b'{"event":"client-x","data":"{\\"on\\":true}","channel":"private-x"}'
    )
    assert fixture.told(ClientEventSent) == [
        ClientEventSent(
            app_id="1",
            channel="private-x",
            event="client-x",
            data=rb'"{\"on\":true}"',
            socket_id=sender.socket_id,
            user_id=None,
        )
    ]
    assert [message.except_socket for _, message in fixture.broker.published] == [sender.socket_id]


async def test_e2_on_a_presence_channel_it_names_its_sender(fixture: NodeFixture) -> None:
    sender, tab, other = [await fixture.insider(each) for each in (10, 10, "b")]
    sender.take()
    tab.take()
    fixture.client_event(sender, "presence-x")
    assert sender.take() == []
    (message,) = tab.take()
    assert message == {
        "event": "client-x",
        "channel": "presence-x",
        "data": None,
        "user_id": "10",
    }
    assert other.take() == [message]
    (signal,) = fixture.told(ClientEventSent)
    assert isinstance(signal, ClientEventSent)
    assert signal.user_id == "10"


async def test_e2_encrypted_channels_relay_like_private_ones(fixture: NodeFixture) -> None:
    name = "private-encrypted-x"
    sender, other = await fixture.subscriber(name), await fixture.subscriber(name)
    fixture.client_event(sender, name, {"nonce": "A" * 32, "ciphertext": "A" * 24})
    assert events(other.take()) == ["client-x"]


@pytest.mark.parametrize("name", ["private-encrypted-x", "private-encrypted-cache-x"])
async def test_e4_what_no_client_can_decrypt_is_refused(fixture: NodeFixture, name: str) -> None:
    sender = await fixture.subscriber(name)
    assert rejection(fixture, sender, name) == (None, SEALED, name)


async def test_e4_switched_off_for_the_app() -> None:
    fixture = NodeFixture(client_events="off")
    sender = await fixture.subscriber("private-x")
    assert rejection(fixture, sender, "private-x") == (None, OFF, "private-x")


@pytest.mark.parametrize("channel", ["my-channel", "cache-x", "#server-to-user-5"])
async def test_e4_not_on_public_channels(fixture: NodeFixture, channel: str) -> None:
    sender = fixture.connect()
    assert rejection(fixture, sender, channel) == (None, KIND, channel)


async def test_e4_on_public_channels_where_the_app_allows_it() -> None:
    fixture = NodeFixture(client_events_on_public_channels=True)
    sender, other = await fixture.subscriber("a"), await fixture.subscriber("a")
    fixture.client_event(sender, "a")
    assert events(other.take()) == ["client-x"]
    user = await fixture.user("5")
    assert rejection_of_user_channel(fixture, user) == KIND


def rejection_of_user_channel(fixture: NodeFixture, user: FakeConnection) -> str:
    """Never over `#server-to-user-`, whatever the switches (docs/protocol/client-events.md#relay)."""
    with pytest.raises(MessageRejected) as caught:
        fixture.client_event(user, "#server-to-user-5")
    return caught.value.message


@pytest.mark.parametrize("channel", ["a b", "#x", ""])
async def test_e4_not_to_what_is_no_channel(fixture: NodeFixture, channel: str) -> None:
    code, _, named = rejection(fixture, fixture.connect(), channel)
    assert (code, named) == (None, None)


async def test_e4_only_for_subscribers(fixture: NodeFixture) -> None:
    await fixture.subscriber("private-x")
    assert rejection(fixture, fixture.connect(), "private-x") == (
        Code.UNAUTHORIZED,
        "Connection is unauthorized",
        "private-x",
    )


async def test_e4_for_anybody_where_the_app_allows_it() -> None:
    fixture = NodeFixture(client_events="all")
    other = await fixture.subscriber("private-x")
    fixture.client_event(fixture.connect(), "private-x")
    assert events(other.take()) == ["client-x"]


async def test_e5_the_rate_is_the_connections(fixture: NodeFixture) -> None:
    sender = await fixture.subscriber("private-x")
    sender.allowance = 0
    code, message, channel = rejection(fixture, sender, "private-x")
    assert (code, channel) == (Code.CLIENT_EVENT_RATE, "private-x")
    assert "10 client events per second" in message


async def test_e5_a_refused_event_costs_nothing_of_the_rate(fixture: NodeFixture) -> None:
    sender = fixture.connect()
    sender.allowance = 1
    rejection(fixture, sender, "private-x")
    assert sender.allowance == 1


async def test_e6_the_size_is_that_of_the_text_that_is_relayed() -> None:
    fixture = NodeFixture(limits={"event_data_bytes": 10})
    sender = await fixture.subscriber("private-x")
    fixture.client_event(sender, "private-x", "x" * 10)
    fixture.client_event(sender, "private-x", "é" * 5)
    fixture.signals.clear()
    code, message, channel = rejection(fixture, sender, "private-x", "x" * 11)
    assert (code, channel) == (None, "private-x")
    assert "exceeds the allowed maximum (10 bytes)" in message
    rejection(fixture, sender, "private-x", "é" * 6)
    rejection(fixture, sender, "private-x", ["x" * 7])


async def test_the_length_of_the_name_is_limited() -> None:
    fixture = NodeFixture(limits={"event_name_length": 8})
    sender = await fixture.subscriber("private-x")
    publishing = fixture.node.publishing
    publishing.client_event(sender, ClientEvent("client-y", "private-x", b'"null"'))
    with pytest.raises(MessageRejected) as caught:
        publishing.client_event(sender, ClientEvent("client-yy", "private-x", b'"null"'))
    assert (caught.value.code, caught.value.channel) == (None, "private-x")


@pytest.mark.parametrize(
    ("data", "relayed"), [(None, "null"), (1, "1"), ("s", "s"), ([1.5], "[1.5]")]
)
async def test_e7_data_is_relayed_as_text(fixture: NodeFixture, data: Any, relayed: str) -> None:
    sender, _ = await fixture.subscriber("private-x"), await fixture.subscriber("private-x")
    fixture.client_event(sender, "private-x", data)
    (signal,) = fixture.told(ClientEventSent)
    assert isinstance(signal, ClientEventSent)
    assert json.loads(signal.data) == relayed
