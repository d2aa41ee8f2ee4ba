"""Rows S1-S3, S10-S13: subscribing, refusals, channel names (docs/protocol/subscriptions.md)."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.api import Api
from tests.conformance.client import Client, Frame, connected, unique
from tests.conformance.target import Target
from tests.support.signing import channel_auth, user_auth
from tests.support.waiting import equals

GOLDEN = json.loads((Path(__file__).parents[1] / "golden_vectors.json").read_text("utf-8"))
ACCEPTED = GOLDEN["private"] + GOLDEN["presence"]
REJECTED = [case for case in GOLDEN["edge"]["reject"] if case["kind"] in {"private", "presence"}]


async def test_S1_public_subscription_succeeds(target: Target) -> None:
    """A public channel is joined with auth:"" and answers success with data "{}"."""
    async with connected(target) as client:
        frame = await client.subscribe(unique("my-channel"))
        assert frame.data == "{}"


async def test_S1_auth_on_a_public_channel_is_ignored(target: Target) -> None:
    """On a public channel auth is not looked at, whether wrong or absent."""
    async with connected(target) as client:
        wrong, absent = unique("a"), unique("b")
        await client.request_subscription(wrong, auth="nonsense")
        await client.expect("pusher_internal:subscription_succeeded", wrong)
        await client.send("pusher:subscribe", data={"channel": absent})
        await client.expect("pusher_internal:subscription_succeeded", absent)


@pytest.mark.parametrize("vector", ACCEPTED, ids=lambda vector: vector["string_to_sign"][:60])
async def test_S2_golden_vector_is_accepted(target: Target, vector: dict[str, Any]) -> None:
    """Each golden channel and channel_data, signed for the live socket, is let in unchanged."""
    async with connected(target) as client:
        frame = await client.subscribe(vector["channel"], vector["channel_data"])
        if not vector["channel"].startswith("presence-"):
            assert frame.data == "{}"
            return
        presence = frame.content["presence"]
        assert vector["expected_user_id"] in presence["ids"]
        assert presence["hash"][vector["expected_user_id"]] == vector["expected_user_info"]
        assert presence["count"] == len(presence["ids"]) == len(presence["hash"])


async def test_S2_captured_frames_of_pusher_js_are_accepted(target: Target) -> None:
    """Each frame captured from pusher-js, with the live signatures put in, does what it asks."""
    async with connected(target) as client:
        frames = [json.loads(text) for text in GOLDEN["client_frames"]["frames"]]
        # The capture is sorted by kind; a user channel needs the sign-in first.
        frames.sort(key=lambda frame: frame["event"] != "pusher:signin")
        for frame in frames:
            data = frame.get("data")
            if frame["event"] == "pusher:signin":
                app, text = client.app, data["user_data"]
                data["auth"] = user_auth(app.key, app.secret, client.socket_id, text)
            elif frame["event"] == "pusher:subscribe" and data["auth"]:
                data["auth"] = client.auth(data["channel"], data.get("channel_data"))
            await client.send_text(json.dumps(frame, separators=(",", ":")))
        subscribed = "pusher_internal:subscription_succeeded"
        channels = ["my-channel", "private-foobar", "presence-foobar", "#server-to-user-12345"]
        expected = {
            ("pusher:signin_success", None),
            ("pusher:pong", None),
            *((subscribed, channel) for channel in channels),
        }
        # Only what belongs to one channel has an order: in a cluster a subscription may have to wait, and one
        # that was given up meanwhile is not confirmed any more. The capture gives up the first.
        required = expected - ({(subscribed, "my-channel")} if target.is_cluster else set())
        received: list[tuple[str, str | None]] = []
        while not required <= set(received):
            received.append(_told(await client.receive()))
        assert len(received) == len(set(received))
        assert set(received) <= expected
        await client.expect_nothing()


def _told(frame: Frame) -> tuple[str, str | None]:
    return frame.event, frame.channel


def mutated_auth(case: dict[str, Any], client: Client) -> str:
    """The same fault that the golden vector has, with the live socket_id and app."""
    app, channel, data = client.app, case["channel"], case.get("channel_data")
    right = client.auth(channel, data)
    why = case["why"]
    if why == "signed with another secret":
        return channel_auth(app.key, "another", client.socket_id, channel, data)
    if why == "signed for another channel":
        return client.auth("private-foobar")
    if why == "signed for another socket":
        return channel_auth(app.key, app.secret, client.socket_id + "1", channel, data)
    if why == "right digest, foreign key part":
        return f"{'f' * len(app.key)}:{right.partition(':')[2]}"
    if why == "no key part":
        return right.partition(":")[2]
    if why == "empty auth":
        return ""
    if why == "channel_data present in the frame but not signed":
        return client.auth(channel)
    if "(signature is right)" in why:
        return right
    # The rest differ from a golden text by re-serialisation: sign that text, send the other.
    meaning = json.loads(str(data))
    signed = next(
        vector for vector in ACCEPTED if json.loads(vector["channel_data"] or "0") == meaning
    )
    return client.auth(channel, signed["channel_data"])


@pytest.mark.parametrize("case", REJECTED, ids=lambda case: case["why"])
async def test_S3_golden_rejects_are_refused(target: Target, case: dict[str, Any]) -> None:
    """Each golden reject case gets subscription_error, no success, and the connection stays."""
    async with connected(target) as client:
        channel = case["channel"]
        auth = mutated_auth(case, client)
        await client.request_subscription(channel, case.get("channel_data"), auth=auth)
        refusal = await client.expect_refusal(channel)
        assert refusal["status"] in range(400, 500) or refusal["status"] >= 4000
        assert client.app.secret not in json.dumps(refusal)
        await client.expect_nothing()


async def test_S3_channel_data_must_be_text(target: Target) -> None:
    """channel_data as an object, not a string, is refused."""
    async with connected(target) as client:
        channel = unique("presence-")
        data = {"auth": client.auth(channel), "channel_data": {"user_id": "1"}, "channel": channel}
        await client.send("pusher:subscribe", data=data)
        await client.expect_refusal(channel)
        await client.expect_nothing()


async def test_S3_upper_case_digest_is_refused(target: Target) -> None:
    """The hex digest is compared in lower case."""
    async with connected(target) as client:
        channel = unique("private-")
        key, _, digest = client.auth(channel).partition(":")
        await client.request_subscription(channel, auth=f"{key}:{digest.upper()}")
        await client.expect_refusal(channel)


async def test_S3_strict_refusal_is_pusher_error(target: Target) -> None:
    """Under Strict a refusal is Pusher's own pusher:error with code null."""
    async with connected(target, target.app("strict")) as client:
        await client.request_subscription(unique("private-"), auth="")
        await client.expect_error(None)
        await client.expect_nothing()


