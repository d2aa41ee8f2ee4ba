"""Stock pusher-java-client, which Android apps have, against the server."""

import asyncio
import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from nacl.secret import SecretBox

from tests.conformance.client import connected, unique
from tests.conformance.official.app_server import (
    MASTER_KEY,
    AppServer,
    running_app_server,
    server_library,
)
from tests.conformance.official.driver import Driver, java_driver
from tests.conformance.official.java_clients import PROGRAM, JavaClients, java_clients
from tests.conformance.raw_socket import finish_closing, next_message, raw_connected
from tests.conformance.target import Credentials, Target
from tests.support.link_proxy import LinkProxy

pytestmark = pytest.mark.asyncio(loop_scope="module")

KINDS = ("public-", "private-", "presence-", "private-encrypted-")
DATA = {"text": "héllo 世界 😀", "n": [1, 2.5, None]}
REFUSED = "pusher:subscription_error"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def jvm() -> AsyncIterator[Driver]:
    """One JVM for all tests here: it takes longer to start than most of them."""
    async with java_driver(PROGRAM) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def clients(jvm: Driver, target: Target, app_server: AppServer) -> AsyncIterator[JavaClients]:
    """No client yet."""
    async with java_clients(jvm, target, app_server) as none_yet:
        yield none_yet


async def test_all_kinds_of_channels(clients: JavaClients) -> None:
    """Every kind is subscribed, gets events decoded, encrypted ones decrypted, and can be left."""
    library = server_library(clients.target)
    await clients.connect("alice")
    for kind in KINDS:
        channel = unique(kind)
        await clients.subscribe("alice", channel)
        await asyncio.to_thread(library.trigger, channel, "my-event", DATA)
        assert await clients.data("alice", channel, "my-event") == DATA
        await clients.do("alice", "unsubscribe", channel=channel)
    sentinel = unique("sentinel")
    await clients.subscribe("alice", sentinel)
    await asyncio.to_thread(library.trigger, channel, "my-event", {})
    await asyncio.to_thread(library.trigger, sentinel, "last", {})
    await clients.wait("alice", sentinel, "last")
    assert clients.driver.of(event="my-event") == []
    assert clients.driver.of(event="onError") == []


async def test_cache_channels(clients: JavaClients) -> None:
    """A cache channel of each kind answers a miss, then the last event."""
    library = server_library(clients.target)
    await clients.connect("alice")
    await clients.connect("bob")
    for kind in ("", "private-", "presence-", "private-encrypted-"):
        channel = unique(f"{kind}cache-")
        await clients.subscribe("alice", channel)
        await clients.wait("alice", channel, "pusher:cache_miss", data="{}")
        await asyncio.to_thread(library.trigger, channel, "price", {"eur": 1})
        await clients.wait("alice", channel, "price")
        await clients.subscribe("bob", channel)
        assert await clients.data("bob", channel, "price") == {"eur": 1}
    assert clients.driver.of(event="onError") == []


async def test_presence(clients: JavaClients) -> None:
    """Members are listed, added and removed, with their `user_info`."""
    channel = unique("presence-")
    alice = {"id": "alice", "info": {"id": "alice", "name": "Alice"}}
    bob = {"id": "bob", "info": {"id": "bob", "name": "Bob"}}
    await clients.connect("alice")
    await clients.connect("bob")
    await clients.subscribe("alice", channel)
    await clients.wait("alice", channel, "onUsersInformationReceived", data=[alice])
    assert await clients.do("alice", "me", channel=channel) == alice
    await clients.subscribe("bob", channel)
    members = (await clients.wait("bob", channel, "onUsersInformationReceived"))["data"]
    assert sorted(members, key=lambda member: member["id"]) == [alice, bob]
    await clients.wait("alice", channel, "userSubscribed", data=bob)
    await clients.do("bob", "disconnect")
    await clients.wait("alice", channel, "userUnsubscribed", data=bob)
    assert await clients.do("alice", "users", channel=channel) == [alice]


