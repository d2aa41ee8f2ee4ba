"""The node: who may come, what observers see, how a changed app takes effect.

docs/decisions.md#state-of-an-app
"""

import asyncio
import logging

import pytest
from msgspec import structs

from pusher_server.app import App, AppKey, AppLimits
from pusher_server.auth.signatures import sign
from pusher_server.interfaces import channels_topic, members_topic, users_topic
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


def rejected(world: NodeFixture, app: App | None = None) -> tuple[int, str]:
    with pytest.raises(ConnectionRejected) as caught:
        world.node.admit(app or world.app)
    return caught.value.code, caught.value.message


def test_an_app_with_room_admits(world: NodeFixture) -> None:
    world.node.admit(world.app)


def test_a_node_that_is_about_to_end_admits_nobody(world: NodeFixture) -> None:
    world.node.draining = True
    assert rejected(world)[0] == Code.OVER_CAPACITY


def test_an_app_that_is_switched_off_admits_nobody() -> None:
    assert rejected(NodeFixture(enabled=False)) == (Code.APP_DISABLED, "Application disabled")


@pytest.mark.parametrize("code", [4004, 4100])
def test_an_app_that_is_full_admits_nobody(code: int) -> None:
    world = NodeFixture(limits={"connections": 2}, over_quota_code=code)
    first = world.connect()
    world.node.admit(world.app)
    world.connect()
    assert rejected(world) == (code, "Application is over connection quota")
    world.drop(first)
    world.node.admit(world.app)


def test_connections_are_told_to_observers(world: NodeFixture) -> None:
    client = world.connect()
    world.node.close(client, 4200, settle=True)
    assert world.signals == [
        ConnectionOpened(app_id="1", socket_id=client.socket_id),
        ConnectionClosed(app_id="1", socket_id=client.socket_id, code=4200),
    ]


async def test_closing_settles_or_not(world: NodeFixture) -> None:
    gone, sent_away = await world.subscriber("a"), await world.subscriber("a")
    world.publish("a")
    world.node.close(gone, 1006, settle=False)
    world.node.close(sent_away, 4200, settle=True)
    world.flush()
    assert (events(gone.take()), events(sent_away.take())) == ([], ["event"])


