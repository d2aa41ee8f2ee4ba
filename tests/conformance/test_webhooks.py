"""Rows W1 to W5: what the backend is told, and how it can be sure of it."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pusher  # type: ignore[import-untyped]  # it ships no types
import pytest

from tests.conformance.client import connected, unique
from tests.conformance.official.driver import driver
from tests.conformance.official.java_library import java_library
from tests.conformance.target import (
    CHOSEN,
    EVERYTHING,
    UNDO_WINDOW,
    WEBHOOK_PORT,
    Credentials,
    Target,
)
from tests.support.signing import sign
from tests.support.webhook_target import Request, WebhookTarget, with_status

Event = dict[str, Any]


@pytest.fixture
def app(target: Target) -> Credentials:
    """The app that has webhooks."""
    return target.app("webhooks")


@pytest.fixture
async def hooks(app: Credentials) -> AsyncIterator[WebhookTarget]:
    """Where they go. What earlier tests have caused may still come, about other channels."""
    async with WebhookTarget(port=WEBHOOK_PORT) as target:
        yield target


def about(hooks: WebhookTarget, channel: str, path: str = EVERYTHING) -> list[Request]:
    """The requests that came to this path with an event of the channel."""
    return [
        request
        for request in hooks.requests
        if request.line == f"POST {path} HTTP/1.1"
        and any(event["channel"] == channel for event in request.events)
    ]


def events(hooks: WebhookTarget, channel: str, path: str = EVERYTHING) -> list[Event]:
    """Those events, in order; without counts, which have a test of their own."""
    return [
        event
        for request in about(hooks, channel, path)
        for event in request.events
        if event["name"] != "subscription_count"
    ]


async def heard(hooks: WebhookTarget, channel: str, count: int) -> list[Event]:
    """Wait for so many events of the channel."""
    await hooks.until(lambda: len(events(hooks, channel)) >= count, 20.0)
    return events(hooks, channel)


async def test_W1_join_and_leave(target: Target, app: Credentials, hooks: WebhookTarget) -> None:
    """Join: channel_occupied; leave: channel_vacated, no sooner than the undo window."""
    channel = unique("room")
    loop = asyncio.get_running_loop()
    async with connected(target, app) as client:
        await client.subscribe(channel)
        await heard(hooks, channel, 1)
        left_at = loop.time()
    found = await heard(hooks, channel, 2)
    assert found == [
        {"name": "channel_occupied", "channel": channel},
        {"name": "channel_vacated", "channel": channel},
    ]
    assert about(hooks, channel)[-1].at - left_at >= UNDO_WINDOW - 0.1


async def test_W1_members(target: Target, app: Credentials, hooks: WebhookTarget) -> None:
    """Presence: occupied, member_added; a second connection is none; member_removed, vacated."""
    channel = unique("presence-")
    async with connected(target, app) as client, connected(target, app) as second:
        await client.join(channel, "u")
        await second.join(channel, "u")
    assert await heard(hooks, channel, 4) == [
        {"name": "channel_occupied", "channel": channel},
        {"name": "member_added", "channel": channel, "user_id": "u"},
        {"name": "member_removed", "channel": channel, "user_id": "u"},
        {"name": "channel_vacated", "channel": channel},
    ]


async def test_W1_other_events(target: Target, app: Credentials, hooks: WebhookTarget) -> None:
    """client_event with data as text and user_id, cache_miss, subscription_count."""
    presence, cache, counted = unique("presence-"), unique("cache-"), unique("counted")
    async with connected(target, app) as client:
        await client.join(presence, "u")
        await client.send("client-typing", channel=presence, data={"a": 1})
        await client.request_subscription(cache)
        await client.request_subscription(counted)
        await heard(hooks, presence, 3)
        await heard(hooks, cache, 2)
        await hooks.until(lambda: len(about(hooks, counted)) >= 2)
        await client.pending()
        # In a cluster a join is news only when the others agree, and a client event may come before it.
        (client_event,) = (
            each for each in events(hooks, presence) if each["name"] == "client_event"
        )
        assert json.loads(client_event.pop("data")) == {"a": 1}
        assert client_event == {
            "name": "client_event",
            "channel": presence,
            "event": "client-typing",
            "socket_id": client.socket_id,
            "user_id": "u",
        }
    assert {"name": "cache_miss", "channel": cache} in events(hooks, cache)
    count = {"name": "subscription_count", "channel": counted, "subscription_count": 1}
    assert any(count in request.events for request in about(hooks, counted))


async def test_W2_reload_within_the_undo_window(
    target: Target, app: Credentials, hooks: WebhookTarget
) -> None:
    """Leave and come back within the undo window: neither a vacated nor a second occupied."""
    channel, barrier = unique("presence-"), unique("barrier")
    async with connected(target, app) as client:
        await client.join(channel, "u")
        await heard(hooks, channel, 2)
    async with connected(target, app) as client:
        await client.join(channel, "u")
        # Left after the reload: when its leave has been told, the other's would have been.
        await client.subscribe(barrier)
        await client.unsubscribe(barrier)
        await heard(hooks, barrier, 2)
        assert [event["name"] for event in events(hooks, channel)] == [
            "channel_occupied",
            "member_added",
        ]


async def test_W3_headers_and_signature(
    target: Target, app: Credentials, hooks: WebhookTarget
) -> None:
    """Exact names and content type; Python's, Node's and Java's validators, and PHP's lookup, accept it."""
    channel = unique("room")
    async with connected(target, app) as client:
        await client.subscribe(channel)
        await heard(hooks, channel, 1)
    request = about(hooks, channel)[0]
    headers, body = dict(request.headers), request.body.decode()
    assert headers["Content-Type"] == "application/json"
    # PHP looks them up in this spelling, and compares this.
    assert headers["X-Pusher-Key"] == app.key
    assert headers["X-Pusher-Signature"] == sign(app.secret, body)
    assert isinstance(json.loads(body)["time_ms"], int)

    python = pusher.Pusher(app.app_id, app.key, app.secret)
    found = python.validate_webhook(app.key, headers["X-Pusher-Signature"], body)
    assert found is not None
    assert found["events"] == request.events

    async with driver("pusher_library_node.mjs") as node:
        options = {"appId": app.app_id, "key": app.key, "secret": app.secret}
        await node.do("configure", options=options)
        received = {
            "headers": {name.lower(): value for name, value in headers.items()},
            "rawBody": body,
        }
        checked = await node.do("check_webhook", request=received)
    assert checked == {"valid": True, "events": request.events}

    arguments = {"key": app.key, "signature": headers["X-Pusher-Signature"]}
    async with java_library(target, app) as java:
        for text, verdict in ((body, "VALID"), (body + " ", "INVALID")):
            assert await java.driver.do("validate_webhook", body=text, **arguments) == verdict


async def test_W4_two_failures_then_success(
    target: Target, app: Credentials, hooks: WebhookTarget
) -> None:
    """500 twice, then 200: three posts of the same event; what comes after it on its channel waits."""
    channel = unique("private-room")
    left = [500, 500]

    async def answer(request: Request, writer: asyncio.StreamWriter) -> bool:
        is_ours = any(event["channel"] == channel for event in request.events)
        return await with_status(left.pop() if left and is_ours else 200)(request, writer)

    hooks.answer = answer
    async with connected(target, app) as client:
        await client.subscribe(channel)
        await client.send("client-later", channel=channel, data="x")
        await hooks.until(lambda: len(about(hooks, channel)) >= 5, 20.0)
    posts = about(hooks, channel)[:5]
    assert len({(post.body, post.headers) for post in posts[:3]}) == 1
    # Which of them is decided first is not said.
    names = {post.events[0]["name"] for post in posts[2:]}
    assert names == {"channel_occupied", "client_event", "subscription_count"}


async def test_W5_filters(target: Target, app: Credentials, hooks: WebhookTarget) -> None:
    """Event types and the channel's name: only what matches is in any body."""
    wrong_end, wrong_start = unique("presence-"), f"{unique('room')}-chosen"
    chosen = f"{unique('presence-')}-chosen"
    async with connected(target, app) as client:
        await client.join(wrong_end, "u")
        await client.join(chosen, "u")
        await client.send("client-e", channel=chosen, data="x")
        await client.request_subscription(wrong_start)
        await client.pending()
        await hooks.until(lambda: len(events(hooks, chosen, CHOSEN)) >= 2)
    await heard(hooks, chosen, 5)  # everything has been told by then to whom it concerns
    assert events(hooks, chosen, CHOSEN) == [
        {"name": "channel_occupied", "channel": chosen},
        {"name": "member_added", "channel": chosen, "user_id": "u"},
    ]
    to_choosy = [request for request in hooks.requests if CHOSEN in request.line]
    told = {event["channel"] for request in to_choosy for event in request.events}
    assert not {wrong_end, wrong_start} & told