async def test_client_events(clients: JavaClients) -> None:
    """Client events reach the others, with the sender's user_id on presence channels."""
    await clients.connect("alice")
    await clients.connect("bob")
    for channel in (unique("private-"), unique("presence-")):
        await clients.subscribe("alice", channel)
        await clients.subscribe("bob", channel)
        arguments = {"channel": channel, "event": "client-typing", "data": json.dumps(DATA)}
        await clients.do("bob", "trigger", **arguments)
        typing = await clients.wait("alice", channel, "client-typing")
        assert json.loads(typing["data"]) == DATA
        assert typing["user_id"] == ("bob" if channel.startswith("presence-") else None)
    assert clients.driver.of(who="bob", event="client-typing") == []


async def test_refused_client_event(jvm: Driver, target: Target) -> None:
    """An app whose client events are off says so in `onError`; the connection stays."""
    channel = unique("private-")
    async with clients_of(jvm, target, "client_events_off") as clients:
        await clients.connect("alice")
        await clients.subscribe("alice", channel)
        arguments = {"channel": channel, "event": "client-typing", "data": "{}"}
        await clients.do("alice", "trigger", **arguments)
        error = (await clients.wait("alice", None, "onError"))["data"]
        assert error["code"] is None
        assert error["message"].startswith("Client events are off for this app")
        await clients.subscribe("alice", unique("public-"))


@asynccontextmanager
async def clients_of(jvm: Driver, target: Target, variation: str) -> AsyncIterator[JavaClients]:
    """Clients of another app, with an application server that signs for it."""
    target = target.of(target.app(variation))
    with running_app_server(target) as app_server:
        async with java_clients(jvm, target, app_server) as clients:
            yield clients


async def test_excluded_socket(clients: JavaClients) -> None:
    """An event triggered with the author's socket_id reaches the others only."""
    library, channel = server_library(clients.target), unique("private-")
    for name in ("author", "other"):
        await clients.connect(name)
        await clients.subscribe(name, channel)
    author = await clients.socket_id("author")
    await asyncio.to_thread(library.trigger, channel, "to-others", {}, author)
    await asyncio.to_thread(library.trigger, channel, "to-all", {})
    await clients.wait("author", channel, "to-all")
    await clients.wait("other", channel, "to-others")
    assert clients.driver.of(who="author", event="to-others") == []


async def test_users(clients: JavaClients) -> None:
    """Sign-in, an event to the user, and termination (4009), after which the client stays away."""
    library, user = server_library(clients.target), unique("user-")
    await clients.connect(user)
    await clients.do(user, "signin")
    await clients.is_signed_in(user)
    await asyncio.to_thread(library.send_to_user, user, "hello", {"n": 1})
    assert await clients.data(user, "#user", "hello") == {"n": 1}
    await asyncio.to_thread(library.terminate_user_connections, user)
    await gone(clients, user, "4009")


async def test_a_signed_in_client_returns_through_a_lost_link(
    jvm: Driver, target: Target, app_server: AppServer
) -> None:
    """It signs in again by itself, and is subscribed again."""
    library, user, channel = server_library(target), unique("user-"), unique("presence-")
    async with through_a_link(jvm, target, app_server) as (clients, link):
        await clients.connect(user)
        await clients.subscribe(user, channel)
        await clients.do(user, "signin")
        await clients.is_signed_in(user)
        link.set("cut")
        await clients.driver.wait_for_state(user, "reconnecting")
        link.set("pass")
        await clients.driver.wait_for_state(user, "connected")
        await clients.is_subscribed_again(user, channel)
        await clients.is_signed_in(user)
        await asyncio.to_thread(library.send_to_user, user, "hello", {"n": 1})
        assert await clients.data(user, "#user", "hello") == {"n": 1}


async def test_a_half_open_link_is_noticed(
    jvm: Driver, target: Target, app_server: AppServer
) -> None:
    """As of a phone in another network: the client's own ping goes unanswered, and it comes back."""
    async with through_a_link(jvm, target, app_server) as (clients, link):
        await clients.connect("alice", activityTimeout=1_000, pongTimeout=1_000)
        link.set("swallow")
        await clients.driver.wait_for_state("alice", "reconnecting")
        link.set("pass")
        await clients.driver.wait_for_state("alice", "connected")


