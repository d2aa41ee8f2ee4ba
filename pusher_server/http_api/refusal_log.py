"""Counts refused requests with their reason, and logs why: a few lines a minute for each app and reason.

Libraries of old Laravels return only `false` for a refused publication. So this line is often the only place
where the cause can be read. The texts of answers are Pusher's and stay as they are.
"""

import logging
from collections.abc import Callable
from typing import Protocol

from pusher_server.app import shown_key
from pusher_server.auth.requests import TimestampExpired
from pusher_server.diagnosis.entry import page_of, with_guess
from pusher_server.diagnosis.evidence import Guess
from pusher_server.errors import AuthenticationError, ClusterUnavailable
from pusher_server.http_api.errors import ApiError
from pusher_server.http_api.requests import RequestHead
from pusher_server.log_rate_limit import SourceRateLimit, repeated
from pusher_server.node.node import Node
from pusher_server.protocol.client_path import shown_path
from pusher_server.protocol.errors import InvalidChannelName, MalformedText, ProtocolError
from pusher_server.signals import RequestRefused

logger = logging.getLogger("pusher_server.http")

#: Characters of a path, and of a text that an answer has, in a line.
_SHOWN_PATH = 120
_SHOWN_TEXT = 300

#: Reason -> cause and next step, where the answer's text does not say them.
_CAUSES = {
    "unknown_key": "no app has its key: the backend's PUSHER_APP_KEY is wrong, or the app is missing here",
    "key_is_secret": "its key is the app's secret: PUSHER_APP_KEY and PUSHER_APP_SECRET are swapped",
    "wrong_app": "its key is this app's, and its path names another: the backend's PUSHER_APP_ID and"
    " PUSHER_APP_KEY do not belong together",
    "signature": "the signature does not match: the backend's PUSHER_APP_SECRET differs from this app's,"
    " or a proxy rewrites the path or the query",
    "unsigned": "it has no auth_signature: no library of Pusher's sent it, or a proxy drops the query",
    "digest": "the body is not the one that was signed: something between the backend and here changes it",
    "disabled": "the app is disabled: set enabled = true, or run `pusher-server apps enable`",
    "rate_publish": "the app publishes faster than limits.backend_events_per_second",
    "rate_read": "the app reads faster than limits.reads_per_second",
    "path": "no route has its path: compare the backend's host, port and path options with server.path_prefix",
    "method": "its path exists for other methods only: a redirect or a proxy has changed the method",
    "no_upgrade": "it is for a WebSocket and came without Upgrade: a proxy dropped it, or a browser opened the"
    ' address; nginx needs proxy_http_version 1.1, Upgrade $http_upgrade and Connection "upgrade"'
    " (docs/deployment.md)",
    "double_slash": "its path has a double slash: take one out of the host, path or prefix that the client or"
    " proxy is set to; between /apps/ and the next slash stands the app id",
}

#: Reasons that metrics and fields name in another word: a missing signature is a wrong one there.
_COUNTED_AS = {"incomplete": "signature", "unsigned": "signature"}


class Sender(Protocol):
    """The client of a request."""

    def address(self) -> str:
        """Its address, as trusted proxies forward it; `unix` behind a Unix socket."""


class RefusalLog:
    """`clock` gives seconds of any one clock."""

    def __init__(self, node: Node, clock: Callable[[], float]) -> None:
        self._node = node
        self._clock = clock
        self._limit = SourceRateLimit()

    def refused(self, error: Exception, head: RequestHead, sender: Sender | None) -> None:
        """Count a refusal, and log it or count it for the next line. Query and body stay out of the log."""
        kind = reason_of(error)
        reason = _COUNTED_AS.get(kind, kind)
        app_id = getattr(error, "app_id", "")
        self._node.emit(RequestRefused(app_id=app_id, reason=reason))
        if reason == "internal":  # it has a line with its traceback
            return
        address = "" if sender is None else sender.address()
        fields: dict[str, object] = {"app": app_id} if app_id else {}
        fields["path"] = shown_path(head.path.decode("latin-1"))[:_SHOWN_PATH]
        if address:
            fields["address"] = address
        if isinstance(error, AuthenticationError) and error.key:
            fields["key"] = shown_key(error.key)
        if isinstance(error, TimestampExpired):
            fields["skew_seconds"] = round(error.skew)
        cause = _cause(error, kind)
        guess = getattr(error, "guess", None)
        guess = guess if isinstance(guess, Guess) else None
        # Scanners try paths of every kind, but they do not publish.
        requests = 0
        if reason != "path" or head.path.rstrip(b"/").endswith(b"events"):
            subject = f"{head.method} {fields['path']}"
            self._keep(guess, kind, app_id, subject, cause, address)
            line = fields.get("key") or (kind if isinstance(error, TimestampExpired) else cause)
            requests = self._limit.due((app_id, reason), address, self._clock(), line)
        fields["reason"] = reason
        level = logging.WARNING if requests else logging.DEBUG
        fields["see"] = page_of("request")
        extra = fields | repeated(requests)
        logger.log(level, "request refused: %s", with_guess(cause, guess), extra=extra)

    def _keep(
        self,
        guess: Guess | None,
        reason: str,
        app_id: str,
        subject: str,
        cause: str,
        address: str,
    ) -> None:
        """Keep the refusal as evidence."""
        self._node.evidence.refused(
            "request",
            app_id,
            reason,
            subject=subject,
            cause=cause,
            address=address,
            guess=guess,
        )


def reason_of(error: Exception) -> str:
    """The reason as one word of a fixed set (docs/metrics.md#http-api)."""
    match error:
        case AuthenticationError() | ApiError():
            return error.reason
        case InvalidChannelName():
            return "channel"
        case ProtocolError():
            return "invalid"
        case ClusterUnavailable():
            return "unavailable"
        case _:
            return "internal"


def _cause(error: Exception, reason: str) -> str:
    """Cause and next step."""
    if isinstance(error, TimestampExpired):
        side = "behind" if error.skew > 0 else "ahead of"
        return (
            f"the backend's clock is {abs(error.skew):.0f} s {side} ours, or the request was held up:"
            " set both clocks by NTP"
        )
    if reason == "unavailable":
        return f"the apps or other nodes cannot be reached: {error}"
    cause = _CAUSES.get(reason)
    if cause is not None:
        return cause
    text = str(error)[:_SHOWN_TEXT]
    if isinstance(error, MalformedText):
        return f"its JSON cannot be read: {text}"
    match reason:
        case "incomplete":
            return f"it is not signed as Pusher's libraries sign ({text})"
        case "too_large":
            return f"{text}; the limits are http.request_bytes and limits.event_data_bytes"
        case "channel":
            return f"{text}; limits.channel_name_length and lenient_channel_names decide"
        case _:
            return text
