"""Rows H7-H10: what the HTTP API tells about channels, users and itself (docs/protocol/http-api.md)."""

from functools import partial

import httpx
import pytest

from tests.conformance.api import Api
from tests.conformance.client import connected, unique
from tests.conformance.target import Target
from tests.support.signing import signed_query
from tests.support.waiting import equals


async def test_H7_info_on_mixed_channels(target: Target, api: Api) -> None:
    """A trigger's info gives the attributes per channel, user_count on presence channels only."""
    public, presence, vacant = unique("a"), unique("presence-"), unique("vacant")
    async with connected(target) as one, connected(target) as other:
        await one.subscribe(public)
        await one.join(presence, "u")
        await other.join(presence, "u")
        ask = partial(api.read, f"/channels/{presence}", "info=subscription_count")
        await equals(ask, {"occupied": True, "subscription_count": 2})
        asked = "subscription_count, user_count,unheard_of"
        answer = await api.publish([public, presence, vacant], info=asked)
    assert answer["channels"] == {
        public: {"subscription_count": 1},
        presence: {"subscription_count": 2, "user_count": 1},
        vacant: {"subscription_count": 0},
    }


async def test_H7_channels_list_with_info(target: Target, api: Api) -> None:
    """GET channels lists occupied channels by prefix, with user_count when asked."""
    prefix = unique("presence-")
    one, other = f"{prefix}-1", f"{prefix}-2"
    async with connected(target) as a, connected(target) as b:
        await a.join(one, "a")
        await b.join(one, "b")
        await b.join(other, "b")
        query = f"filter_by_prefix={prefix}&info=user_count"
        assert await api.read("/channels", query) == {
            "channels": {one: {"user_count": 2}, other: {"user_count": 1}}
        }
        assert await api.read("/channels", f"filter_by_prefix={prefix}") == {
            "channels": {one: {}, other: {}}
        }


async def test_H7_single_channel(target: Target, api: Api) -> None:
    """GET channel tells occupied and the counts asked for; a vacant one is 200 with false and 0."""
    channel = unique("presence-")
    info = "info=user_count,subscription_count"
    async with connected(target) as client:
        await client.join(channel, "u")
        occupied = await api.read(f"/channels/{channel}", info)
        assert occupied == {"occupied": True, "user_count": 1, "subscription_count": 1}
    vacant = unique("presence-")
    expected = {"occupied": False, "user_count": 0, "subscription_count": 0}
    assert await api.read(f"/channels/{vacant}", info) == expected
    assert await api.read(f"/channels/{unique('vacant')}") == {"occupied": False}


async def test_H8_no_channels_is_an_object(target: Target, http: httpx.AsyncClient) -> None:
    """With nothing occupied GET channels answers {"channels":{}}, never a list."""
    api = Api(target, target.main, http)
    prefix = f"filter_by_prefix={unique('nothing')}"
    assert await api.read("/channels", prefix) == {"channels": {}}
    if target.own:
        empty = Api(target, target.app("empty"), http)
        assert await empty.read("/channels") == {"channels": {}}


@pytest.mark.parametrize("query", ["info=user_count", "filter_by_prefix=a&info=user_count"])
async def test_H9_user_count_needs_the_presence_prefix(api: Api, query: str) -> None:
    """GET channels?info=user_count without filter_by_prefix=presence- is a 400."""
    assert (await api.get("/channels", query)).status_code == 400


async def test_H9_user_count_of_a_channel_that_has_none(api: Api) -> None:
    """GET channel?info=user_count of a channel that is not a presence channel is a 400."""
    response = await api.get("/channels/private-a", "info=user_count")
    assert response.status_code == 400
    assert response.headers["content-type"].startswith("text/plain")
    assert response.text.endswith("\n")


async def test_H10_users(target: Target, api: Api) -> None:
    """Users of a private channel are a 400, of a vacant presence channel [], ids are text."""
    assert (await api.get("/channels/private-a/users")).status_code == 400
    assert await api.read(f"/channels/{unique('presence-')}/users") == {"users": []}
    channel = unique("presence-")
    async with connected(target) as one, connected(target) as other:
        await one.join(channel, 1)
        await other.join(channel, "two")
        users = await api.read(f"/channels/{channel}/users")
        assert users == {"users": [{"id": "1"}, {"id": "two"}]}


@pytest.mark.parametrize(
    ("path", "text"),
    [("/", "OK"), ("/ready", "OK"), ("/up", '{"health":"OK"}'), ("/live", None)],
)
async def test_H8_health_routes(
    target: Target, http: httpx.AsyncClient, path: str, text: str | None
) -> None:
    """/, /ready, /up and /live answer 200 to a load balancer, unsigned."""
    target.require_own_config()
    response = await http.get(target.url + path)
    assert response.status_code == 200
    if text is not None:
        assert response.text.strip().replace(" ", "") == text


async def test_H7_connections_are_counted(target: Target, http: httpx.AsyncClient) -> None:
    """GET connections counts all connections of the app."""
    api = Api(target, target.app("empty"), http)
    async with connected(target, target.app("empty")):
        await equals(partial(api.read, "/connections"), {"connections": 1})


async def test_H7_subscription_count_is_told_to_subscribers(target: Target) -> None:
    """With the switch on, all subscribers hear the count after each join and leave."""
    app = target.app("subscription_count")
    channel = unique("counted")
    kind = "pusher_internal:subscription_count"
    async with connected(target, app) as one, connected(target, app) as other:
        await one.subscribe(channel)
        assert (await one.expect(kind, channel)).content == {"subscription_count": 1}
        await other.subscribe(channel)
        for client in (one, other):
            assert (await client.expect(kind, channel)).content == {"subscription_count": 2}
        await other.unsubscribe(channel)
        assert (await one.expect(kind, channel)).content == {"subscription_count": 1}


async def test_H12_deprecated_routes(target: Target, api: Api) -> None:
    """GET channel stats and POST channel events of old libraries still work."""
    target.require_own_config()
    channel = unique("presence-")
    async with connected(target) as client:
        await client.join(channel, "u")
        stats = await api.read(f"/channels/{channel}/stats")
        assert stats == {"occupied": True, "user_count": 1, "connection_count": 1}
        path = f"/apps/{api.app.app_id}/channels/{channel}/events"
        body = b'{"a":1}'
        query = signed_query(api.app.key, api.app.secret, "POST", path, body, "name=old-event")
        response = await api.http.post(f"{target.url}{path}?{query}", content=body)
        assert response.status_code == 202
        assert (await client.expect("old-event", channel)).data == '{"a":1}'
