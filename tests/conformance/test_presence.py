"""Rows S4-S6, S14-S16: members, their info, limits, and who leaves when (docs/protocol/presence.md)."""

import json
from typing import Any

import pytest

from tests.conformance.api import Api
from tests.conformance.client import connected, unique
from tests.conformance.raw_socket import next_message, raw_connected
from tests.conformance.target import Target
from tests.support.frames import TEXT
from tests.support.signing import channel_auth
from tests.support.wire import frame

ADDED = "pusher_internal:member_added"
REMOVED = "pusher_internal:member_removed"


async def test_S4_member_is_added_and_removed_once(target: Target) -> None:
    """A user with two tabs is added once, and removed only when both tabs are gone."""
    channel = unique("presence-")
    async with connected(target) as b:
        await b.join(channel, "b")
        async with connected(target) as a1:
            presence = await a1.join(channel, "a", user_info={"name": "A"})
            assert presence == {
                "ids": ["b", "a"],
                "hash": {"b": None, "a": {"name": "A"}},
                "count": 2,
            }
            added = await b.expect(ADDED, channel)
            assert added.content == {"user_id": "a", "user_info": {"name": "A"}}
            assert isinstance(added.data, str)
            async with connected(target) as a2:
                assert (await a2.join(channel, "a", user_info={"name": "A"}))["count"] == 2
                await a1.expect_nothing()
                await b.expect_nothing()
            # The second tab is gone: the server knows when another join no longer counts it.
            await b.expect_nothing()
            await a1.unsubscribe(channel)
            await a1.expect_nothing()
            removed = await b.expect(REMOVED, channel)
            assert removed.content == {"user_id": "a"}
        await b.expect_nothing()


async def test_S4_joiner_hears_nothing_of_itself(target: Target) -> None:
    """member_added goes to the others only, never to the one who joins."""
    channel = unique("presence-")
    async with connected(target) as client:
        await client.join(channel, "a")
        await client.expect_nothing()


async def test_S4_two_user_ids_on_one_connection_of_two_channels(target: Target) -> None:
    """Membership is per channel: one connection may be different users in different channels."""
    one, other = unique("presence-"), unique("presence-")
    async with connected(target) as client:
        assert (await client.join(one, "x"))["ids"] == ["x"]
        assert (await client.join(other, "y"))["ids"] == ["y"]


async def test_S5_number_and_text_are_the_same_user(target: Target) -> None:
    """user_id 10 and "10" are one member, whose id is the text."""
    channel = unique("presence-")
    async with connected(target) as one, connected(target) as other:
        await one.join(channel, 10)
        presence = await other.join(channel, "10")
        assert presence["ids"] == ["10"]
        assert presence["hash"].keys() == {"10"}
        assert presence["count"] == 1
        await one.expect_nothing()


async def test_S5_big_integers_survive(target: Target) -> None:
    """Integer ids above 2**53 keep every digit."""
    async with connected(target) as client:
        presence = await client.join(unique("presence-"), 9_007_199_254_740_993)
        assert presence["ids"] == ["9007199254740993"]


@pytest.mark.parametrize("user_id", [None, "", True, {}, [], 1.5], ids=repr)
async def test_S5_unusable_user_id_is_refused(target: Target, user_id: Any) -> None:
    """A user_id that is null, empty, a boolean, an object, a list or a fraction is refused."""
    channel = unique("presence-")
    async with connected(target) as client:
        await client.request_subscription(channel, json.dumps({"user_id": user_id}))
        await client.expect_refusal(channel)
        await client.expect_nothing()


@pytest.mark.parametrize("info", [True, [], 0, "", False, {}, None, 1.0, "text"], ids=repr)
async def test_S6_user_info_is_kept_as_it_is(target: Target, info: Any) -> None:
    """user_info of any JSON kind is kept, in the list and in member_added."""
    channel = unique("presence-")
    async with connected(target) as watcher, connected(target) as client:
        await watcher.join(channel, "w")
        presence = await client.join(channel, "u", user_info=info)
        assert repr(presence["hash"]["u"]) == repr(info)
        added = (await watcher.expect(ADDED, channel)).content
        assert repr(added["user_info"]) == repr(info)


