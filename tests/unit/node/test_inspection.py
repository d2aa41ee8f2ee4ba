"""Read-only questions: this node's numbers exactly, the other nodes' from the roster."""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import ClassVar

import pytest

from pusher_server.app import App
from pusher_server.cluster.local import LocalCensus
from pusher_server.errors import ClusterUnavailable
from pusher_server.interfaces import Topic, channels_topic
from pusher_server.node.inspection import Inspection
from tests.support.node import NodeFixture


async def channels(inspection: Inspection, app: App, prefix: str = "") -> dict[str, int]:
    """All pages of the occupied channels."""
    pages = inspection.channels(app, prefix)
    return {name: count async for page in pages for name, count in page.items()}


async def members(inspection: Inspection, app: App, name: str) -> list[tuple[str, bytes]]:
    """All pages of a presence channel's members."""
    return [member async for page in inspection.members(app, name) for member in page]


async def test_an_app_that_nobody_uses(world: NodeFixture) -> None:
    inspection = world.node.inspection
    assert await channels(inspection, world.app) == {}
    assert await inspection.subscription_counts(world.app, ["a"]) == {"a": 0}
    assert await inspection.user_counts(world.app, ["presence-x"]) == {"presence-x": 0}
    assert await members(inspection, world.app, "presence-x") == []
    assert await inspection.cached(world.app, "cache-x") is None
    assert await inspection.connections(world.app) == 0


async def test_occupied_channels_with_their_subscriptions(world: NodeFixture) -> None:
    await world.subscriber("a")
    client = await world.subscriber("a")
    await world.join(client, "presence-x", '{"user_id":"1"}')
    await world.user("5")
    inspection = world.node.inspection
    assert await channels(inspection, world.app) == {"a": 2, "presence-x": 1}
    assert await channels(inspection, world.app, "presence-") == {"presence-x": 1}
    assert await inspection.subscription_counts(world.app, iter(["a", "b"])) == {"a": 2, "b": 0}
    assert await inspection.connections(world.app) == 3
    world.unsubscribe(client, "a")
    world.drop(client)
    assert await channels(inspection, world.app) == {"a": 1}
    assert await inspection.connections(world.app) == 2


async def test_users_are_counted_once(world: NodeFixture) -> None:
    for user_id in ("b", "a", "b"):
        await world.insider(user_id, {"n": user_id})
    inspection = world.node.inspection
    assert await inspection.user_counts(world.app, ["presence-x"]) == {"presence-x": 2}
    assert await members(inspection, world.app, "presence-x") == [
        ("b", b'{"n": "b"}'),
        ("a", b'{"n": "a"}'),
    ]


async def test_the_last_event_of_a_cache_channel(world: NodeFixture) -> None:
    world.publish("cache-x", data="1")
    world.clock.advance(100)
    cached = await world.node.inspection.cached(world.app, "cache-x")
    assert cached is not None
    assert (cached.data, cached.ttl) == (b'"1"', 1_700)


async def test_what_others_hold_is_added_to_what_is_here(world: NodeFixture) -> None:
    """The roster's word for this node is not used: the hub knows better."""

    class SharedRoster(type(world.roster)):  # type: ignore[misc]
        held: ClassVar = {"a": {"node": b"99", "far": b"3", "farther": b"4"}, "b": {"far": b"1"}}

        async def scan(
            self, topic: Topic, prefix: str = ""
        ) -> AsyncIterator[Mapping[str, Mapping[str, bytes]]]:
            assert topic == channels_topic("1")
            yield self.held

        async def lookup(
            self, topic: Topic, keys: Iterable[str]
        ) -> Mapping[str, Mapping[str, bytes]]:
            return {key: self.held[key] for key in keys if key in self.held}

    await world.subscriber("a")
    roster = SharedRoster(world.clock)
    inspection = Inspection(
        "node", world.node.hub, world.broker, roster, LocalCensus(world.node.connections_here)
    )
    assert await channels(inspection, world.app) == {"a": 8, "b": 1}
    assert await inspection.subscription_counts(world.app, ["a", "c"]) == {"a": 8, "c": 0}


async def test_a_roster_that_is_away_is_an_error(world: NodeFixture) -> None:
    world.roster.asking.is_away = True
    with pytest.raises(ClusterUnavailable):
        await world.node.inspection.subscription_counts(world.app, ["a"])
