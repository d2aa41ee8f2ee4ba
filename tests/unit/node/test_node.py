"""The node: who may come, what observers see, how a changed app takes effect.

docs/decisions.md#state-of-an-app
"""

import asyncio
import logging

import pytest
from msgspec import structs

from pusher_server.app import App, AppKey, AppLimits
from pusher_server.auth.signatures import sign
from pusher_server.interfaces import (
    CONTROL,
    AppChangedMessage,
    channels_topic,
    members_topic,
    users_topic,
)
from pusher_server.protocol.errors import (
    Code,
    ConnectionRejected,
    MessageRejected,
    SubscriptionRefused,
)
from pusher_server.protocol.messages import SignIn, Subscribe
from pusher_server.signals import (
    CacheMissed,
    ChannelOccupied,
    ConnectionClosed,
    ConnectionOpened,
    Signal,
    SubscriptionRejected,
)
from tests.support.fakes import FakeConnection
from tests.support.node import KEY, SECRET, UNDO_WINDOW, NodeFixture, events


def rejected(fixture: NodeFixture, app: App | None = None) -> tuple[int, str]:
    with pytest.raises(ConnectionRejected) as caught:
        fixture.node.admit(app or fixture.app)
    return caught.value.code, caught.value.message


def test_an_app_with_room_admits(fixture: NodeFixture) -> None:
    fixture.node.admit(fixture.app)


def test_a_node_that_is_about_to_end_admits_nobody(fixture: NodeFixture) -> None:
    fixture.node.draining = True
    assert rejected(fixture)[0] == Code.OVER_CAPACITY


def test_an_app_that_is_switched_off_admits_nobody() -> None:
    assert rejected(NodeFixture(enabled=False)) == (Code.APP_DISABLED, "Application disabled")


@pytest.mark.parametrize("code", [4004, 4100])
def test_an_app_that_is_full_admits_nobody(code: int) -> None:
    fixture = NodeFixture(limits={"connections": 2}, over_quota_code=code)
    first = fixture.connect()
    fixture.node.admit(fixture.app)
    fixture.connect()
    assert rejected(fixture) == (code, "Application is over connection quota")
    fixture.drop(first)
    fixture.node.admit(fixture.app)


def test_connections_are_told_to_observers(fixture: NodeFixture) -> None:
    client = fixture.connect()
    fixture.node.close(client, 4200, settle=True)
    assert fixture.signals == [
        ConnectionOpened(app_id="1", socket_id=client.socket_id),
        ConnectionClosed(app_id="1", socket_id=client.socket_id, code=4200),
    ]


async def test_closing_settles_or_not(fixture: NodeFixture) -> None:
    gone, sent_away = await fixture.subscriber("a"), await fixture.subscriber("a")
    fixture.publish("a")
    fixture.node.close(gone, 1006, settle=False)
    fixture.node.close(sent_away, 4200, settle=True)
    fixture.flush()
    assert (events(gone.take()), events(sent_away.take())) == ([], ["event"])


