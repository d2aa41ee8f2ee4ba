"""The API as an ASGI application: bytes in and out, and the one place where errors become answers.

Plain ASGI without Starlette's router: a signed trigger costs 60 µs this way and 98 through a route
(docs/performance.md). A body is read only for a request whose head is right. One that nobody needs is
dropped while it is small; else the answer goes out at once and the connection ends.
"""

import logging
import secrets
from collections.abc import Callable, MutableMapping
from typing import Any, Protocol
from urllib.parse import quote

from starlette.types import Receive, Scope, Send

from pusher_server.config import HttpSettings
from pusher_server.http_api.api import Admission, Api
from pusher_server.http_api.bodies import ClientLeft, RequestBody
from pusher_server.http_api.errors import ApiError, answer_to, error_response
from pusher_server.http_api.parts import ApiParts
from pusher_server.http_api.refusal_log import RefusalLog, Sender
from pusher_server.http_api.requests import UNWANTED_BODY_BYTES, RequestHead, body_length
from pusher_server.http_api.responses import CLOSE, ApiResponse, Header
from pusher_server.node.node import Node

logger = logging.getLogger(__name__)

#: No credentials: browsers refuse them together with a wildcard (Fetch standard).
_CORS: tuple[Header, ...] = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET, POST, PUT, DELETE, OPTIONS"),
    (b"access-control-allow-headers", b"*"),
)

#: Characters of an address that a proxy forwards.
_SHOWN_ADDRESS = 64

#: Where in a scope's `state` the connection tells and is told what follows.
_SEAM = "pusher_server.connection"


class Connection(Protocol):
    """One request, as the application and the server's side of its connection see it together.

    A server need not offer one. It then has to deal with bodies that nobody needs by itself.
    """

    #: The verdict on the head, if it is known already: an answer, or that the body is wanted.
    verdict: Admission | ApiResponse | None

    def is_decided(self) -> None:
        """The sender is known, or has been refused."""

    def end_after_answer(self) -> None:
        """The answer is out and the body is not: send no more, and drop what still comes for a while."""


def join(state: MutableMapping[str, Any], connection: Connection) -> None:
    """Let the application that gets a scope with this `state` know its connection."""
    state[_SEAM] = connection


def create_api(
    parts: ApiParts, config: HttpSettings, clock: Callable[[], float], path_prefix: str = ""
) -> "ApiApplication":
    """The application. `clock` gives Unix seconds; `path_prefix` is `/name` or empty."""
    api = Api(parts, config, clock, path_prefix)
    return ApiApplication(api, config, RefusalLog(parts.node, clock), parts.node)


class ApiApplication:
    """Serves `http` scopes."""

    def __init__(self, api: Api, config: HttpSettings, refusals: RefusalLog, node: Node) -> None:
        #: The steps of every request.
        self.api = api
        self._config = config
        self._refusals = refusals
        self._node = node

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"the API serves http, not {scope['type']}")
        # Taken out, because it refers to the scope.
        connection: Connection | None = scope.get("state", {}).pop(_SEAM, None)
        head = _head(scope)
        body = RequestBody(receive, head.length)
        try:
            response = await self._response(scope, head, body, connection)
            keep = CLOSE not in response.headers and await body.drop(UNWANTED_BODY_BYTES)
        except ClientLeft:
            return
        finally:
            if connection is not None:
                connection.is_decided()
        headers = self.headers(response)
        # While draining, the next request belongs on another node.
        if (not keep or self._node.draining) and CLOSE not in headers:
            headers.append(CLOSE)
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        content = b"" if head.method == "HEAD" else response.body
        lingering = connection is not None and not body.has_ended
        await send({"type": "http.response.body", "body": content, "more_body": lingering})
        if connection is not None and lingering:
            connection.end_after_answer()
            await body.wait_for_the_end()

    async def _response(
        self, scope: Scope, head: RequestHead, body: RequestBody, connection: Connection | None
    ) -> ApiResponse:
        """The answer; the body may not have been read. Raises ClientLeft."""
        try:
            verdict = None if connection is None else connection.verdict
            if verdict is None:
                verdict = await self.api.admit(head)
            if isinstance(verdict, ApiResponse):
                return verdict
            if connection is not None:
                connection.is_decided()
            content = await body.gather(verdict.limit)
            if content is None:
                raise self.api.excess(verdict)
            return await self.api.answer(verdict, content)
        except ClientLeft:
            raise
        except Exception as error:
            return self.refusal(error, head, _ScopeSender(scope))

    def headers(self, response: ApiResponse) -> list[Header]:
        """All headers that belong to this answer."""
        headers: list[Header] = [(b"content-type", response.content_type), *response.headers]
        if response.status != 204:
            headers.append((b"content-length", b"%d" % len(response.body)))
        if self._config.cors:
            headers += _CORS
        return headers

    def refusal(
        self, error: Exception, head: RequestHead, sender: Sender | None = None
    ) -> ApiResponse:
        """The answer to an error, which is counted and logged. Query and body stay out of the log."""
        known = answer_to(error)
        self._refusals.refused(error, head, sender)
        if known is None:
            error_id = secrets.token_hex(4)
            path = head.path.decode("latin-1")
            fields = {"error_id": error_id, "method": head.method, "path": path}
            logger.error("request failed", exc_info=error, extra=fields)
            known = ApiError(500, f"Internal error {error_id}")
        return error_response(known, as_json=self._config.json_errors)


class _ScopeSender:
    """The client of a scope, in which the server has put the address that trusted proxies forward."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def address(self) -> str:
        """See `Sender`."""
        client = self._scope.get("client")
        if client:
            return str(client[0])[:_SHOWN_ADDRESS]  # a proxy may forward any text
        # Only proxies of this machine reach a Unix socket, so the last of them is trusted.
        headers = reversed(self._scope["headers"])
        forwarded = next((value for name, value in headers if name == b"x-forwarded-for"), b"")
        return forwarded.rpartition(b",")[2].strip().decode("latin-1")[:_SHOWN_ADDRESS] or "unix"


def _head(scope: Scope) -> RequestHead:
    headers: dict[bytes, bytes] = dict(scope["headers"])
    return RequestHead(
        scope["method"],
        scope.get("raw_path") or quote(scope["path"]).encode(),
        scope["query_string"],
        headers.get(b"content-encoding", b""),
        body_length(headers),
    )