@asynccontextmanager
async def through_a_link(
    jvm: Driver, target: Target, app_server: AppServer
) -> AsyncIterator[tuple[JavaClients, LinkProxy]]:
    """Clients that reach the server through a proxy."""
    async with LinkProxy((target.host, target.port)) as link:
        beyond = Target("127.0.0.1", (link.port,), target.main, scheme=target.scheme)
        async with java_clients(jvm, beyond, app_server) as clients:
            yield clients, link


async def test_a_signed_in_client_throws_when_it_connects_anew(clients: JavaClients) -> None:
    """The library's fault, which ends an Android app; if the app lets it pass, the client goes on."""
    library, user = server_library(clients.target), unique("user-")
    await clients.connect(user)
    await clients.do(user, "signin")
    await clients.is_signed_in(user)
    await clients.do(user, "disconnect")
    await clients.driver.wait_for_state(user, "disconnected")
    await clients.do(user, "connect_again")
    uncaught = await clients.driver.wait(event="uncaught")
    assert "User id is null" in uncaught["data"]
    await clients.is_signed_in(user)
    await asyncio.to_thread(library.send_to_user, user, "hello", {"n": 1})
    assert await clients.data(user, "#user", "hello") == {"n": 1}


async def gone(clients: JavaClients, name: str, code: str) -> None:
    """The app hears this code, and the client gives up."""
    error = await clients.wait(name, None, "onError")
    assert error["data"]["code"] == code, error
    await clients.driver.wait_for_state(name, "disconnected")
    assert [h for h in clients.driver.of(who=name, event="state_change") if is_retry(h)] == []


def is_retry(happening: dict[str, Any]) -> bool:
    return bool(happening["data"]["current"] == "reconnecting")


async def test_subscription_count(jvm: Driver, target: Target) -> None:
    """`pusher:subscription_count` reaches the app with the number of subscribers."""
    channel, event = unique("counted"), "pusher:subscription_count"
    async with clients_of(jvm, target, "subscription_count") as clients:
        await clients.connect("alice")
        await clients.connect("bob")
        await clients.subscribe("alice", channel)
        assert await clients.data("alice", channel, event) == {"subscription_count": 1}
        await clients.subscribe("bob", channel)
        assert await clients.data("alice", channel, event) == {"subscription_count": 2}


@pytest.mark.parametrize("kind", ["private-", "presence-"])
async def test_refused_subscription(clients: JavaClients, target: Target, kind: str) -> None:
    """A wrong signature is heard by `bind("pusher:subscription_error")` and by no method of a listener."""
    # The application server signs with the main app's secret, which is wrong for this one.
    app = target.app("empty")
    channel = unique(kind)
    for name, bind in (("bound", [REFUSED]), ("unbound", ["my-event"])):
        await clients.connect(name, app)
        await clients.do(name, "subscribe", channel=channel, bind=bind)
        await clients.subscribe(name, unique("public-"))
    assert (await clients.data("bound", channel, REFUSED))["status"] == 401
    assert clients.driver.of(channel=channel) == []
    assert clients.driver.of(event="onError") == []


async def test_refused_encrypted_subscription(clients: JavaClients, target: Target) -> None:
    """The library decrypts every event there: the refusal is `onDecryptionFailure`, of those who bound it."""
    app = target.app("empty")
    channel = unique("private-encrypted-")
    for name, bind in (("bound", [REFUSED]), ("unbound", ["my-event"])):
        await clients.connect(name, app)
        await clients.do(name, "subscribe", channel=channel, bind=bind)
        await clients.subscribe(name, unique("public-"))
    failure = await clients.wait("bound", channel, "onDecryptionFailure")
    assert failure["data"].startswith(REFUSED)
    assert clients.driver.of(channel=channel) == []


async def test_encrypted_channels_get_no_counts(jvm: Driver, target: Target) -> None:
    """The library could not decrypt them."""
    channel = unique("private-encrypted-")
    async with clients_of(jvm, target, "subscription_count") as clients:
        await clients.connect("alice")
        await clients.subscribe("alice", channel)
        await clients.subscribe("alice", unique("public-"))
        assert clients.driver.of(channel=channel) == []


