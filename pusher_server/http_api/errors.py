"""Refusals of the API and their form: plain text ending in a newline, as Pusher's.

See docs/protocol/http-api.md#conventions.

    PusherServerError
    └── ApiError        carries its whole answer
        └── BodyUnread  413 before the end of the body: the connection ends with the answer

`answer_to` is the only translation of errors to answers. An error that it does not know is ours: 500.
"""

import math

from pusher_server.errors import (
    AppsUnavailable,
    AuthenticationError,
    ClusterUnavailable,
    PusherServerError,
)
from pusher_server.http_api.responses import CLOSE, JSON, PLAIN, ApiResponse, Header
from pusher_server.protocol.client_path import has_double_slash
from pusher_server.protocol.errors import ProtocolError
from pusher_server.protocol.text import quoted

#: Seconds after which to retry when the cluster cannot answer: links come back within a few.
_CLUSTER_RETRY = 1
#: A bucket that can never hold the cost gives an endless wait; the header gives no more than this.
_LONGEST_RETRY = 3_600


class ApiError(PusherServerError):
    """A request is refused with this status and text.

    `reason` is one word for logs and metrics (docs/metrics.md#http-api).
    """

    def __init__(
        self, status: int, message: str, *headers: Header, reason: str = "invalid"
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers
        self.reason = reason


class BodyUnread(ApiError):
    """The body exceeds the limit and is not read on."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, _too_large(limit), CLOSE, reason="too_large")


def missing(parameter: str) -> ApiError:
    """A required parameter is not there."""
    return ApiError(400, f"Missing required parameter: {parameter}")


def rate_limited(wait: float, reason: str) -> ApiError:
    """Too much at once; `wait` seconds until it would be allowed."""
    return ApiError(
        429, "Too many requests.", _retry_after(min(wait, _LONGEST_RETRY)), reason=reason
    )


def not_found(path: str) -> ApiError:
    """No route has this path."""
    if has_double_slash(path):
        text = "Not found: the path has a double slash; take one out of the host, path or prefix setting"
        return ApiError(404, text, reason="double_slash")
    return ApiError(404, "Not found", reason="path")


def upgrade_required() -> ApiError:
    """A client's path, and the request is no WebSocket handshake (RFC 9110 §15.5.22)."""
    return ApiError(
        426,
        "This address is for WebSockets, and the request came without Upgrade. If a client sent it, a proxy"
        " in between drops the headers Upgrade and Connection: let it pass them on",
        (b"upgrade", b"websocket"),
        (b"connection", b"Upgrade"),
        reason="no_upgrade",
    )


def method_not_allowed(methods: list[str]) -> ApiError:
    """The path exists, but not with this method."""
    allow = (b"allow", ", ".join(methods).encode())
    return ApiError(405, "Method not allowed", allow, reason="method")


def body_too_large(limit: int) -> ApiError:
    """The inflated body exceeds the limit."""
    return ApiError(413, _too_large(limit), reason="too_large")


def answer_to(error: Exception) -> ApiError | None:
    """The refusal that answers an error; None when the error was not raised on purpose."""
    match error:
        case ApiError():
            return error
        case AuthenticationError():
            return ApiError(error.status, error.message, reason=error.reason)
        case ProtocolError():  # a channel name, or text that no client could read
            return ApiError(400, error.message)
        case AppsUnavailable():
            message = "The app cannot be looked up in the database at the moment, try again"
            return ApiError(503, message, _retry_after(_CLUSTER_RETRY))
        case ClusterUnavailable():
            message = "The state of the cluster is not available at the moment, try again"
            return ApiError(503, message, _retry_after(_CLUSTER_RETRY))
        case _:
            return None


def error_response(error: ApiError, *, as_json: bool) -> ApiResponse:
    """The refusal on the wire; `as_json` in soketi's form."""
    if as_json:
        body = b'{"error":%b,"code":%d}' % (quoted(error.message), error.status)
        kind = JSON
    else:
        body, kind = f"{error.message}\n".encode("utf-8", "backslashreplace"), PLAIN
    return ApiResponse(error.status, body, kind, error.headers)


def _too_large(limit: int) -> str:
    return f"The request body exceeds the allowed maximum ({limit} bytes)"


def _retry_after(seconds: float) -> Header:
    return (b"retry-after", str(max(1, math.ceil(seconds))).encode())
