"""Stock laravel-echo with both of its Pusher broadcasters, as a Laravel front end uses it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.conformance.client import unique
from tests.conformance.official.app_server import AppServer, server_library
from tests.conformance.official.driver import Driver, driver
from tests.conformance.target import Target
from tests.support.serving import RunningServer

both_broadcasters = pytest.mark.parametrize("broadcaster", ["pusher", "reverb"])


class Echo:
    """Several Echo instances in one Node process."""

    def __init__(
        self, running: Driver, target: Target, app_server: AppServer, broadcaster: str
    ) -> None:
        self.driver = running
        self.target = target
        self.app_server = app_server
        self.broadcaster = broadcaster

    async def connect(self, user: str) -> None:
        """An Echo for this user, configured as Laravel's `echo.js` is."""
        options: dict[str, Any] = {
            "broadcaster": self.broadcaster,
            "key": self.target.main.key,
            "wsHost": self.target.host,
            "wsPort": self.target.port,
            "wssPort": self.target.port,
            "forceTLS": self.target.scheme == "https",
            "enabledTransports": ["ws", "wss"],
            "authEndpoint": f"{self.app_server.url}/broadcasting/auth",
            "auth": {"headers": {"X-User": user}},
        }
        if self.broadcaster == "pusher":
            options["cluster"] = "mt1"
        await self.driver.do("connect", who=user, options=options)
        await self.driver.wait_for_state(user, "connected")

    async def open(self, user: str, kind: str, name: str, **options: Any) -> None:
        """Echo.channel / private / encryptedPrivate / join, and wait until it is subscribed."""
        await self.driver.do("open", who=user, kind=kind, name=name, **options)
        await self.wait(user, name, "subscribed")

    async def wait(self, user: str, name: str, event: str) -> Any:
        """What a callback of this channel was given."""
        happening = await self.driver.wait(who=user, channel=name, event=event)
        return happening["data"]


@asynccontextmanager
async def echo(target: Target, app_server: AppServer, broadcaster: str) -> AsyncIterator[Echo]:
    async with driver("echo_node.mjs") as running:
        yield Echo(running, target, app_server, broadcaster)


@both_broadcasters
@pytest.mark.parametrize(
    ("kind", "prefix"),
    [("channel", ""), ("private", "private-"), ("encryptedPrivate", "private-encrypted-")],
)
async def test_listen(
    target: Target, app_server: AppServer, broadcaster: str, kind: str, prefix: str
) -> None:
    """Events under Laravel's class names and under broadcastAs names are heard, then left."""
    library, name = server_library(target), unique("orders.")
    async with echo(target, app_server, broadcaster) as clients:
        await clients.connect("alice")
        await clients.open("alice", kind, name, listen=["OrderShipped", ".comment.created"])
        payload = {"id": 1, "text": "Zoë / 😀"}
        for event, heard in (
            ("App\\Events\\OrderShipped", "OrderShipped"),
            ("comment.created", ".comment.created"),
        ):
            await asyncio.to_thread(library.trigger, prefix + name, event, payload)
            assert await clients.wait("alice", name, heard) == payload
        await clients.driver.do("leave", who="alice", name=name)
        other = unique("other.")
        await clients.open("alice", "channel", other, listen=["OrderShipped"])
        for channel in (prefix + name, other):
            await asyncio.to_thread(library.trigger, channel, "App\\Events\\OrderShipped", {})
        await clients.wait("alice", other, "OrderShipped")
        assert clients.driver.of(channel=name) == []


@both_broadcasters
async def test_presence(target: Target, app_server: AppServer, broadcaster: str) -> None:
    """here, joining and leaving are given the user_info values that Laravel apps depend on."""
    name = unique("room.")
    alice, bob = ({"id": user, "name": user.title()} for user in ("alice", "bob"))
    async with echo(target, app_server, broadcaster) as clients:
        await clients.connect("alice")
        await clients.connect("bob")
        await clients.open("alice", "join", name)
        assert await clients.wait("alice", name, "here") == [alice]
        await clients.open("bob", "join", name)
        here = await clients.wait("bob", name, "here")
        assert sorted(here, key=lambda member: member["id"]) == [alice, bob]
        assert await clients.wait("alice", name, "joining") == bob
        await clients.driver.do("leave", who="bob", name=name)
        assert await clients.wait("alice", name, "leaving") == bob


