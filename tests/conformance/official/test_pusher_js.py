"""Stock pusher-js, in Node and in a real Chromium, against the server."""

import asyncio

import pytest

from tests.conformance.client import unique
from tests.conformance.official.app_server import AppServer, running_app_server, server_library
from tests.conformance.official.clients import RUNTIMES, SUCCEEDED, pusher_js
from tests.conformance.target import PREFIX, Credentials, Target
from tests.support.serving import RunningServer

in_each_runtime = pytest.mark.parametrize("runtime", RUNTIMES)
#: pusher-js comes back after 1 s, and then after a second try if the server was not up yet.
RECONNECT_PATIENCE = 20.0


@in_each_runtime
async def test_all_kinds_of_channels(target: Target, app_server: AppServer, runtime: str) -> None:
    """Every kind is subscribed, gets events decoded, encrypted ones decrypted, and can be left."""
    library = server_library(target)
    async with pusher_js(target, app_server, runtime) as clients:
        await clients.connect("alice")
        for prefix in ("public-", "private-", "presence-", "private-encrypted-"):
            channel = unique(prefix)
            await clients.subscribe("alice", channel)
            data = {"text": "héllo 世界 😀", "n": [1, 2.5, None]}
            await asyncio.to_thread(library.trigger, channel, "my-event", data)
            assert (await clients.wait("alice", channel, "my-event"))["data"] == data
            await clients.do("alice", "unsubscribe", channel=channel)
        sentinel = unique("sentinel")
        await clients.subscribe("alice", sentinel)
        await asyncio.to_thread(library.trigger, channel, "my-event", {})
        await asyncio.to_thread(library.trigger, sentinel, "last", {})
        await clients.wait("alice", sentinel, "last")
        assert clients.driver.of(event="my-event") == []
        assert clients.driver.of(event="error") == []


@in_each_runtime
async def test_cache_channels(target: Target, app_server: AppServer, runtime: str) -> None:
    """A cache channel of each kind answers a miss, then the last event."""
    library = server_library(target)
    async with pusher_js(target, app_server, runtime) as clients:
        await clients.connect("alice")
        await clients.connect("bob")
        for kind in ("", "private-", "presence-", "private-encrypted-"):
            channel = unique(f"{kind}cache-")
            await clients.subscribe("alice", channel)
            await clients.wait("alice", channel, "pusher:cache_miss")
            await asyncio.to_thread(library.trigger, channel, "price", {"eur": 1})
            await clients.wait("alice", channel, "price")
            await clients.subscribe("bob", channel)
            assert (await clients.wait("bob", channel, "price"))["data"] == {"eur": 1}


@in_each_runtime
async def test_presence(target: Target, app_server: AppServer, runtime: str) -> None:
    """Members are listed, added and removed; several tabs of a user are one member."""
    channel = unique("presence-")
    async with pusher_js(target, app_server, runtime) as clients:
        await clients.connect("alice")
        await clients.connect("bob")
        alone = await clients.subscribe("alice", channel)
        assert alone["count"] == 1
        assert alone["me"] == {"id": "alice", "info": {"id": "alice", "name": "Alice"}}
        both = await clients.subscribe("bob", channel)
        assert both["count"] == 2
        assert both["members"].keys() == {"alice", "bob"}
        added = await clients.wait("alice", channel, "pusher:member_added")
        assert added["data"] == {"id": "bob", "info": {"id": "bob", "name": "Bob"}}
        await clients.do("bob", "disconnect")
        removed = await clients.wait("alice", channel, "pusher:member_removed")
        assert removed["data"]["id"] == "bob"
        assert (await clients.do("alice", "members", channel=channel))["count"] == 1


@in_each_runtime
async def test_client_events(target: Target, app_server: AppServer, runtime: str) -> None:
    """Client events reach the others, with the sender's user_id on presence channels."""
    async with pusher_js(target, app_server, runtime) as clients:
        await clients.connect("alice")
        await clients.connect("bob")
        for channel in (unique("private-"), unique("presence-")):
            await clients.subscribe("alice", channel, bind=["client-typing"])
            await clients.subscribe("bob", channel, bind=["client-typing"])
            arguments = {"channel": channel, "event": "client-typing", "data": {"on": True}}
            assert await clients.do("bob", "trigger", **arguments)
            typing = await clients.driver.wait_until(
                lambda h: h["who"] == "alice" and "metadata" in h, "client-typing with metadata"
            )
            assert typing["data"] == {"on": True}
            expected = {"user_id": "bob"} if channel.startswith("presence-") else {}
            assert {k: v for k, v in typing["metadata"].items() if v} == expected
        assert clients.driver.of(who="bob", event="client-typing") == []


