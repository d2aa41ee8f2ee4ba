"""pusher-java-client, Android's client, in a JVM: its calls as verbs, its listeners as happenings."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.conformance.official.app_server import AppServer
from tests.conformance.official.driver import Driver, Happening, java_driver
from tests.conformance.target import Credentials, Target
from tests.support.waiting import equals

PROGRAM = "PusherJavaClient"
SUCCEEDED = "onSubscriptionSucceeded"
#: The lines for Android in docs/clients: never give up, and try at least every ten seconds.
RECONNECTING = {"maxReconnectionAttempts": 2**31 - 1, "maxReconnectGapInSeconds": 10}


class JavaClients:
    """Several clients of one target in one JVM; `who` in a happening is the client's name."""

    def __init__(self, running: Driver, target: Target, app_server: AppServer) -> None:
        self.driver = running
        self.target = target
        self.app_server = app_server

    async def connect(self, name: str, app: Credentials | None = None, **options: Any) -> None:
        """Make a client and wait for `connected`."""
        await self.create(name, app, **options)
        await self.driver.wait_for_state(name, "connected")

    async def create(self, name: str, app: Credentials | None = None, **options: Any) -> None:
        """Make a client and do not wait. `options` are named as their setters of PusherOptions."""
        await self.do(
            name,
            "connect",
            key=(app or self.target.main).key,
            options={
                "host": self.target.host,
                "port": self.target.port,
                "useTLS": self.target.scheme == "https",
                "channelAuthorization": f"{self.app_server.url}/pusher/auth",
                "userAuthentication": f"{self.app_server.url}/pusher/user-auth",
                "headers": {"X-User": name},
                **RECONNECTING,
                **options,
            },
        )

    async def do(self, name: str, verb: str, **arguments: Any) -> Any:
        """One command to one client."""
        return await self.driver.do(verb, who=name, **arguments)

    async def subscribe(self, name: str, channel: str, bind: list[str] | None = None) -> None:
        """Subscribe and wait for the success. `bind` names events; None is every event."""
        bound = {} if bind is None else {"bind": bind}
        await self.do(name, "subscribe", channel=channel, **bound)
        await self.wait(name, channel, SUCCEEDED)

    async def is_subscribed_again(self, name: str, channel: str) -> None:
        """Wait for the success on the present connection.

        An earlier one may have had two: in the moment of `connected` the library may ask twice.
        """
        await self.wait(name, channel, SUCCEEDED, data=await self.socket_id(name))

    async def wait(self, name: str, channel: str | None, event: str, **more: Any) -> Happening:
        """Wait for a happening of this client."""
        return await self.driver.wait(who=name, channel=channel, event=event, **more)

    async def data(self, name: str, channel: str, event: str) -> Any:
        """Wait for an event and decode its data, which the library passes on as text."""
        return json.loads((await self.wait(name, channel, event))["data"])

    async def socket_id(self, name: str) -> str:
        """The client's socket_id."""
        socket_id = (await self.do(name, "state"))["socket_id"]
        assert isinstance(socket_id, str)
        return socket_id

    async def is_signed_in(self, name: str) -> None:
        """Wait until the library knows its user, the client's name, and has the channel of that user.

        It calls no listener then. A connection that is lost between the two makes it throw at the next one.
        """

        async def user() -> Any:
            state = await self.do(name, "state")
            return state["user_id"], state["user_is_subscribed"]

        await equals(user, (name, True))


@asynccontextmanager
async def java_clients(
    running: Driver, target: Target, app_server: AppServer
) -> AsyncIterator[JavaClients]:
    """Clients in this JVM, which are gone at the end; the next test begins without happenings.

    No exception may leave a thread of the library: Android ends the app that it happens to.
    """
    try:
        yield JavaClients(running, target, app_server)
        uncaught = running.of(event="uncaught")
        assert uncaught == [], uncaught
    finally:
        await running.do("forget")
        running.happenings.clear()


@asynccontextmanager
async def own_java_clients(
    target: Target, app_server: AppServer, *options: str
) -> AsyncIterator[JavaClients]:
    """Clients in a JVM of their own, started with these options."""
    async with (
        java_driver(PROGRAM, *options) as running,
        java_clients(running, target, app_server) as clients,
    ):
        yield clients
