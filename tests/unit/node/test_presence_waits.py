"""Presence joins that have to wait for the cluster: what may happen meanwhile.

ARCHITECTURE.md#subscribing-to-a-presence-channel, docs/decisions.md#order-within-a-connection.
"""

import asyncio

import pytest

from pusher_server.errors import ClusterUnavailable
from pusher_server.interfaces import members_topic
from tests.support.node import NodeFixture, events
from tests.unit.node.test_presence import TOPIC, members


async def test_two_users_may_wait_for_the_same_list(world: NodeFixture) -> None:
    world.roster.asking.close()
    clients = [world.connect(), world.connect()]
    joining = [
        asyncio.create_task(world.enter(client, user_id))
        for client, user_id in zip(clients, "ab", strict=True)
    ]
    await world.roster.asking.reached()
    await asyncio.sleep(0)
    world.roster.asking.open()
    await asyncio.gather(*joining)
    late = world.connect()
    await world.enter(late, "c")
    assert members(late.take()[0]) == {"a": None, "b": None, "c": None}
    seen = [client.take() for client in clients]
    assert [
        members(first).keys() | {m["data"]["user_id"] for m in later} for first, *later in seen
    ] == [{"a", "b", "c"}] * 2


async def test_who_waits_learns_of_others_from_its_list_only(world: NodeFixture) -> None:
    """Joined while this one waited: in the list, and no `member_added` besides.

    docs/decisions.md#members-from-the-replica
    """
    world.roster.tracking.close()
    slow = world.connect()
    joining = asyncio.create_task(world.enter(slow, "a"))
    await world.roster.tracking.reached()
    quick = world.connect()
    world.roster.tracking.open()
    await world.enter(quick, "b")
    await joining
    for client in (slow, quick):
        assert [members(each) for each in client.take()] == [{"a": None, "b": None}]


async def test_two_connections_of_a_user_may_join_at_the_same_time(world: NodeFixture) -> None:
    other = await world.insider("b")
    world.roster.tracking.close()
    tabs = [world.connect(), world.connect()]
    joining = [asyncio.create_task(world.enter(tab, "a")) for tab in tabs]
    await world.roster.tracking.reached()
    await asyncio.sleep(0)
    world.roster.tracking.open()
    await asyncio.gather(*joining)
    assert [members(tab.take()[0]) for tab in tabs] == [{"b": None, "a": None}] * 2
    assert events(other.take()) == ["member_added"]


@pytest.mark.parametrize("how", ["unsubscribe", "close"])
@pytest.mark.parametrize("where", ["bus", "snapshot", "track"])
async def test_who_leaves_while_joining_is_a_member_of_nothing(
    world: NodeFixture, where: str, how: str
) -> None:
    """Wherever it waits: what it asks for after it has left would never be taken back."""
    gate = {
        "bus": world.broker.subscribing,
        "snapshot": world.roster.asking,
        "track": world.roster.tracking,
    }[where]
    gate.close()
    client = world.connect()
    joining = asyncio.create_task(world.enter(client, "a"))
    await gate.reached()
    if how == "close":
        world.drop(client)
    else:
        world.unsubscribe(client, "presence-x")
    gate.open()
    await joining
    assert client.take() == []
    assert await world.roster.count(TOPIC) == 0
    assert world.roster.followed == []


async def test_a_waiting_tab_keeps_its_user_in_when_the_first_one_leaves(
    world: NodeFixture,
) -> None:
    name = "presence-cache-x"
    first, second, other = world.connect(), world.connect(), world.connect()
    await world.enter(first, "a", channel=name)
    await world.enter(other, "b", channel=name)
    other.take()
    world.broker.caching.close()
    joining = asyncio.create_task(world.enter(second, "a", channel=name))
    await world.broker.caching.reached()
    world.unsubscribe(first, name)
    world.broker.caching.open()
    await joining
    assert members(second.take()[0]) == {"a": None, "b": None}
    assert other.take() == []
    assert await world.roster.count(members_topic("1", name)) == 2


async def test_a_join_without_the_roster_is_a_passing_fault_and_leaves_no_trace(
    world: NodeFixture,
) -> None:
    world.roster.asking.is_away = True
    client = world.connect()
    with pytest.raises(ClusterUnavailable):
        await world.enter(client, "a")
    assert client.subscriptions == {}
    world.roster.asking.is_away = False
    await world.enter(client, "a")
    assert members(client.take()[0]) == {"a": None}


async def test_transitions_of_a_channel_that_nobody_here_follows_reach_nobody(
    world: NodeFixture,
) -> None:
    world.roster.declare(members_topic("1", "presence-y"), "a", b"")
    world.roster.asking.close()
    client = world.connect()
    joining = asyncio.create_task(world.enter(client, "b"))
    await world.roster.asking.reached()
    world.roster.declare(TOPIC, "a", b"")  # before its snapshot, which will contain it
    world.flush()
    world.roster.asking.open()
    await joining
    assert [members(each) for each in client.take()] == [{"a": None, "b": None}]
