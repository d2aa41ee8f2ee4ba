"""pusher-http-java, the official server library for Java, behind the verbs of the tests of server libraries."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.conformance.official.app_server import MASTER_KEY
from tests.conformance.official.driver import Driver, java_driver
from tests.conformance.target import Credentials, Target

PROGRAM = "PusherHttpJava"


class JavaLibrary:
    """Each verb is one call of the library, which has to answer with SUCCESS."""

    def __init__(self, running: Driver) -> None:
        self.driver = running

    async def call(self, verb: str, **arguments: Any) -> Any:
        """The JSON value of the server's answer."""
        answer = await self.driver.do(verb, **arguments)
        assert (answer["status"], answer["http_status"]) == ("SUCCESS", 200), answer
        return json.loads(answer["message"])

    async def trigger(self, channels: Any, event: str, data: Any, socket_id: str | None) -> None:
        names = [channels] if isinstance(channels, str) else channels
        await self.call("trigger", channels=names, event=event, data=data, socket_id=socket_id)

    async def trigger_batch(self, batch: list[dict[str, Any]]) -> None:
        await self.call("trigger_batch", batch=batch)

    async def channels(self, prefix: str) -> Any:
        parameters = {"filter_by_prefix": prefix, "info": "user_count"}
        return await self.call("get", path="/channels", parameters=parameters)

    async def channel(self, name: str) -> Any:
        parameters = {"info": "user_count,subscription_count"}
        return await self.call("get", path=f"/channels/{name}", parameters=parameters)

    async def users(self, name: str) -> Any:
        return await self.call("get", path=f"/channels/{name}/users", parameters={})

    async def send_to_user(self, user: str, event: str, data: Any) -> None:
        # It has no call of its own for users, but signs any request.
        channels = [f"#server-to-user-{user}"]
        body = {"name": event, "channels": channels, "data": json.dumps(data)}
        await self.call("post", path="/events", body=body)

    async def terminate(self, user: str) -> None:
        await self.call("post", path=f"/users/{user}/terminate_connections", body={})


@asynccontextmanager
async def java_library(
    target: Target, app: Credentials | None = None, *options: str
) -> AsyncIterator[JavaLibrary]:
    """The library in a JVM with these options, pointed at the target's main app or another one."""
    app = app or target.main
    async with java_driver(PROGRAM, *options) as running:
        await running.do(
            "configure",
            app_id=app.app_id,
            key=app.key,
            secret=app.secret,
            master_key=MASTER_KEY,
            host=f"{target.host}:{target.port}",
            tls=target.scheme == "https",
        )
        yield JavaLibrary(running)