def test_an_observer_that_fails_hurts_nobody(
    world: NodeFixture, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(signal: Signal) -> None:
        raise RuntimeError("broken")

    later: list[Signal] = []
    world.node.observe(broken)
    world.node.observe(later.append)
    with caplog.at_level(logging.ERROR, "pusher_server.node"):
        world.connect()
    assert later == world.signals
    assert [record.message for record in caplog.records] == ["an observer failed"]


def test_an_observer_may_ask_for_some_kinds_only(world: NodeFixture) -> None:
    """Whoever hears everything still does, whether it came before or after."""
    some: list[Signal] = []
    later: list[Signal] = []
    world.node.observe(some.append, ConnectionClosed)
    world.node.observe(later.append)
    client = world.connect()
    world.drop(client)
    assert [type(each) for each in some] == [ConnectionClosed]
    assert [type(each) for each in later] == [ConnectionOpened, ConnectionClosed]
    assert world.signals == later


def test_a_refusal_is_told_to_observers(world: NodeFixture) -> None:
    client = world.connect()
    world.node.rejected(client, SubscriptionRefused("private-x", "no"))
    assert world.told() == [
        SubscriptionRejected(
            app_id="1",
            channel="private-x",
            socket_id=client.socket_id,
            reason="no",
            kind="AuthError",
        )
    ]


async def test_a_changed_app_counts_from_the_next_action_on(world: NodeFixture) -> None:
    client = await world.subscriber("private-x")
    assert world.node.change_app("1", structs.replace(world.app, client_events="off")) == []
    with pytest.raises(MessageRejected):
        world.client_event(client, "private-x")
    world.change(limits=AppLimits(subscriptions_per_connection=1))
    with pytest.raises(SubscriptionRefused):
        await world.join(client, "a")
    assert "private-x" in client.subscriptions


def test_an_app_that_is_gone_sends_its_clients_away(world: NodeFixture) -> None:
    client = world.connect()
    assert world.node.change_app("1", None) == [
        (client, Code.UNKNOWN_APP, "Application was removed")
    ]


def test_an_app_that_is_switched_off_sends_its_clients_away(world: NodeFixture) -> None:
    client = world.connect()
    changed = structs.replace(world.app, enabled=False)
    assert world.node.change_app("1", changed) == [
        (client, Code.APP_DISABLED, "Application disabled")
    ]
    assert rejected(world, changed)[0] == Code.APP_DISABLED


def test_a_key_that_is_gone_sends_away_who_came_with_it(world: NodeFixture) -> None:
    old, new = world.connect(), world.connect()
    new.app_key = "new"
    keys = (AppKey(key="new", secret="s"),)
    assert world.node.change_app("1", structs.replace(world.app, keys=keys)) == [
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
    world: NodeFixture, keys: tuple[AppKey, ...]
) -> None:
    """Whoever came with another key, too; they may come back with a proof that holds."""
    private, presence, user = [await world.subscriber("private-x") for _ in range(3)]
    await world.enter(presence, "1")
    await world.sign_in(user, "2")
    for each in (presence, user):
        world.unsubscribe(each, "private-x")
    listener, has_left = await world.subscriber("c"), await world.subscriber("private-x")
    world.unsubscribe(has_left, "private-x")
    everybody = (private, presence, user, listener, has_left)
    for each in everybody:
        each.app_key = "new"
    both = (NEW, AppKey(key=KEY, secret=SECRET))
    assert world.node.change_app("1", structs.replace(world.app, keys=both)) == []
    assert world.node.change_app("1", structs.replace(world.app, keys=keys)) == [
        (each, *NO_LONGER_AUTHORIZED) for each in (private, presence, user)
    ]


async def test_who_waits_to_be_let_in_is_ended_like_others(world: NodeFixture) -> None:
    client = world.connect()
    client.app_key = "new"
    world.broker.subscribing.close()
    joining = asyncio.create_task(world.join(client, "private-x"))
    await world.broker.subscribing.reached()
    assert world.node.change_app("1", structs.replace(world.app, keys=(NEW,))) == [
        (client, *NO_LONGER_AUTHORIZED)
    ]
    world.broker.subscribing.open()
    await joining


async def test_a_proof_that_was_renewed_with_another_key_stays(world: NodeFixture) -> None:
    """A second subscribe and a second sign-in count by the secret that signed them last."""
    client = await world.user("2")
    await world.join(client, "private-x")
    client.app_key = "new"
    pair = NEW
    world.change(keys=(pair, AppKey(key=KEY, secret=SECRET)))
    proof, data = signed_by(pair, client, "private-x"), '{"id":"2"}'
    await world.node.subscriptions.subscribe(client, Subscribe("private-x", proof, None))
    proof = signed_by(pair, client, f":user::{data}")
    await world.node.users.sign_in(client, SignIn(proof, data))
    await world.join(client, "#server-to-user-2")
    assert world.node.change_app("1", structs.replace(world.app, keys=(pair,))) == []


def signed_by(pair: AppKey, client: FakeConnection, text: str) -> str:
    return f"{pair.key}:{sign(pair.secret, f'{client.socket_id}:{text}'.encode())}"


def test_a_changed_app_that_nobody_uses_closes_nobody(world: NodeFixture) -> None:
    assert world.node.change_app("9", world.app) == []
    assert world.node.change_app("9", None) == []


def test_signals_of_an_app_that_has_no_space_here_are_emitted(world: NodeFixture) -> None:
    """A key that another node's death released may settle on a node that never saw the app."""
    world.node.on_announced(channels_topic("9"), "a", held=False, announcement="1")
    world.node.on_announced(members_topic("9", "presence-x"), "u", held=False, announcement="2")
    world.node.on_announced(users_topic("9"), "u", held=False, announcement="3")
    world.roster.declare(users_topic("9"), "u", b"")
    world.roster.declare(members_topic("9", "presence-x"), "u", b"")
    assert [type(each).__name__ for each in world.told()] == [
        "ChannelVacated",
        "MemberRemoved",
        "MemberAdded",
    ]


async def test_apps_do_not_meet(world: NodeFixture) -> None:
    other = App(id="2", keys=(AppKey(key="key", secret="secret"),))
    here = await world.subscriber("a")
    there = world.connect(other)
    await world.join(there, "a")
    there.take()
    world.publish("a")
    world.flush()
    assert (events(here.take()), there.take()) == (["event"], [])
    assert [each.app_id for each in world.told(ChannelOccupied)] == ["1", "2"]


async def test_a_tick_tells_what_had_to_wait(world: NodeFixture) -> None:
    await world.subscriber("cache-x")
    world.wait(UNDO_WINDOW)
    world.wait(UNDO_WINDOW)
    await world.subscriber("cache-x")
    assert len(world.told(CacheMissed)) == 1
    world.wait(10)
    await world.subscriber("cache-x")
    assert len(world.told(CacheMissed)) == 2
