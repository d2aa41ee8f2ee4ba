"""Presence joins that have to wait for the cluster: what may happen meanwhile.

ARCHITECTURE.md#subscribing-to-a-presence-channel, docs/decisions.md#order-within-a-connection.
"""

import asyncio

import pytest

from pusher_server.errors import ClusterUnavailable
from pusher_server.interfaces import members_topic
from tests.support.node import NodeFixture, events
from tests.unit.node.test_presence import TOPIC, members


async def test_two_users_may_wait_for_the_same_list(fixture: NodeFixture) -> None:
    fixture.roster.asking.close()
    clients = [fixture.connect(), fixture.connect()]
    joining = [
        asyncio.create_task(fixture.enter(client, user_id))
        for client, user_id in zip(clients, "ab", strict=True)
    ]
    await fixture.roster.asking.reached()
    await asyncio.sleep(0)
    fixture.roster.asking.open()
    await asyncio.gather(*joining)
    late = fixture.connect()
    await fixture.enter(late, "c")
    assert members(late.take()[0]) == {"a": None, "b": None, "c": None}
    seen = [client.take() for client in clients]
    assert [
        members(first).keys() | {m["data"]["user_id"] for m in later} for first, *later in seen
    ] == [{"a", "b", "c"}] * 2


async def test_who_waits_learns_of_others_from_its_list_only(fixture: NodeFixture) -> None:
    """Joined while this one waited: in the list, and no `member_added` besides.

    docs/decisions.md#members-from-the-replica
    """
    fixture.roster.tracking.close()
    slow = fixture.connect()
    joining = asyncio.create_task(fixture.enter(slow, "a"))
    await fixture.roster.tracking.reached()
    quick = fixture.connect()
    fixture.roster.tracking.open()
    await fixture.enter(quick, "b")
    await joining
    for client in (slow, quick):
        assert [members(each) for each in client.take()] == [{"a": None, "b": None}]


async def test_two_connections_of_a_user_may_join_at_the_same_time(fixture: NodeFixture) -> None:
    other = await fixture.insider("b")
    fixture.roster.tracking.close()
    tabs = [fixture.connect(), fixture.connect()]
    joining = [asyncio.create_task(fixture.enter(tab, "a")) for tab in tabs]
    await fixture.roster.tracking.reached()
    await asyncio.sleep(0)
    fixture.roster.tracking.open()
    await asyncio.gather(*joining)
    assert [members(tab.take()[0]) for tab in tabs] == [{"b": None, "a": None}] * 2
    assert events(other.take()) == ["member_added"]


@pytest.mark.parametrize("how", ["unsubscribe", "close"])
@pytest.mark.parametrize("where", ["bus", "snapshot", "track"])
async def test_who_leaves_while_joining_is_a_member_of_nothing(
    fixture: NodeFixture, where: str, how: str
) -> None:
    """Wherever it waits: what it asks for after it has left would never be taken back."""
    gate = {
        "bus": fixture.broker.subscribing,
        "snapshot": fixture.roster.asking,
        "track": fixture.roster.tracking,
    }[where]
    gate.close()
    client = fixture.connect()
    joining = asyncio.create_task(fixture.enter(client, "a"))
    await gate.reached()
    if how == "close":
        fixture.drop(client)
    else:
        fixture.unsubscribe(client, "presence-x")
    gate.open()
    await joining
    assert client.take() == []
    assert await fixture.roster.count(TOPIC) == 0
    assert fixture.roster.followed == []


async def test_a_waiting_tab_keeps_its_user_in_when_the_first_one_leaves(
    fixture: NodeFixture,
) -> None:
    name = "presence-cache-x"
    first, second, other = fixture.connect(), fixture.connect(), fixture.connect()
    await fixture.enter(first, "a", channel=name)
    await fixture.enter(other, "b", channel=name)
    other.take()
    fixture.broker.caching.close()
    joining = asyncio.create_task(fixture.enter(second, "a", channel=name))
    await fixture.broker.caching.reached()
    fixture.unsubscribe(first, name)
    fixture.broker.caching.open()
    await joining
    assert members(second.take()[0]) == {"a": None, "b": None}
    assert other.take() == []
    assert await fixture.roster.count(members_topic("1", name)) == 2


async def test_a_join_without_the_roster_is_a_passing_fault_and_leaves_no_trace(
    fixture: NodeFixture,
) -> None:
    fixture.roster.asking.is_away = True
    client = fixture.connect()
    with pytest.raises(ClusterUnavailable):
        await fixture.enter(client, "a")
    assert client.subscriptions == {}
    fixture.roster.asking.is_away = False
    await fixture.enter(client, "a")
    assert members(client.take()[0]) == {"a": None}


async def test_transitions_of_a_channel_that_nobody_here_follows_reach_nobody(
    fixture: NodeFixture,
) -> None:
    fixture.roster.declare(members_topic("1", "presence-y"), "a", b"")
    fixture.roster.asking.close()
    client = fixture.connect()
    joining = asyncio.create_task(fixture.enter(client, "b"))
    await fixture.roster.asking.reached()
    fixture.roster.declare(TOPIC, "a", b"")  # before its snapshot, which will contain it
    fixture.flush()
    fixture.roster.asking.open()
    await joining
    assert [members(each) for each in client.take()] == [{"a": None, "b": None}]
