"""A backend that signs with an implementation of its own, so that ours is checked by it."""

import hashlib
import hmac
import json
from typing import Any, cast
from urllib.parse import quote

import httpx
from msgspec import structs
from starlette.types import ASGIApp

from pusher_server.app import App, AppKey, AppLimits
from pusher_server.config import HttpSettings
from pusher_server.http_api import create_api
from pusher_server.http_api.parts import ApiParts
from pusher_server.http_api.traffic import ApiTraffic
from pusher_server.node.node import Node
from tests.unit.http_api.fake_node import FakeApps, FakeLimiter, FakeNode

NOW = 1_353_088_179.0
KEY, SECRET = "278d425bdf160c739803", "7ad3773142a6692b25b8"
APP = App(id="3", keys=(AppKey(key=KEY, secret=SECRET),))


def app_with(app: App = APP, /, *, limits: dict[str, int] | None = None, **switches: Any) -> App:
    """The app with other switches and limits."""
    return structs.replace(app, limits=AppLimits(**(limits or {})), **switches)


def items(count: int) -> dict[str, Any]:
    """The body of a batch of good events."""
    return {"batch": [{"channel": "a", "name": f"e{i}", "data": "x"} for i in range(count)]}


class Backend:
    """Talks to an API over ASGI; `node` is the fake behind it."""

    def __init__(self, app: App = APP, *, path_prefix: str = "", **settings: Any) -> None:
        self.now = NOW
        self.app = app
        self.node = FakeNode()
        self.apps = FakeApps(app)
        self.limiter = FakeLimiter()
        self.traffic = ApiTraffic()
        #: Why other nodes cannot be reached.
        self.problem: str | None = None
        self.api: ASGIApp = create_api(
            ApiParts(
                node=cast("Node", self.node),
                apps=self.apps,
                limiter=self.limiter,
                problem=lambda: self.problem,
                traffic=self.traffic,
            ),
            HttpSettings(**settings),
            lambda: self.now,
            path_prefix,
        )

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
        pairs += [("auth_key", KEY), ("auth_timestamp", str(int(NOW))), ("auth_version", "1.0")]
        if body:
            pairs.append(("body_md5", hashlib.md5(body).hexdigest()))
        ordered = sorted(pairs, key=lambda pair: pair[0].lower())
        canonical = "&".join(f"{name.lower()}={value}" for name, value in ordered)
        text = f"{method}\n{path}\n{canonical}"
        signature = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
        sent = [f"{quote(name, safe='[]')}={quote(value)}" for name, value in pairs]
        return f"{path}?{'&'.join(sent)}&auth_signature={signature}"

    @property
    def sent(self) -> list[tuple[str, list[str], bytes, str | None]]:
        """What was published: name, channels, data literal, excluded socket."""
        return [
            (event.name, [channel.text for channel in event.channels], event.data, event.socket_id)
            for event in self.node.publishing.events
        ]
