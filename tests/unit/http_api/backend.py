"""A backend that talks to the API of a real node; it signs with an implementation that is not ours."""

import json
from typing import Any
from urllib.parse import quote

import httpx
from msgspec import structs
from starlette.types import ASGIApp

from pusher_server.app import App, AppKey, AppLimits
from pusher_server.config import HttpSettings
from pusher_server.http_api import create_api
from pusher_server.http_api.parts import ApiParts
from pusher_server.http_api.traffic import ApiTraffic
from pusher_server.interfaces import Action, RateLimiter, TerminateMessage
from pusher_server.node.publishing import ApiEvent
from tests.support.node import NodeFixture
from tests.support.signing import signed_query

NOW = 1_353_088_179.0
KEY, SECRET = "278d425bdf160c739803", "7ad3773142a6692b25b8"
APP = App(id="3", keys=(AppKey(key=KEY, secret=SECRET),))


def app_with(app: App = APP, /, *, limits: dict[str, int] | None = None, **switches: Any) -> App:
    """The app with other switches and limits."""
    return structs.replace(app, limits=AppLimits(**(limits or {})), **switches)


def items(count: int) -> dict[str, Any]:
    """The body of a batch of good events."""
    return {"batch": [{"channel": "a", "name": f"e{i}", "data": "x"} for i in range(count)]}


class RecordingLimiter(RateLimiter):
    """Always asks to wait for `wait` seconds."""

    def __init__(self) -> None:
        self.wait = 0.0
        self.consumed: list[tuple[Action, int]] = []

    def consume(self, app: App, action: Action, cost: int) -> float:
        self.consumed.append((action, cost))
        return self.wait


class Backend:
    """Talks over ASGI to the API of the node in `fixture`."""

    def __init__(self, app: App = APP, *, path_prefix: str = "", **settings: Any) -> None:
        self.now = NOW
        self.app = app
        self.limiter = RecordingLimiter()
        self.fixture = NodeFixture(app, limiter=self.limiter)
        self.node = self.fixture.node
        self.traffic = ApiTraffic()
        #: Why other nodes cannot be reached.
        self.problem: str | None = None
        self.events: list[ApiEvent] = []
        self._publish = self.node.publishing.publish
        self.node.publishing.publish = self._record  # type: ignore[method-assign]
        self.api: ASGIApp = create_api(
            ApiParts(
                node=self.node,
                apps=self.fixture.apps,
                limiter=self.fixture.limiter,
                problem=lambda: self.problem,
                traffic=self.traffic,
            ),
            HttpSettings(**settings),
            lambda: self.now,
            path_prefix,
        )

    def _record(self, app: App, event: ApiEvent) -> None:
        self.events.append(event)
        self._publish(app, event)

    async def occupy(self, channel: str, data: str | None = None, *, times: int = 1) -> None:
        """Clients subscribe, on a presence channel with this `channel_data`."""
        for _ in range(times):
            await self.fixture.join(self.fixture.connect(), channel, data)

    async def send(self, method: str, url: str, **options: Any) -> httpx.Response:
        """A request as it is given, unsigned."""
        transport = httpx.ASGITransport(app=self.api)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, url, **options)

    async def get(self, path: str, query: str = "") -> httpx.Response:
        """A signed GET below `/apps/3`; `query` percent-encoded."""
        return await self.send("GET", self.signed("GET", f"/apps/3{path}", b"", query))

    async def post(
        self, path: str, body: Any = None, query: str = "", **options: Any
    ) -> httpx.Response:
        """A signed POST below `/apps/3`; a body that is not bytes is sent as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        url = self.signed("POST", f"/apps/3{path}", raw, query)
        return await self.send("POST", url, content=raw, **options)

    def signed(self, method: str, path: str, body: bytes, query: str = "") -> str:
        """`path` with the signing parameters; `query` holds no characters that need decoding."""
        pairs = [part.partition("=")[::2] for part in query.split("&") if part]
        sent = "&".join(f"{quote(name, safe='[]')}={quote(value)}" for name, value in pairs)
        return f"{path}?{signed_query(KEY, SECRET, method, path, body, sent, now=NOW)}"

    @property
    def sent(self) -> list[tuple[str, list[str], bytes, str | None]]:
        """What was published: name, channels, data literal, excluded socket."""
        return [
            (event.name, [channel.text for channel in event.channels], event.data, event.socket_id)
            for event in self.events
        ]

    @property
    def terminated(self) -> list[tuple[str, str]]:
        """Whom other nodes were told to disconnect: app and user."""
        published = [message for _, message in self.fixture.broker.published]
        return [(m.app_id, m.user_id) for m in published if isinstance(m, TerminateMessage)]
