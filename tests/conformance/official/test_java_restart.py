"""Stock pusher-java-client while its server dies, restarts and drains, and under pings that it ignores."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from tests.conformance.client import unique
from tests.conformance.official.app_server import AppServer, running_app_server, server_library
from tests.conformance.official.driver import Driver, java_driver
from tests.conformance.official.java_clients import PROGRAM, JavaClients, java_clients
from tests.conformance.target import GOLDEN, Target, own_settings
from tests.support.serving import RunningServer
from tests.support.waiting import equals

pytestmark = pytest.mark.asyncio(loop_scope="module")

KINDS = ("public-", "private-", "presence-", "private-encrypted-")
#: The client comes back after 1, 1 + 4, 1 + 4 + 9 s.
RECONNECT_PATIENCE = 30.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def jvm() -> AsyncIterator[Driver]:
    """One JVM for all tests here."""
    async with java_driver(PROGRAM) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def clients(
    jvm: Driver, spare_target: Target, spare_app_server: AppServer
) -> AsyncIterator[JavaClients]:
    """No client of the spare server yet."""
    async with java_clients(jvm, spare_target, spare_app_server) as none_yet:
        yield none_yet


async def test_everything_is_back_after_kill_9(spare: RunningServer, clients: JavaClients) -> None:
    """Clients reconnect, are authorized anew and get the events of all their channels."""
    channels = [unique(kind) for kind in KINDS]
    for name in ("alice", "bob"):
        await clients.connect(name)
        for channel in channels:
            await clients.subscribe(name, channel)
    await asyncio.to_thread(spare.kill)
    for name in ("alice", "bob"):
        await clients.driver.wait_for_state(name, "reconnecting")
    await asyncio.to_thread(spare.start)
    for name in ("alice", "bob"):
        await clients.driver.wait_for_state(name, "connected", RECONNECT_PATIENCE)
        for channel in channels:
            await clients.is_subscribed_again(name, channel)
    await everything_arrives(clients, channels)


async def everything_arrives(clients: JavaClients, channels: list[str]) -> None:
    library = server_library(clients.target)
    for channel in channels:
        await asyncio.to_thread(library.trigger, channel, "again", {"channel": channel})
    for name in ("alice", "bob"):
        for channel in channels:
            assert await clients.data(name, channel, "again") == {"channel": channel}
        assert await member_ids(clients, name, channels[2]) == ["alice", "bob"]


async def test_a_graceful_restart(spare: RunningServer, clients: JavaClients) -> None:
    """4200 is heard as an error, and the client returns."""
    channel = unique("private-")
    await clients.connect("alice")
    await clients.subscribe("alice", channel)
    await spare.restart()
    error = await clients.wait("alice", None, "onError")
    assert error["data"]["code"] == "4200"
    await clients.driver.wait_for_state("alice", "connected", RECONNECT_PATIENCE)
    await clients.is_subscribed_again("alice", channel)
    library = server_library(clients.target)
    await asyncio.to_thread(library.trigger, channel, "again", {})
    await clients.wait("alice", channel, "again")


async def test_only_a_client_that_may_try_for_ever_comes_back(
    spare: RunningServer, clients: JavaClients
) -> None:
    """`setMaxReconnectionAttempts` ends a client until its app connects anew; that of docs/clients does not."""
    await clients.connect("patient")
    await clients.connect("impatient", maxReconnectionAttempts=1)
    await asyncio.to_thread(spare.kill)
    await clients.driver.wait_for_state("impatient", "disconnected")
    await asyncio.to_thread(spare.start)
    await clients.driver.wait_for_state("patient", "connected", RECONNECT_PATIENCE)
    assert (await clients.do("impatient", "state"))["state"] == "disconnected"
    await clients.do("impatient", "connect_again")
    await clients.driver.wait_for_state("impatient", "connected")


async def test_the_list_of_members_after_a_reconnect(
    spare: RunningServer, clients: JavaClients
) -> None:
    """The library never empties its list: only a channel that is subscribed anew has the right one."""
    channel = unique("presence-")
    for name in ("alice", "bob", "carol"):
        await clients.connect(name)
        await clients.subscribe(name, channel)
    await asyncio.to_thread(spare.kill)
    for name in ("bob", "carol"):
        await clients.driver.wait_for_state(name, "reconnecting")
    await clients.do("bob", "disconnect")
    await clients.do("carol", "unsubscribe", channel=channel)
    await clients.do("carol", "subscribe", channel=channel)
    await asyncio.to_thread(spare.start)
    for name, members in (("alice", ["alice", "bob", "carol"]), ("carol", ["alice", "carol"])):
        await clients.driver.wait_for_state(name, "connected", RECONNECT_PATIENCE)
        await clients.is_subscribed_again(name, channel)
        await equals(partial(member_ids, clients, name, channel), members)


async def member_ids(clients: JavaClients, name: str, channel: str) -> list[str]:
    """What the client's `getUsers()` has, sorted."""
    return sorted(user["id"] for user in await clients.do(name, "users", channel=channel))


async def test_pings_as_events_cut_it(jvm: Driver, target: Target, tmp_path: Path) -> None:
    """It answers no `pusher:ping`: under `ping = "event"` it is closed with 4201, and returns."""
    target.require_own_config()
    settings = own_settings(tmp_path)
    app = {"id": GOLDEN.app_id, "key": GOLDEN.key, "secret": GOLDEN.secret, "activity_timeout": 1}
    settings["apps"] = [{**app, "ping": "event"}]
    async with RunningServer(tmp_path, settings) as server:
        own = Target(server.host, (server.port,), GOLDEN, own=True)
        with running_app_server(own) as app_server:
            async with java_clients(jvm, own, app_server) as clients:
                await clients.connect("alice")
                error = await clients.wait("alice", None, "onError")
                assert error["data"]["code"] == "4201"
                await clients.driver.wait_for_state("alice", "connected")