@both_broadcasters
@pytest.mark.parametrize("kind", ["private", "join"])
async def test_whisper(target: Target, app_server: AppServer, broadcaster: str, kind: str) -> None:
    """A whisper reaches the other participants and not the one who whispers."""
    name = unique("room.")
    async with echo(target, app_server, broadcaster) as clients:
        for user in ("alice", "bob"):
            await clients.connect(user)
            await clients.open(user, kind, name, whispers=["typing", "stop"])
        for user, event in (("alice", "typing"), ("bob", "stop")):
            data = {"kind": kind, "name": name, "event": event, "data": {"user": user}}
            await clients.driver.do("whisper", who=user, **data)
        assert await clients.wait("bob", name, "whisper:typing") == {"user": "alice"}
        assert await clients.wait("alice", name, "whisper:stop") == {"user": "bob"}
        assert clients.driver.of(who="alice", event="whisper:typing") == []


@both_broadcasters
async def test_to_others(target: Target, app_server: AppServer, broadcaster: str) -> None:
    """Echo.socketId(), sent back by toOthers(), leaves the author's own connection out."""
    library, name, event = server_library(target), unique("session."), ".comment.created"
    async with echo(target, app_server, broadcaster) as clients:
        for user in ("author", "other"):
            await clients.connect(user)
            await clients.open(user, "private", name, listen=[event, ".end"])
        author = await clients.driver.do("socketId", who="author")
        channel = f"private-{name}"
        await asyncio.to_thread(library.trigger, channel, "comment.created", {"id": 1}, author)
        await asyncio.to_thread(library.trigger, channel, "end", {})
        assert await clients.wait("other", name, event) == {"id": 1}
        await clients.wait("author", name, ".end")
        assert clients.driver.of(who="author", event=event) == []


@both_broadcasters
async def test_notification(target: Target, app_server: AppServer, broadcaster: str) -> None:
    """A Laravel notification on the user's private channel reaches notification()."""
    library, name = server_library(target), unique("App.Models.User.")
    event = "Illuminate\\Notifications\\Events\\BroadcastNotificationCreated"
    async with echo(target, app_server, broadcaster) as clients:
        await clients.connect("alice")
        await clients.open("alice", "private", name)
        payload = {"id": "n-1", "type": "App\\Notifications\\Paid"}
        await asyncio.to_thread(library.trigger, f"private-{name}", event, payload)
        assert await clients.wait("alice", name, "notification") == payload


@both_broadcasters
async def test_forbidden_channel(target: Target, app_server: AppServer, broadcaster: str) -> None:
    """A channel that the application refuses calls error(), and the rest goes on."""
    name = unique("forbidden.")
    async with echo(target, app_server, broadcaster) as clients:
        await clients.connect("alice")
        await clients.driver.do("open", who="alice", kind="private", name=name)
        assert (await clients.wait("alice", name, "error"))["status"] == 403
        await clients.open("alice", "private", unique("allowed."))


@both_broadcasters
async def test_comes_back_after_a_restart(
    spare: RunningServer, spare_target: Target, spare_app_server: AppServer, broadcaster: str
) -> None:
    """After the server's restart Echo is subscribed again by itself and hears events."""
    library, name = server_library(spare_target), unique("session.")
    async with echo(spare_target, spare_app_server, broadcaster) as clients:
        await clients.connect("alice")
        await clients.open("alice", "private", name, listen=[".comment.created"])
        await spare.restart()
        await clients.driver.wait_for_state("alice", "connected", 20.0)
        await clients.wait("alice", name, "subscribed")
        await asyncio.to_thread(library.trigger, f"private-{name}", "comment.created", {"id": 2})
        assert await clients.wait("alice", name, ".comment.created") == {"id": 2}
