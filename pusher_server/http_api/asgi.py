"""The API as an ASGI application: bytes in and out, and the one place where errors become answers.

Plain ASGI without Starlette's router: a signed trigger costs 60 µs this way and 98 through a route
(PERFORMANCE §4). The body is read within a limit; past it the answer goes out and the connection
ends.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Mapping
from urllib.parse import quote

from starlette.types import Receive, Scope, Send

from pusher_server.auth.requests import TimestampExpired
from pusher_server.config import HttpSettings
from pusher_server.http_api.errors import ApiError, BodyUnread, answer_to, error_response
from pusher_server.http_api.requests import ApiRequest
from pusher_server.http_api.responses import PLAIN, ApiResponse, Header
from pusher_server.http_api.routes import Api
from pusher_server.node.node import Node

logger = logging.getLogger(__name__)

#: A backend with a wrong clock is refused with every request; one line a minute is enough.
_CLOCK_WARNING_INTERVAL = 60.0

#: Seconds for which we still take, and drop, what a client sends after its 413.
_LINGER_SECONDS = 2.0

#: No credentials: browsers refuse them together with a wildcard (Fetch standard).
_CORS: tuple[Header, ...] = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET, POST, PUT, DELETE, OPTIONS"),
    (b"access-control-allow-headers", b"*"),
)
_PREFLIGHT = ApiResponse(204, b"", PLAIN)


class _Disconnected(Exception):
    """The client left before its request was complete."""


def create_api(
    node: Node, config: HttpSettings, clock: Callable[[], float], path_prefix: str = ""
) -> "ApiApplication":
    """The application. `clock` gives Unix seconds; `path_prefix` is `/name` or empty."""
    return ApiApplication(Api(node, config, clock, path_prefix), config, clock)


class ApiApplication:
    """Serves `http` scopes."""

    def __init__(self, api: Api, config: HttpSettings, clock: Callable[[], float]) -> None:
        self._api = api
        self._config = config
        self._clock = clock
        self._clock_warned = float("-inf")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"the API serves http, not {scope['type']}")
        unread = False
        try:
            response = await self._answer(scope, receive)
        except _Disconnected:
            return
        except Exception as error:
            unread = isinstance(error, BodyUnread)
            response = self._refusal(error, scope["method"], scope["path"])
        headers = self.headers(response)
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else response.body
        await send({"type": "http.response.body", "body": body, "more_body": unread})
        if unread:
            await _linger(scope, receive, self._config.request_bytes)
            await send({"type": "http.response.body", "body": b""})

    def answer_now(self, request: ApiRequest) -> ApiResponse | None:
        """The answer to a publication, for whoever has the whole request and no ASGI cycle.

        None when it would have to wait for something; nothing has happened then.
        """
        try:
            return self._api.answer_now(request)
        except Exception as error:
            return self._refusal(error, request.method, request.path.decode("latin-1"))

    def headers(self, response: ApiResponse) -> list[Header]:
        """All headers that belong to this answer."""
        headers: list[Header] = [(b"content-type", response.content_type), *response.headers]
        if response.status != 204:
            headers.append((b"content-length", b"%d" % len(response.body)))
        if self._config.cors:
            headers += _CORS
        return headers

    async def _answer(self, scope: Scope, receive: Receive) -> ApiResponse:
        method: str = scope["method"]
        if method == "OPTIONS" and self._config.cors:
            return _PREFLIGHT
        headers: dict[bytes, bytes] = dict(scope["headers"])
        body = b""
        if b"content-length" in headers or b"transfer-encoding" in headers:
            body = await _read_body(headers, receive, self._config.request_bytes)
        path = scope.get("raw_path") or quote(scope["path"]).encode()
        encoding = headers.get(b"content-encoding", b"")
        return await self._api.answer(
            ApiRequest(method, path, scope["query_string"], body, encoding)
        )

    def _refusal(self, error: Exception, method: str, path: str) -> ApiResponse:
        """The answer to an error. Query and body stay out of the log."""
        known = answer_to(error)
        if known is None:
            error_id = secrets.token_hex(4)
            fields = {"error_id": error_id, "method": method, "path": path}
            logger.error("request failed", exc_info=error, extra=fields)
            known = ApiError(500, f"Internal error {error_id}")
        elif isinstance(error, TimestampExpired):
            self._warn_about_clock(error, path)
        return error_response(known, as_json=self._config.json_errors)

    def _warn_about_clock(self, error: TimestampExpired, path: str) -> None:
        now = self._clock()
        if now - self._clock_warned >= _CLOCK_WARNING_INTERVAL:
            self._clock_warned = now
            fields = {"path": path, "skew_seconds": round(error.skew)}
            logger.warning("request refused: the backend's clock differs from ours", extra=fields)


async def _read_body(headers: Mapping[bytes, bytes], receive: Receive, limit: int) -> bytes:
    """The body as received. Raises ApiError (413) as soon as it is known to exceed the limit."""
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and (len(declared) > 15 or int(declared) > limit):
        raise BodyUnread(limit)  # before the first read, so nobody is told to continue
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Disconnected
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise BodyUnread(limit)
        chunks.append(chunk)
        more = message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def _linger(scope: Scope, receive: Receive, limit: int) -> None:
    """Drop some of what is still coming before the connection closes.

    Closing a socket with unread bytes resets it, and the client would lose the answer. Who waits
    for leave to send a body sends none.
    """
    if any(name == b"expect" for name, _ in scope["headers"]):
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):
            while limit > 0:
                message = await receive()
                if not message.get("more_body", False):  # the end, or the client left
                    return
                limit -= len(message.get("body", b""))
