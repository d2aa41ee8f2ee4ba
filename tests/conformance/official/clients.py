"""pusher-js, in Node or in Chromium, under the same verbs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.conformance.official.app_server import AppServer
from tests.conformance.official.driver import Driver, driver
from tests.conformance.target import Credentials, Target

RUNTIMES = ["node", "chromium"]
SUCCEEDED = "pusher:subscription_succeeded"


class PusherJs:
    """Several pusher-js clients in one runtime; `who` in a happening is the client's name."""

    def __init__(
        self, running: Driver, target: Target, app_server: AppServer, runtime: str
    ) -> None:
        self.driver = running
        self.target = target
        self.app_server = app_server
        self.runtime = runtime

    async def connect(self, name: str, app: Credentials | None = None, **options: Any) -> None:
        """Make a client, in Chromium in a browser context of its own, and wait for `connected`."""
        await self.create(name, app, **options)
        await self.driver.wait_for_state(name, "connected")

    async def create(self, name: str, app: Credentials | None = None, **options: Any) -> None:
        """Make a client and do not wait."""
        if self.runtime == "chromium":
            await self.driver.do("open", who=name, url=f"{self.app_server.url}/pusher_js_page.html")
        auth = {"headers": {"X-User": name}}
        port = self.target.port
        await self.driver.do(
            "connect",
            who=name,
            key=(app or self.target.main).key,
            options={
                "cluster": "",
                "wsHost": self.target.host,
                "wsPort": port,
                "wssPort": port,
                "forceTLS": self.target.scheme == "https",
                "enabledTransports": ["ws", "wss"],
                "channelAuthorization": {"endpoint": f"{self.app_server.url}/pusher/auth", **auth},
                "userAuthentication": {
                    "endpoint": f"{self.app_server.url}/pusher/user-auth",
                    **auth,
                },
                **options,
            },
        )

    async def do(self, name: str, verb: str, **arguments: Any) -> Any:
        """One command to one client."""
        return await self.driver.do(verb, who=name, **arguments)

    async def subscribe(self, name: str, channel: str, **options: Any) -> Any:
        """Subscribe and wait for the success; returns what the app is given with it."""
        await self.do(name, "subscribe", channel=channel, **options)
        return (await self.wait(name, channel, SUCCEEDED))["data"]

    async def wait(self, name: str, channel: str | None, event: str, **more: Any) -> Any:
        """Wait for a happening of this client."""
        return await self.driver.wait(who=name, channel=channel, event=event, **more)

    async def socket_id(self, name: str) -> str:
        """The client's socket_id."""
        socket_id = (await self.do(name, "state"))["socket_id"]
        assert isinstance(socket_id, str)
        return socket_id


@asynccontextmanager
async def pusher_js(
    target: Target, app_server: AppServer, runtime: str = "node"
) -> AsyncIterator[PusherJs]:
    """pusher-js in this runtime, without any client yet."""
    async with driver(f"pusher_js_{runtime}.mjs") as running:
        yield PusherJs(running, target, app_server, runtime)
        if runtime == "chromium":
            await running.do("close")