async def test_client_events_on_encrypted_channels(clients: JavaClients, target: Target) -> None:
    """A sealed one of another client is decrypted; any other is refused: the library would throw."""
    channel = unique("private-encrypted-")
    key = hashlib.sha256(channel.encode() + b64decode(MASTER_KEY)).digest()
    sealed = SecretBox(key).encrypt(json.dumps(DATA).encode())
    await clients.connect("alice")
    await clients.subscribe("alice", channel)
    async with connected(target) as other:
        await other.subscribe(channel)
        for data in ({"a": 1}, "text", None, [1], {"nonce": "x", "ciphertext": "y"}):
            await other.send("client-x", data=data, channel=channel)
            await other.expect_error(None)
        nonce, ciphertext = (b64encode(part).decode() for part in (sealed.nonce, sealed.ciphertext))
        data = {"nonce": nonce, "ciphertext": ciphertext}
        await other.send("client-x", data=data, channel=channel)
        assert await clients.data("alice", channel, "client-x") == DATA


async def test_refused_subscription_under_strict(clients: JavaClients, target: Target) -> None:
    """Under Strict `onError` says it, as for apps of Pusher."""
    await clients.connect("alice", target.app("strict"))
    channel = unique("private-")
    await clients.do("alice", "subscribe", channel=channel, bind=[])
    error = (await clients.wait("alice", None, "onError"))["data"]
    assert error["code"] is None
    assert "subscription auth data" in error["message"]


async def test_backend_refuses_a_channel(clients: JavaClients) -> None:
    """A 403 of the auth endpoint is `onAuthenticationFailure`; the client does not ask again."""
    await clients.connect("alice")
    channel = unique("private-forbidden-")
    await clients.do("alice", "subscribe", channel=channel)
    failure = await clients.wait("alice", channel, "onAuthenticationFailure")
    assert "403" in failure["data"]
    await clients.subscribe("alice", unique("private-"))


@pytest.mark.parametrize(
    ("variation", "code"),
    [("disabled", "4003"), ("tls_only", "4000"), ("origins", "4009"), ("unauthorized", "4009")],
)
async def test_closed_for_good(
    clients: JavaClients, target: Target, variation: str, code: str
) -> None:
    """The codes 4000 to 4099 stop the client for good, at the handshake and later."""
    await clients.create("alice", target.app(variation))
    await gone(clients, "alice", code)


async def test_unknown_key(clients: JavaClients) -> None:
    """4001, as for pusher-js."""
    await clients.create("alice", Credentials("0", "no-such-key", "x"))
    await gone(clients, "alice", "4001")


async def test_a_full_app_is_tried_again(clients: JavaClients, target: Target) -> None:
    """4100 is no end: the client comes in as soon as there is room."""
    app = target.app("full")
    async with connected(target, app):
        await clients.create("alice", app)
        error = await clients.wait("alice", None, "onError")
        assert error["data"]["code"] == "4100"
        await clients.driver.wait_for_state("alice", "reconnecting")
    await clients.driver.wait_for_state("alice", "connected", 20.0)


async def test_silent_clients_stay(clients: JavaClients, target: Target) -> None:
    """Pings are answered on both sides, while a client that answers none is closed with 4201, twice."""
    quick = target.app("activity")
    await clients.connect("pinged", quick)
    # Without a pong it would leave three seconds after its last message; each round takes two.
    await clients.connect("pinging", activityTimeout=1_000, pongTimeout=2_000)
    socket_id = await clients.socket_id("pinging")
    for _ in range(2):
        async with raw_connected(target, quick) as socket:
            await next_message(socket)
            assert (await next_message(socket)).data["code"] == 4201
            await finish_closing(socket, 4201)
    for name in ("pinged", "pinging"):
        await clients.subscribe(name, unique("public-"))
    assert await clients.socket_id("pinging") == socket_id
    assert clients.driver.of(event="onError") == []


async def test_what_the_pages_say_of_the_defaults(jvm: Driver) -> None:
    """An app that sets no options gives up 85 s after it lost the server."""
    defaults = await jvm.do("defaults")
    attempts, gap = defaults["maxReconnectionAttempts"], defaults["maxReconnectGapInSeconds"]
    assert sum(min(attempt**2, gap) for attempt in range(1, attempts + 1)) == 85
