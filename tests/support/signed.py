"""Signed requests to the HTTP API, as bytes."""

import json
from typing import Any

from tests.support import wire
from tests.support.inprocess import APP_ID, KEY, SECRET
from tests.support.signing import signed_query


def target(method: str, path: str, body: bytes = b"", parameters: str = "") -> str:
    """Path and signed query; `path` is signed as it stands."""
    return f"{path}?{signed_query(KEY, SECRET, method, path, body, parameters)}"


def post(body: Any, path: str = f"/apps/{APP_ID}/events", **headers: str) -> bytes:
    """A signed POST; `body` as bytes is sent as it is, anything else as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return wire.request(
        target("POST", path, content),
        method="POST",
        body=content,
        Content_Type="application/json",
        **headers,
    )


def get(path: str, parameters: str = "", **headers: str) -> bytes:
    """A signed GET."""
    return wire.request(target("GET", path, b"", parameters), body=b"", **headers)


def event(channel: str, data: str = "{}", name: str = "my-event", **fields: Any) -> bytes:
    """A signed publication to one channel."""
    return post({"name": name, "channel": channel, "data": data, **fields})