@in_each_runtime
async def test_excluded_socket(target: Target, app_server: AppServer, runtime: str) -> None:
    """An event triggered with the author's socket_id reaches the others only."""
    library, channel = server_library(target), unique("private-")
    async with pusher_js(target, app_server, runtime) as clients:
        for name in ("author", "other"):
            await clients.connect(name)
            await clients.subscribe(name, channel)
        author = await clients.socket_id("author")
        await asyncio.to_thread(library.trigger, channel, "to-others", {}, author)
        await asyncio.to_thread(library.trigger, channel, "to-all", {})
        await clients.wait("author", channel, "to-all")
        await clients.wait("other", channel, "to-others")
        assert clients.driver.of(who="author", event="to-others") == []


@in_each_runtime
async def test_users(target: Target, app_server: AppServer, runtime: str) -> None:
    """Sign-in, an event to the user, and termination, after which pusher-js stays away."""
    library, user = server_library(target), unique("user-")
    async with pusher_js(target, app_server, runtime) as clients:
        await clients.connect(user)
        signed_in = await clients.do(user, "signin")
        assert signed_in["id"] == user
        await asyncio.to_thread(library.send_to_user, user, "hello", {"n": 1})
        assert (await clients.wait(user, "#user", "hello"))["data"] == {"n": 1}
        await asyncio.to_thread(library.terminate_user_connections, user)
        await clients.driver.wait_for_state(user, "disconnected")


async def test_H13_pusher_js_behind_a_prefix(target: Target, app_server: AppServer) -> None:
    """pusher-js with wsPath "/ws" reaches the server under its path prefix."""
    target.require_own_config()
    async with pusher_js(target, app_server) as clients:
        await clients.connect("alice", wsPath=PREFIX)
        await clients.subscribe("alice", unique("private-"))


async def test_watchlist(target: Target) -> None:
    """A watcher hears who of its watchlist is online, comes and goes."""
    target = target.of(target.app("watchlist"))
    with running_app_server(target) as app_server:
        await watch(target, app_server)


async def watch(target: Target, app_server: AppServer) -> None:
    async with pusher_js(target, app_server) as clients:
        await clients.connect("alice")
        await clients.do("alice", "signin")
        await clients.connect("watcher")
        await clients.do("watcher", "signin")
        online = await clients.wait("watcher", "#watchlist", "online")
        assert online["data"]["user_ids"] == ["alice"]
        offline = await clients.wait("watcher", "#watchlist", "offline")
        assert offline["data"]["user_ids"] == ["bob"]
        await clients.do("alice", "disconnect")
        gone = await clients.wait("watcher", "#watchlist", "offline")
        assert gone["data"]["user_ids"] == ["alice"]


async def test_subscription_count(target: Target, app_server: AppServer) -> None:
    """pusher:subscription_count reaches the app with the number of subscribers."""
    app, channel = target.app("subscription_count"), unique("counted")
    async with pusher_js(target, app_server) as clients:
        await clients.connect("alice", app)
        await clients.connect("bob", app)
        await clients.subscribe("alice", channel)
        event = "pusher:subscription_count"
        await clients.wait("alice", channel, event, data={"subscription_count": 1})
        await clients.subscribe("bob", channel)
        await clients.wait("alice", channel, event, data={"subscription_count": 2})


async def test_refused_subscription(target: Target, app_server: AppServer) -> None:
    """A wrong signature reaches the app as pusher:subscription_error; other channels work."""
    async with pusher_js(target, app_server) as clients:
        # The application server signs with the main app's secret, which is wrong for this one.
        await clients.connect("alice", target.app("empty"))
        channel = unique("private-")
        await clients.do("alice", "subscribe", channel=channel)
        error = await clients.wait("alice", channel, "pusher:subscription_error")
        assert error["data"]["status"] == 401
        await clients.subscribe("alice", unique("public-"))


@in_each_runtime
async def test_refused_connection(target: Target, app_server: AppServer, runtime: str) -> None:
    """An unknown key stops pusher-js for good, with the code in its error event."""
    async with pusher_js(target, app_server, runtime) as clients:
        await clients.create("alice", Credentials("0", "no-such-key", "x"))
        await clients.driver.wait_for_state("alice", "disconnected")
        error = await clients.wait("alice", None, "error")
        assert error["data"]["data"]["code"] == 4001


@in_each_runtime
async def test_reconnects_after_a_restart(
    spare: RunningServer, spare_target: Target, spare_app_server: AppServer, runtime: str
) -> None:
    """After a restart on the same port clients reconnect, re-authorise and hear events again."""
    channels = [unique(prefix) for prefix in ("public-", "private-", "presence-")]
    async with pusher_js(spare_target, spare_app_server, runtime) as clients:
        for name in ("alice", "bob"):
            await clients.connect(name)
            for channel in channels:
                await clients.subscribe(name, channel)
        await spare.restart()
        for name in ("alice", "bob"):
            await clients.driver.wait_for_state(name, "connected", RECONNECT_PATIENCE)
            for channel in channels:
                await clients.wait(name, channel, SUCCEEDED)
        library = server_library(spare_target)
        await asyncio.to_thread(library.trigger, channels, "again", {})
        for name in ("alice", "bob"):
            for channel in channels:
                await clients.wait(name, channel, "again")
        assert (await clients.do("alice", "members", channel=channels[2]))["count"] == 2