def test_an_observer_that_fails_hurts_nobody(
    fixture: NodeFixture, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(signal: Signal) -> None:
        raise RuntimeError("broken")

    later: list[Signal] = []
    fixture.node.observe(broken)
    fixture.node.observe(later.append)
    with caplog.at_level(logging.ERROR, "pusher_server.node"):
        fixture.connect()
    assert later == fixture.signals
    assert [record.message for record in caplog.records] == ["an observer failed"]


def test_an_observer_may_ask_for_some_kinds_only(fixture: NodeFixture) -> None:
    """Whoever hears everything still does, whether it came before or after."""
    some: list[Signal] = []
    later: list[Signal] = []
    fixture.node.observe(some.append, ConnectionClosed)
    fixture.node.observe(later.append)
    client = fixture.connect()
    fixture.drop(client)
    assert [type(each) for each in some] == [ConnectionClosed]
    assert [type(each) for each in later] == [ConnectionOpened, ConnectionClosed]
    assert fixture.signals == later


def test_a_refusal_is_told_to_observers(fixture: NodeFixture) -> None:
    client = fixture.connect()
    fixture.node.rejected(client, SubscriptionRefused("private-x", "no"))
    assert fixture.told() == [
        SubscriptionRejected(
            app_id="1",
            channel="private-x",
            socket_id=client.socket_id,
            reason="no",
            kind="AuthError",
        )
    ]


async def test_a_changed_app_counts_from_the_next_action_on(fixture: NodeFixture) -> None:
    client = await fixture.subscriber("private-x")
    assert fixture.node.change_app("1", structs.replace(fixture.app, client_events="off")) == []
    with pytest.raises(MessageRejected):
        fixture.client_event(client, "private-x")
    fixture.change(limits=AppLimits(subscriptions_per_connection=1))
    with pytest.raises(SubscriptionRefused):
        await fixture.join(client, "a")
    assert "private-x" in client.subscriptions


def test_an_app_that_is_gone_sends_its_clients_away(fixture: NodeFixture) -> None:
    client = fixture.connect()
    assert fixture.node.change_app("1", None) == [
        (client, Code.UNKNOWN_APP, "Application was removed")
    ]


def test_an_app_that_is_switched_off_sends_its_clients_away(fixture: NodeFixture) -> None:
    client = fixture.connect()
    changed = structs.replace(fixture.app, enabled=False)
    assert fixture.node.change_app("1", changed) == [
        (client, Code.APP_DISABLED, "Application disabled")
    ]
    assert rejected(fixture, changed)[0] == Code.APP_DISABLED


def test_a_key_that_is_gone_sends_away_who_came_with_it(fixture: NodeFixture) -> None:
    old, new = fixture.connect(), fixture.connect()
    new.app_key = "new"
    keys = (AppKey(key="new", secret="s"),)
    assert fixture.node.change_app("1", structs.replace(fixture.app, keys=keys)) == [
        (old, Code.UNKNOWN_APP, "App key is no longer valid")
    ]


NEW = AppKey(key="new", secret="s")
NO_LONGER_AUTHORIZED = (Code.RECONNECT, "Authorization is no longer valid")
#: What becomes of the key that signed: it goes, or gets another secret.
WITHOUT_THE_OLD_SECRET = {
    "key gone": (NEW,),
    "secret changed": (NEW, AppKey(key=KEY, secret="another")),
}


@pytest.mark.parametrize("keys", WITHOUT_THE_OLD_SECRET.values(), ids=WITHOUT_THE_OLD_SECRET.keys())
async def test_a_secret_that_is_gone_ends_what_it_signed(
    fixture: NodeFixture, keys: tuple[AppKey, ...]
) -> None:
    """Whoever came with another key, too; they may come back with a proof that holds."""
    private, presence, user = [await fixture.subscriber("private-x") for _ in range(3)]
    await fixture.enter(presence, "1")
    await fixture.sign_in(user, "2")
    for each in (presence, user):
        fixture.unsubscribe(each, "private-x")
    listener, has_left = await fixture.subscriber("c"), await fixture.subscriber("private-x")
    fixture.unsubscribe(has_left, "private-x")
    everybody = (private, presence, user, listener, has_left)
    for each in everybody:
        each.app_key = "new"
    both = (NEW, AppKey(key=KEY, secret=SECRET))
    assert fixture.node.change_app("1", structs.replace(fixture.app, keys=both)) == []
    assert fixture.node.change_app("1", structs.replace(fixture.app, keys=keys)) == [
        (each, *NO_LONGER_AUTHORIZED) for each in (private, presence, user)
    ]


async def test_who_waits_to_be_let_in_is_ended_like_others(fixture: NodeFixture) -> None:
    client = fixture.connect()
    client.app_key = "new"
    fixture.broker.subscribing.close()
    joining = asyncio.create_task(fixture.join(client, "private-x"))
    await fixture.broker.subscribing.reached()
    assert fixture.node.change_app("1", structs.replace(fixture.app, keys=(NEW,))) == [
        (client, *NO_LONGER_AUTHORIZED)
    ]
    fixture.broker.subscribing.open()
    await joining


async def test_a_proof_that_was_renewed_with_another_key_stays(fixture: NodeFixture) -> None:
    """A second subscribe and a second sign-in count by the secret that signed them last."""
    client = await fixture.user("2")
    await fixture.join(client, "private-x")
    client.app_key = "new"
    pair = NEW
    fixture.change(keys=(pair, AppKey(key=KEY, secret=SECRET)))
    proof, data = signed_by(pair, client, "private-x"), '{"id":"2"}'
    await fixture.node.subscriptions.subscribe(client, Subscribe("private-x", proof, None))
    proof = signed_by(pair, client, f":user::{data}")
    await fixture.node.users.sign_in(client, SignIn(proof, data))
    await fixture.join(client, "#server-to-user-2")
    assert fixture.node.change_app("1", structs.replace(fixture.app, keys=(pair,))) == []


def signed_by(pair: AppKey, client: FakeConnection, text: str) -> str:
    return f"{pair.key}:{sign(pair.secret, f'{client.socket_id}:{text}'.encode())}"


def test_a_changed_app_that_nobody_uses_closes_nobody(fixture: NodeFixture) -> None:
    assert fixture.node.change_app("9", fixture.app) == []
    assert fixture.node.change_app("9", None) == []


def test_signals_of_an_app_that_has_no_space_here_are_emitted(fixture: NodeFixture) -> None:
    """A key that another node's death released may settle on a node that never saw the app."""
    fixture.node.on_announced(channels_topic("9"), "a", held=False, announcement="1")
    fixture.node.on_announced(members_topic("9", "presence-x"), "u", held=False, announcement="2")
    fixture.node.on_announced(users_topic("9"), "u", held=False, announcement="3")
    fixture.roster.declare(users_topic("9"), "u", b"")
    fixture.roster.declare(members_topic("9", "presence-x"), "u", b"")
    assert [type(each).__name__ for each in fixture.told()] == [
        "ChannelVacated",
        "MemberRemoved",
        "MemberAdded",
    ]


async def test_apps_do_not_meet(fixture: NodeFixture) -> None:
    other = App(id="2", keys=(AppKey(key="key", secret="secret"),))
    here = await fixture.subscriber("a")
    there = fixture.connect(other)
    await fixture.join(there, "a")
    there.take()
    fixture.publish("a")
    fixture.flush()
    assert (events(here.take()), there.take()) == (["event"], [])
    assert [each.app_id for each in fixture.told(ChannelOccupied)] == ["1", "2"]


async def test_a_tick_tells_what_had_to_wait(fixture: NodeFixture) -> None:
    await fixture.subscriber("cache-x")
    fixture.wait(UNDO_WINDOW)
    fixture.wait(UNDO_WINDOW)
    await fixture.subscriber("cache-x")
    assert len(fixture.told(CacheMissed)) == 1
    fixture.wait(10)
    await fixture.subscriber("cache-x")
    assert len(fixture.told(CacheMissed)) == 2


def test_an_app_that_another_node_has_found_changed_is_passed_on(fixture: NodeFixture) -> None:
    """Also one that nobody uses here: its key may have been asked for in vain."""
    fixture.node.on_message(CONTROL, AppChangedMessage(app_id="far"))
    fixture.node.on_message(CONTROL, AppChangedMessage(app_id="1"))
    assert fixture.changed_elsewhere == ["far", "1"]
