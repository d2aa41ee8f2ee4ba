"""Sign-in, events to a user, terminate, watchlists (docs/protocol/users.md)."""

import asyncio
import json

import pytest

from pusher_server.interfaces import CONTROL, TerminateMessage, channel_topic, users_topic
from pusher_server.protocol.errors import (
    Code,
    ConnectionRejected,
    MessageRejected,
    SubscriptionRefused,
)
from pusher_server.protocol.messages import SignIn
from tests.support.node import UNDO_WINDOW, NodeFixture, events

TERMINATED = (Code.UNAUTHORIZED, "You got disconnected by the app.")


async def test_u1_a_sign_in_is_confirmed_with_the_signed_text(fixture: NodeFixture) -> None:
    client = fixture.connect()
    await fixture.sign_in(client, "12345", x=1)
    (message,) = client.take()
    assert message["event"] == "pusher:signin_success"
    assert message["data"] == {"user_data": '{"id": "12345", "x": 1}'}
    assert "channel" not in message
    assert client.is_authorized
    assert fixture.told() == []


@pytest.mark.parametrize("auth", ["", "key", "key:wrong", "other:wrong"])
async def test_a_wrong_proof_ends_the_connection(fixture: NodeFixture, auth: str) -> None:
    client = fixture.connect()
    with pytest.raises(ConnectionRejected) as caught:
        await fixture.node.users.sign_in(client, SignIn(auth, '{"id":"1"}'))
    assert (caught.value.code, caught.value.message) == (4009, "Connection not authorized.")
    assert client.user is None
    assert not client.is_authorized


async def test_a_user_without_an_id_ends_the_connection(fixture: NodeFixture) -> None:
    with pytest.raises(ConnectionRejected) as caught:
        await fixture.sign_in(fixture.connect(), None)
    assert caught.value.message == 'The returned user data must contain the "id" field.'


async def test_u2_ones_own_channel_and_no_other(fixture: NodeFixture) -> None:
    client = await fixture.user("5")
    await fixture.join(client, "#server-to-user-5")
    assert events(client.take()) == ["subscription_succeeded"]
    for stranger, channel in (
        (client, "#server-to-user-6"),
        (fixture.connect(), "#server-to-user-5"),
    ):
        with pytest.raises(SubscriptionRefused) as caught:
            await fixture.join(stranger, channel)
        assert (caught.value.kind, caught.value.status) == ("AuthError", 401)


async def test_u3_an_event_to_a_user_reaches_all_connections_once(fixture: NodeFixture) -> None:
    plain, subscribed = await fixture.user("5"), await fixture.user("5")
    await fixture.join(subscribed, "#server-to-user-5")
    subscribed.take()
    stranger = await fixture.user("6")
    fixture.publish_to_user("5", {"hello": 1})
    fixture.flush()
    for client in (plain, subscribed):
        assert client.take() == [
            {"event": "event", "channel": "#server-to-user-5", "data": {"hello": 1}}
        ]
    assert stranger.take() == []


async def test_u3_unsubscribing_from_ones_own_channel_changes_nothing(fixture: NodeFixture) -> None:
    client = await fixture.user("5")
    fixture.unsubscribe(client, "#server-to-user-5")
    fixture.publish_to_user("5")
    fixture.flush()
    assert events(client.take()) == ["event"]


async def test_a_users_channel_is_no_occupied_one(fixture: NodeFixture) -> None:
    client = await fixture.user("5")
    assert not [page async for page in fixture.node.inspection.channels(fixture.app)]
    fixture.drop(client)
    fixture.wait(UNDO_WINDOW)
    assert fixture.told() == []
    assert fixture.broker.subscribed == []
    assert await fixture.roster.count(users_topic("1")) == 0


async def test_u3_an_event_that_comes_during_the_sign_in_follows_its_success(
    fixture: NodeFixture,
) -> None:
    """pusher-js drops user events that come before `signin_success`."""
    fixture.broker.subscribing.close()
    client = fixture.connect()
    signing = asyncio.create_task(fixture.sign_in(client, "5"))
    await fixture.broker.subscribing.reached()
    fixture.publish_to_user("5")
    fixture.flush()
    assert client.take() == []
    fixture.broker.subscribing.open()
    await signing
    assert events(client.take()) == ["signin_success", "event"]


async def test_who_is_gone_during_the_sign_in_is_told_nothing(fixture: NodeFixture) -> None:
    fixture.broker.subscribing.close()
    client = fixture.connect()
    signing = asyncio.create_task(fixture.sign_in(client, "5", watchlist=["a"]))
    await fixture.broker.subscribing.reached()
    fixture.drop(client)
    fixture.broker.subscribing.open()
    await signing
    assert client.take() == []
    assert await fixture.roster.count(users_topic("1")) == 0
    assert fixture.node.hub.app_state(fixture.app).users.connections("5") == []