async def test_S10_double_subscribe_succeeds_twice(target: Target, api: Api) -> None:
    """Subscribing again gives success again, no second member_added, and counts once."""
    channel = unique("presence-twice")
    async with connected(target) as watcher, connected(target) as client:
        await watcher.join(channel, "watcher")
        await client.join(channel, "u1")
        await watcher.expect("pusher_internal:member_added", channel)
        presence = await client.join(channel, "u1")
        assert presence["ids"] == ["watcher", "u1"]
        await watcher.expect_nothing()
        ask = partial(api.read, f"/channels/{channel}", "info=subscription_count,user_count")
        await equals(ask, {"occupied": True, "subscription_count": 2, "user_count": 2})


async def test_S10_double_subscribe_receives_once(target: Target, api: Api) -> None:
    """A twice subscribed connection gets each event once, and one unsubscribe ends it."""
    channel = unique("twice")
    async with connected(target) as client:
        await client.subscribe(channel)
        await client.subscribe(channel)
        await api.publish(channel)
        await client.expect("my-event", channel)
        await client.expect_nothing()
        await client.unsubscribe(channel)
        await client.expect_nothing()
        await api.publish(channel)
        await client.expect_nothing()


async def test_S10_double_subscribe_as_another_user_is_refused(target: Target) -> None:
    """Subscribing again under another user_id is refused; the first membership stays."""
    channel = unique("presence-")
    async with connected(target) as client:
        await client.join(channel, "u1")
        await client.request_subscription(channel, '{"user_id":"u2"}')
        await client.expect_refusal(channel)
        assert (await client.join(channel, "u1"))["ids"] == ["u1"]


async def test_S10_strict_double_subscribe_is_an_error(target: Target) -> None:
    """Under Strict a second subscribe gets Pusher's error, code null."""
    channel = unique("twice")
    async with connected(target, target.app("strict")) as client:
        await client.subscribe(channel)
        await client.request_subscription(channel)
        frame = await client.expect_error(None)
        assert frame.data["message"] == f"Existing subscription to channel {channel}"


async def test_S11_unsubscribe_unknown_is_silent(target: Target) -> None:
    """Leaving a channel that was never joined, as Echo's leave() does, says nothing."""
    async with connected(target) as client:
        for name in ("a", "private-a", "presence-a", "private-encrypted-a"):
            await client.unsubscribe(name)
        await client.expect_nothing()


async def test_S11_unsubscribed_client_gets_no_more(target: Target, api: Api) -> None:
    """After an unsubscribe no event arrives, and there is no acknowledgement."""
    channel = unique("left-")
    async with connected(target) as client:
        await client.subscribe(channel)
        await client.unsubscribe(channel)
        await client.expect_nothing()
        await api.publish(channel)
        await client.expect_nothing()
        assert await api.read(f"/channels/{channel}") == {"occupied": False}


@pytest.mark.parametrize(
    "name", ["my-private-x", "xpresence-", "privateers", "cachex", "presences"]
)
async def test_S12_prefixes_are_anchored(target: Target, name: str) -> None:
    """Names that merely contain or resemble a prefix are public channels."""
    async with connected(target) as client:
        await client.request_subscription(name, auth="")
        frame = await client.expect("pusher_internal:subscription_succeeded", name)
        assert frame.data == "{}"
        await client.expect_nothing()


@pytest.mark.parametrize(
    "name",
    ["with space", "#", "#other", "a#b", "a/b", "a:b", "ünï", "", "x" * 201, "a\n"],
    ids=lambda name: repr(name[:12]),
)
async def test_S13_bad_channel_name_is_refused(target: Target, name: str) -> None:
    """A name with a space, a #, other foreign characters, or 201 characters is refused."""
    async with connected(target) as client:
        await client.request_subscription(name, auth="")
        await client.expect_refusal(name)
        await client.expect_nothing()


async def test_S13_longest_channel_name_is_accepted(target: Target) -> None:
    """A name of 200 characters from the whole alphabet is accepted."""
    async with connected(target) as client:
        await client.subscribe("Az09-_=@,.;" + "x" * 189)


@pytest.mark.parametrize("channel", [None, 5, ["a"], {"a": 1}], ids=repr)
async def test_S13_channel_that_is_no_text_is_refused(target: Target, channel: object) -> None:
    """A channel that is missing or not a string is an error, and the connection stays."""
    async with connected(target) as client:
        await client.send("pusher:subscribe", data={"auth": "", "channel": channel})
        frame = await client.receive()
        assert frame.event in {"pusher:subscription_error", "pusher:error"}
        await client.expect_nothing()
