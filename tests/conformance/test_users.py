"""Rows U: sign-in, events to a user, terminate, watchlists (docs/protocol/users.md)."""

import json
from typing import Any

import httpx
import pytest

from tests.conformance.api import Api, accepted
from tests.conformance.client import Client, Frame, connected, unique
from tests.conformance.target import Target
from tests.conformance.test_subscriptions import GOLDEN
from tests.support.signing import channel_auth, user_auth

WATCHLIST = "pusher_internal:watchlist_events"
REJECTED = [case for case in GOLDEN["edge"]["reject"] if case["kind"] == "signin"]


@pytest.mark.parametrize("vector", GOLDEN["signin"], ids=lambda vector: vector["user_data"][:40])
async def test_U1_golden_vector_signs_in(target: Target, vector: dict[str, Any]) -> None:
    """Each golden user_data, signed for the live socket, is answered with the text unchanged."""
    async with connected(target) as client:
        await client.request_sign_in(vector["user_data"])
        frame = await client.expect("pusher:signin_success")
        assert isinstance(frame.data, str)
        assert frame.content["user_data"] == vector["user_data"]


@pytest.mark.parametrize("case", REJECTED, ids=lambda case: case["why"])
async def test_U1_golden_rejects_are_refused(target: Target, case: dict[str, Any]) -> None:
    """Each golden sign-in reject gets error and close 4009."""
    async with connected(target) as client:
        app, data = client.app, case["user_data"]
        auth = None
        if "signed as a channel" in case["why"]:
            auth = channel_auth(app.key, app.secret, client.socket_id, data)
        await client.request_sign_in(data, auth=auth)
        await client.expect_error(4009)
        assert (await client.expect_close())[0] == 4009


async def test_U1_wrong_key_is_refused(target: Target) -> None:
    """A right digest under a foreign key does not sign in."""
    async with connected(target) as client:
        data = '{"id":"1"}'
        auth = user_auth("ffff", client.app.secret, client.socket_id, data)
        await client.request_sign_in(data, auth=auth)
        await client.expect_error(4009)


async def test_U2_own_user_channel_only(target: Target) -> None:
    """#server-to-user-<id> may be subscribed by that user alone."""
    own, other = unique("u"), unique("o")
    async with connected(target) as client:
        await client.request_subscription(f"#server-to-user-{own}", auth="")
        await client.expect_refusal(f"#server-to-user-{own}")
        await client.sign_in(own)
        assert (await client.subscribe(f"#server-to-user-{own}")).data == "{}"
        await client.request_subscription(f"#server-to-user-{other}", auth="")
        await client.expect_refusal(f"#server-to-user-{other}")


async def test_U3_event_to_a_user_reaches_all_its_connections(target: Target, api: Api) -> None:
    """An API event to a user reaches every connection signed in as it, once, subscribed or not."""
    user = unique("u")
    channel = f"#server-to-user-{user}"
    async with connected(target) as one, connected(target) as other, connected(target) as stranger:
        await one.sign_in(user)
        await other.sign_in(user)
        await stranger.sign_in(unique("stranger"))
        await other.subscribe(channel)
        await api.publish(channel, "my-event", '{"hello":1}')
        for client in (one, other):
            frame = await client.expect("my-event", channel)
            assert frame.data == '{"hello":1}'
            await client.expect_nothing()
        await stranger.expect_nothing()
        assert channel not in (await api.read("/channels"))["channels"]


async def test_U4_terminate_closes_the_user_only(target: Target, api: Api) -> None:
    """terminate_connections closes every connection of the user with 4009; the others stay."""
    user = unique("u")
    channel = unique("presence-")
    async with connected(target) as one, connected(target) as other, connected(target) as member:
        await one.sign_in(user)
        await other.sign_in(user)
        await member.join(channel, user)
        accepted(await api.post(f"/users/{user}/terminate_connections", {}))
        for client in (one, other):
            await client.expect_error(4009)
            assert (await client.expect_close())[0] == 4009
        await member.expect_nothing()


async def test_U4_terminate_of_an_unknown_user_succeeds(api: Api) -> None:
    """terminate_connections of a user who is not there succeeds, with an empty body too."""
    path = f"/users/{unique('nobody')}/terminate_connections"
    accepted(await api.post(path, {}))
    accepted(await api.post(path, b""))


async def test_U4b_number_as_user_id_signs_in_as_text(target: Target, api: Api) -> None:
    """Sign-in with {"id":5} succeeds, user_data carries "5", and user events arrive."""
    async with connected(target) as client:
        user = int.from_bytes(client.socket_id.encode()[:4], "big")
        frame = await client.sign_in(user, user_info={"name": "Zoë"})
        user_data = json.loads(frame.content["user_data"])
        assert user_data == {"id": str(user), "user_info": {"name": "Zoë"}}
        await api.publish(f"#server-to-user-{user}", data="x")
        await client.expect("my-event", f"#server-to-user-{user}")


