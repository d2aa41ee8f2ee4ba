"""Read-only questions: this node's numbers exactly, the other nodes' from the roster."""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import ClassVar

import pytest
from msgspec import structs

from pusher_server.app import App
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


async def test_an_app_that_nobody_uses(fixture: NodeFixture) -> None:
    inspection = fixture.node.inspection
    assert await channels(inspection, fixture.app) == {}
    assert await inspection.subscription_counts(fixture.app, ["a"]) == {"a": 0}
    assert await inspection.user_counts(fixture.app, ["presence-x"]) == {"presence-x": 0}
    assert await members(inspection, fixture.app, "presence-x") == []
    assert await inspection.cached(fixture.app, "cache-x") is None
    assert await inspection.connections(fixture.app) == 0


async def test_occupied_channels_with_their_subscriptions(fixture: NodeFixture) -> None:
    await fixture.subscriber("a")
    client = await fixture.subscriber("a")
    await fixture.join(client, "presence-x", '{"user_id":"1"}')
    await fixture.user("5")
    inspection = fixture.node.inspection
    assert await channels(inspection, fixture.app) == {"a": 2, "presence-x": 1}
    assert await channels(inspection, fixture.app, "presence-") == {"presence-x": 1}
    assert await inspection.subscription_counts(fixture.app, iter(["a", "b"])) == {"a": 2, "b": 0}
    assert await inspection.connections(fixture.app) == 3
    fixture.unsubscribe(client, "a")
    fixture.drop(client)
    assert await channels(inspection, fixture.app) == {"a": 1}
    assert await inspection.connections(fixture.app) == 2


async def test_users_are_counted_once(fixture: NodeFixture) -> None:
    for user_id in ("b", "a", "b"):
        await fixture.insider(user_id, {"n": user_id})
    inspection = fixture.node.inspection
    assert await inspection.user_counts(fixture.app, ["presence-x"]) == {"presence-x": 2}
    assert await members(inspection, fixture.app, "presence-x") == [
        ("b", b'{"n": "b"}'),
        ("a", b'{"n": "a"}'),
    ]


async def test_the_last_event_of_a_cache_channel(fixture: NodeFixture) -> None:
    fixture.publish("cache-x", data="1")
    fixture.clock.advance(100)
    cached = await fixture.node.inspection.cached(fixture.app, "cache-x")
    assert cached is not None
    assert (cached.data, cached.ttl) == (b'"1"', 1_700)


async def test_what_others_hold_is_added_to_what_is_here(fixture: NodeFixture) -> None:
    """The roster's word for this node is not used: the hub knows better."""

    class SharedRoster(type(fixture.roster)):  # type: ignore[misc]
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

    await fixture.subscriber("a")
    roster = SharedRoster(fixture.clock)
    inspection = Inspection(structs.replace(fixture.parts, roster=roster))
    assert await channels(inspection, fixture.app) == {"a": 8, "b": 1}
    assert await inspection.subscription_counts(fixture.app, ["a", "c"]) == {"a": 8, "c": 0}


async def test_a_roster_that_is_away_is_an_error(fixture: NodeFixture) -> None:
    fixture.roster.asking.is_away = True
    with pytest.raises(ClusterUnavailable):
        await fixture.node.inspection.subscription_counts(fixture.app, ["a"])
