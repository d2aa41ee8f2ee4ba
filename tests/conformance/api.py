"""A signed HTTP client that can get every detail wrong when a test asks for it."""

import asyncio
import json
import time
from typing import Any

import httpx

from tests.conformance.target import Credentials, Target
from tests.support.signing import request_signature, signed_query, unsigned_query


class Api:
    """The HTTP API of one app, on one node: what several say of one channel has no order between them.

    Paths are relative to `/apps/{app_id}`.
    """

    def __init__(self, target: Target, app: Credentials, http: httpx.AsyncClient) -> None:
        self.url = target.url
        self.app = app
        self.http = http

    async def post(self, path: str, content: Any, *, age: int = 0) -> httpx.Response:
        """POST `content` (bytes as they are, anything else as JSON), signed `age` seconds ago."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        full = f"/apps/{self.app.app_id}{path}"
        query = unsigned_query(self.app.key, body, now=time.time() - age)
        signature = request_signature(self.app.secret, "POST", full, query)
        return await self.http.post(
            f"{self.url}{full}?{query}&auth_signature={signature}",
            content=body,
            headers={"Content-Type": "application/json"},
        )

    async def get(self, path: str, parameters: str = "") -> httpx.Response:
        """GET with these query parameters, written as they shall stand in the URL."""
        full = f"/apps/{self.app.app_id}{path}"
        query = signed_query(self.app.key, self.app.secret, "GET", full, None, parameters)
        return await self.http.get(f"{self.url}{full}?{query}")

    async def read(self, path: str, parameters: str = "") -> dict[str, Any]:
        """GET that must succeed, decoded."""
        return accepted(await self.get(path, parameters))

    async def publish(
        self, channels: str | list[str], name: str = "my-event", data: Any = "{}", **fields: Any
    ) -> dict[str, Any]:
        """Publish an event, which must succeed; returns the answer."""
        names = [channels] if isinstance(channels, str) else channels
        event = {"name": name, "channels": names, "data": data, **fields}
        return accepted(await self.post("/events", event))


def accepted(response: httpx.Response) -> dict[str, Any]:
    """The JSON object of a success: status exactly 200, as the PHP library wants it."""
    assert response.status_code == 200, f"{response.status_code}: {response.text}"
    assert response.headers["content-type"].startswith("application/json")
    content = response.json()
    assert isinstance(content, dict), "the PHP library needs an object"
    return content


async def exchange(target: Target, request: bytes) -> tuple[int, bytes]:
    """Send a request byte for byte over a connection of its own; returns status and body.

    For replays of other libraries, where an HTTP client would tidy up what matters.
    """
    reader, writer = await asyncio.open_connection(target.host, target.port)
    try:
        writer.write(request)
        async with asyncio.timeout(10):
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head.split(b" ", 2)[1])
            headers = dict(
                line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line
            )
            body = await reader.readexactly(int(headers.get(b"content-length", b"0")))
        return status, body
    finally:
        writer.close()
        await writer.wait_closed()