async def test_U5_second_sign_in_as_another_user_is_refused(target: Target, api: Api) -> None:
    """Signing in as somebody else is an error and the first user stays; the same user is fine."""
    first, second = unique("first"), unique("second")
    async with connected(target) as client:
        await client.sign_in(first)
        await client.sign_in(first, user_info=1)
        await client.request_sign_in(json.dumps({"id": second}))
        assert (await client.receive()).event == "pusher:error"
        await api.publish(f"#server-to-user-{second}", "lost")
        await api.publish(f"#server-to-user-{first}", "found")
        await client.expect("found", f"#server-to-user-{first}")


async def test_U5_connection_that_never_signs_in_is_closed(target: Target) -> None:
    """With an authorization timeout an idle stranger gets 4009; who signed in or joined stays."""
    app = target.app("unauthorized")
    async with (
        connected(target, app) as stranger,
        connected(target, app) as user,
        connected(target, app) as subscriber,
    ):
        await user.sign_in("u")
        await subscriber.subscribe(unique("private-"))
        await stranger.subscribe(unique("public-"))
        await stranger.expect_error(4009)
        assert (await stranger.expect_close())[0] == 4009
        await user.expect_nothing()
        await subscriber.expect_nothing()


def events_of(frame: Frame) -> dict[str, list[str]]:
    """A watchlist frame's lists by name."""
    assert isinstance(frame.data, str)
    return {event["name"]: event["user_ids"] for event in frame.content["events"]}


async def expect_watchlist(client: Client) -> dict[str, list[str]]:
    """The next frame, which must be a watchlist frame."""
    frame = await client.expect(WATCHLIST)
    assert "channel" not in frame.raw
    return events_of(frame)


async def test_U6_watchlist_over_the_limit(target: Target) -> None:
    """A watchlist of 101 signs in, then tells 4302; the first 100 are followed, not the last."""
    app = target.app("watchlist")
    watched = [unique("w") for _ in range(101)]
    async with connected(target, app) as watcher:
        await watcher.request_sign_in(json.dumps({"id": unique("me"), "watchlist": watched}))
        await watcher.expect("pusher:signin_success")
        frames = [await watcher.receive(), await watcher.receive()]
        (error,) = [frame for frame in frames if frame.event == "pusher:error"]
        assert error.data["code"] == 4302
        (state,) = [frame for frame in frames if frame.event == WATCHLIST]
        assert events_of(state) == {"offline": watched[:100]}
        async with connected(target, app) as beyond, connected(target, app) as last:
            await beyond.sign_in(watched[100])
            await last.sign_in(watched[99])
            assert await expect_watchlist(watcher) == {"online": [watched[99]]}


async def test_U7_watched_user_comes_and_goes_once(target: Target) -> None:
    """A watched user with two connections is online once, and offline after the last one."""
    app = target.app("watchlist")
    friend, absent = unique("friend"), unique("absent")
    async with connected(target, app) as watcher:
        await watcher.sign_in(unique("me"), watchlist=[friend, absent])
        assert await expect_watchlist(watcher) == {"offline": [friend, absent]}
        async with connected(target, app) as one:
            await one.sign_in(friend)
            assert await expect_watchlist(watcher) == {"online": [friend]}
            async with connected(target, app) as other:
                await other.sign_in(friend)
                await watcher.expect_nothing()
            await watcher.expect_nothing()
        assert await expect_watchlist(watcher) == {"offline": [friend]}
        await watcher.expect_nothing()


async def test_U7_state_at_sign_in_lists_who_is_online(target: Target) -> None:
    """Right after the success comes the present state: online first, then offline."""
    app = target.app("watchlist")
    friend, absent = unique("friend"), unique("absent")
    async with connected(target, app) as one, connected(target, app) as watcher:
        await one.sign_in(friend)
        await watcher.sign_in(unique("me"), watchlist=[absent, friend])
        frame = await watcher.expect(WATCHLIST)
        assert [event["name"] for event in frame.content["events"]] == ["online", "offline"]
        assert events_of(frame) == {"online": [friend], "offline": [absent]}


async def test_U3_user_event_is_validated_like_any_other(
    target: Target, http: httpx.AsyncClient
) -> None:
    """A user channel of an impossible user id is refused by the API."""
    response = await Api(target, target.main, http).post(
        "/events", {"name": "e", "channels": ["#server-to-user-"], "data": "{}"}
    )
    assert response.status_code == 400