async def test_without_the_bus_a_sign_in_succeeds_here(fixture: NodeFixture) -> None:
    fixture.broker.subscribing.is_away = True
    client = fixture.connect()
    await fixture.sign_in(client, "5")
    fixture.publish_to_user("5")
    fixture.flush()
    assert events(client.take()) == ["signin_success", "event"]


async def test_u4b_a_number_is_a_user_by_its_text(fixture: NodeFixture) -> None:
    client = fixture.connect()
    await fixture.sign_in(client, 5)
    assert client.take()[0]["data"] == {"user_data": '{"id":"5"}'}
    fixture.publish_to_user("5")
    fixture.flush()
    assert events(client.take()) == ["event"]


async def test_u5_a_second_sign_in_as_another_user_keeps_the_first(fixture: NodeFixture) -> None:
    client = await fixture.user("5")
    with pytest.raises(MessageRejected) as caught:
        await fixture.sign_in(client, "6")
    assert caught.value.code == Code.UNAUTHORIZED
    assert client.user is not None
    assert client.user.id == "5"
    fixture.publish_to_user("5")
    fixture.flush()
    assert events(client.take()) == ["event"]


async def test_u5_a_second_sign_in_as_the_same_user_replaces_the_data(fixture: NodeFixture) -> None:
    client = await fixture.user("5", user_info=1)
    await fixture.sign_in(client, "5", user_info=2)
    assert events(client.take()) == ["signin_success"]
    assert client.user is not None
    assert client.user.info == b"2"
    fixture.publish_to_user("5")
    fixture.flush()
    assert events(client.take()) == ["event"]
    fixture.drop(client)
    assert await fixture.roster.count(users_topic("1")) == 0


async def test_u4_terminate_closes_every_connection_of_the_user(fixture: NodeFixture) -> None:
    tabs, other = [await fixture.user("5"), await fixture.user("5")], await fixture.user("6")
    member = await fixture.insider("5")
    fixture.node.users.terminate(fixture.app, "5")
    assert [tab.closed for tab in tabs] == [TERMINATED] * 2
    assert other.closed is member.closed is None
    assert fixture.broker.published == [(CONTROL, TerminateMessage(app_id="1", user_id="5"))]


async def test_u4_terminate_closes_members_too_where_the_app_says_so() -> None:
    fixture = NodeFixture(terminate_presence_members=True)
    member, other, user = (
        await fixture.insider("5"),
        await fixture.insider("6"),
        await fixture.user("5"),
    )
    fixture.node.users.terminate(fixture.app, "5")
    assert (member.closed, user.closed, other.closed) == (TERMINATED, TERMINATED, None)


async def test_terminating_nobody_is_no_error(fixture: NodeFixture) -> None:
    fixture.node.users.terminate(fixture.app, "5")
    client = fixture.connect()
    fixture.node.users.terminate(fixture.app, "5")
    assert client.closed is None


async def test_another_node_may_terminate(fixture: NodeFixture) -> None:
    client = await fixture.user("5")
    fixture.node.on_message(CONTROL, TerminateMessage(app_id="1", user_id="5"))
    assert client.closed == TERMINATED
    assert fixture.broker.published == []


async def test_the_channel_of_a_user_is_on_the_bus(fixture: NodeFixture) -> None:
    await fixture.user("5")
    await fixture.user("5")
    assert fixture.broker.subscribed == [channel_topic("1", "#server-to-user-5")]


async def test_a_user_id_with_a_lone_surrogate_is_refused_by_name(fixture: NodeFixture) -> None:
    client = fixture.connect()
    with pytest.raises(ConnectionRejected) as caught:
        await fixture.sign_in(client, "a\ud83d")
    assert caught.value.code == Code.UNAUTHORIZED
    assert caught.value.message == r"The returned user data: id has a lone surrogate: 'a\ud83d'"
    assert client.user is None


async def test_user_info_with_a_lone_surrogate_joins_as_a_replacement_character(
    fixture: NodeFixture,
) -> None:
    """The signed text is confirmed as it was; others read U+FFFD."""
    client = fixture.connect()
    await fixture.sign_in(client, "5", user_info={"name": "cut \ud83d"})
    (confirmed,) = client.take()
    assert json.loads(confirmed["data"]["user_data"])["user_info"] == {"name": "cut \ud83d"}
    await fixture.join(client, "presence-x")
    (joined,) = client.take()
    assert joined["data"]["presence"]["hash"] == {"5": {"name": "cut \ufffd"}}
