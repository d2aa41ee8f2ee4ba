"""Errors for clients that break a rule of the protocol. Every error carries its answer.

    ProtocolError
    ├── ConnectionRejected      `pusher:error`, then close with the same code (4000-4299)
    ├── MessageRejected         `pusher:error`, the connection stays (code 4200, 4301, … or none)
    ├── SubscriptionRefused     `pusher:subscription_error` for one channel, the connection stays
    ├── FramingViolation        close with an RFC 6455 code (1002, 1003, 1007, 1009), no Pusher frame
    ├── InvalidChannelName      a name against the grammar; the edge chooses the form
    └── MalformedText           text that is no JSON, or JSON that no client could read
        ├── NotUtf8             bytes that are no text at all
        └── TooDeep             arrays and objects nested more deeply than `nesting.DEPTH`

The range of a code decides what a client does (docs/protocol/connection.md#reactions). With 4000-4099 it does
not reconnect unchanged; with 4100-4199 it reconnects after a second, with 4200-4299 at once. No close has a
code 43xx: pusher-js would never reconnect.
"""

from enum import IntEnum
from typing import Literal, Self

from pusher_server.errors import PusherServerError


class Code(IntEnum):
    """Pusher's error and close codes (docs/protocol/connection.md#codes)."""

    TLS_REQUIRED = 4000
    UNKNOWN_APP = 4001
    APP_DISABLED = 4003
    OVER_QUOTA = 4004
    PATH_NOT_FOUND = 4005
    BAD_VERSION = 4006
    UNSUPPORTED_PROTOCOL = 4007
    PROTOCOL_MISSING = 4008
    UNAUTHORIZED = 4009
    OVER_CAPACITY = 4100
    RECONNECT = 4200
    PONG_TIMEOUT = 4201
    CLIENT_EVENT_RATE = 4301
    WATCHLIST_LIMIT = 4302


#: Reason of a rejected connection whose key is an app's secret.
KEY_IS_SECRET = "key_is_secret"


class ProtocolError(PusherServerError):
    """A client broke a rule of the protocol."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ConnectionRejected(ProtocolError):
    """Send `pusher:error` with `message` and `code`, then close with that code.

    `reason`: one word for metrics, where the code has several. `delay`: seconds to wait before it is sent.
    `cause`: cause and next step for the operator's log; "" where that has a line already, or needs none.
    """

    def __init__(
        self, code: int, message: str, *, reason: str = "", delay: float = 0.0, cause: str = ""
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.delay = delay
        self.cause = cause
        #: The target of the request with which the client came, "" once it was let in.
        self.path = ""


class MessageRejected(ProtocolError):
    """Send `pusher:error` with `code` (None is JSON null), on `channel` if given; the connection stays open.

    `cause`: what the operator's log adds to the message.
    """

    def __init__(
        self, code: int | None, message: str, *, channel: str | None = None, cause: str = ""
    ) -> None:
        super().__init__(message)
        self.code = code
        self.channel = channel
        self.cause = cause


class SubscriptionRefused(ProtocolError):
    """One subscription is refused. Not for a temporary fault: pusher-js never repeats the subscription.

    `reason` says in one word what is wrong with the `auth`, `key` is the key in it that the app does not have.
    """

    def __init__(
        self,
        channel: str,
        message: str,
        *,
        kind: Literal["AuthError", "LimitReached", "InvalidChannel", "InvalidData"] = "AuthError",
        status: int = 401,
        reason: str = "",
        key: str = "",
    ) -> None:
        super().__init__(message)
        self.channel = channel
        self.reason = reason
        self.key = key
        self.kind = kind
        self.status = status

    @classmethod
    def limit_reached(cls, channel: str, message: str, *, status: int) -> Self:
        """Return the answer to a subscribe beyond one of the app's limits."""
        return cls(channel, message, kind="LimitReached", status=status)

    @classmethod
    def invalid_channel(cls, channel: str, message: str) -> Self:
        """Return the answer to a name that no channel can have."""
        return cls(channel, message, kind="InvalidChannel", status=400)

    @classmethod
    def invalid_data(cls, channel: str, message: str) -> Self:
        """Return the answer to `channel_data` that is missing, unreadable or of another user."""
        return cls(channel, message, kind="InvalidData", status=400)


class FramingViolation(ProtocolError):
    """The WebSocket layer itself was broken; `code` is an RFC 6455 §7.4.1 close code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class InvalidChannelName(ProtocolError):
    """The name is empty, too long or has characters outside the grammar (docs/protocol/channels.md#names)."""


class MalformedText(ProtocolError):
    """Not JSON, not UTF-8, nested too deeply, or with a number that is out of range."""


class NotUtf8(MalformedText):
    """The bytes are not UTF-8; on a WebSocket that ends the connection (RFC 6455 §8.1)."""


class TooDeep(MalformedText):
    """JSON with more than `depth` levels (RFC 8259 §9 lets a reader bound them)."""

    def __init__(self, depth: int) -> None:
        super().__init__(f"The JSON is nested more than {depth} levels deep")


def invalid_message() -> MessageRejected:
    """The one answer to every frame that is not a message (docs/protocol/frames.md#malformed)."""
    return MessageRejected(Code.RECONNECT, "Invalid message format")