async def test_S6_absent_user_info_is_null_in_the_list(target: Target) -> None:
    """Without user_info the hash still has the key, with null; member_added leaves it out."""
    channel = unique("presence-")
    async with connected(target) as watcher, connected(target) as client:
        await watcher.join(channel, "w")
        presence = await client.join(channel, "u")
        assert presence["hash"] == {"w": None, "u": None}
        assert (await watcher.expect(ADDED, channel)).content == {"user_id": "u"}


async def test_S14_a_full_channel_refuses_new_members_only(target: Target) -> None:
    """Member 101 is refused with LimitReached; a second tab of a present member is let in."""
    app = target.app("members_100")
    channel = unique("presence-")
    async with connected(target, app) as extra:
        sockets = [connected(target, app) for _ in range(100)]
        clients = [await socket.__aenter__() for socket in sockets]
        try:
            for number, client in enumerate(clients):
                presence = await client.join(channel, f"user-{number}")
            assert presence["count"] == 100
            await extra.request_subscription(channel, '{"user_id":"user-100"}')
            refusal = await extra.expect_refusal(channel)
            assert (refusal["type"], refusal["status"]) == ("LimitReached", 4100)
            assert (await extra.join(channel, "user-7"))["count"] == 100
        finally:
            for socket in sockets:
                await socket.__aexit__(None, None, None)


async def test_S14_member_data_over_the_limit_is_refused(target: Target) -> None:
    """channel_data over the limit (Strict: 1 kB) is refused with LimitReached, status 4301."""
    app = target.app("strict")
    async with connected(target, app) as client:
        channel = unique("presence-")
        await client.join(channel, "u", user_info="x" * 900)
        await client.unsubscribe(channel)
        member = json.dumps({"user_id": "u", "user_info": "x" * 1_100})
        await client.request_subscription(channel, member)
        frame = await client.receive()
        assert frame.event in {"pusher:error", "pusher:subscription_error"}
        await client.expect_nothing()


async def test_S15_dropped_tcp_removes_the_member(target: Target) -> None:
    """When a connection drops without a close frame, the others get member_removed."""
    channel = unique("presence-")
    app = target.main
    async with connected(target) as watcher, raw_connected(target, app) as socket:
        await watcher.join(channel, "w")
        socket_id = (await next_message(socket)).content["socket_id"]
        member = '{"user_id":"u"}'
        auth = channel_auth(app.key, app.secret, socket_id, channel, member)
        data = {"auth": auth, "channel_data": member, "channel": channel}
        await socket.send(
            frame(TEXT, json.dumps({"event": "pusher:subscribe", "data": data}).encode())
        )
        await next_message(socket)
        await watcher.expect(ADDED, channel)
        socket.cut()
        assert (await watcher.expect(REMOVED, channel)).content == {"user_id": "u"}


async def test_S16_signed_in_user_joins_without_channel_data(target: Target) -> None:
    """A signed-in connection may join a presence channel without channel_data, as its user."""
    channel = unique("presence-")
    async with connected(target) as client:
        await client.sign_in("u-1", user_info={"name": "A"})
        presence = (await client.subscribe(channel)).content["presence"]
        assert presence["hash"] == {"u-1": {"name": "A"}}


async def test_S16_channel_data_wins_over_the_sign_in(target: Target) -> None:
    """When both are there, channel_data says who joins."""
    channel = unique("presence-")
    async with connected(target) as client:
        await client.sign_in("u-1")
        assert (await client.join(channel, "u-2"))["ids"] == ["u-2"]


async def test_S16_without_sign_in_or_channel_data_is_refused(target: Target) -> None:
    """A presence channel without channel_data and without sign-in is refused."""
    channel = unique("presence-")
    async with connected(target) as client:
        await client.request_subscription(channel)
        await client.expect_refusal(channel)
        await client.expect_nothing()


async def test_S4_last_user_info_wins_for_later_joiners(target: Target, api: Api) -> None:
    """Another user_info on a later tab replaces the earlier one, without a broadcast."""
    channel = unique("presence-")
    async with connected(target) as one, connected(target) as two, connected(target) as late:
        await one.join(channel, "u", user_info="old")
        await two.join(channel, "u", user_info="new")
        await one.expect_nothing()
        assert (await late.join(channel, "late"))["hash"]["u"] == "new"
        users = await api.read(f"/channels/{channel}/users")
        assert users == {"users": [{"id": "u"}, {"id": "late"}]}
