"""Log lines about clients that are refused, and about their subscriptions and messages.

A line names the cause and the next step. Each client that is refused has one a minute, up to a few of them for
each app and reason. The next line has the number of the others. At the level debug every refusal is a line.
"""

import logging
from collections.abc import Callable, Hashable

from pusher_server.app import shown_key
from pusher_server.diagnosis.entry import page_of, with_guess
from pusher_server.diagnosis.evidence import Evidence, Guess, Kind
from pusher_server.errors import ClusterUnavailable
from pusher_server.log_rate_limit import LogRateLimit, SourceRateLimit, repeated
from pusher_server.protocol.channel_name import kind_of
from pusher_server.protocol.client_path import shown_path
from pusher_server.protocol.errors import (
    KEY_IS_SECRET,
    ConnectionRejected,
    FramingViolation,
    MessageRejected,
    ProtocolError,
    SubscriptionRefused,
)

logger = logging.getLogger("pusher_server.node")
#: The logger of lines about connections.
clients_logger = logging.getLogger("pusher_server.websocket")

#: Characters of a path, of a channel's name, and of a message's answer in a line.
_SHOWN_PATH = 120
_SHOWN_NAME = 200
_SHOWN_TEXT = 300

#: Reason of a refused `auth` -> cause and next step. Signed texts and digests stay out: a digest that is wrong
#: here may be right elsewhere.
AUTH_CAUSES = {
    "signature": "the signature does not match: the backend's PUSHER_APP_SECRET differs from this app's,"
    " or it signed another socket_id",
    "unknown_key": "the key of its auth is not this app's: the backend's PUSHER_APP_KEY is wrong",
    "key_is_secret": "the key of its auth is the app's secret: the backend's PUSHER_APP_KEY and"
    " PUSHER_APP_SECRET are swapped",
    "incomplete": "the client sent no auth: check its authEndpoint, and what that answers",
    "not_signed_in": "the channel is a user's own: the client has to sign in as that user first",
}
_FRAMES = {
    1009: "the message is larger than limits.message_bytes",
    1003: "the client sends binary frames, which the protocol does not have",
}


class RefusalLog:
    """Refusals become evidence, and a line if one is due. `clock` gives seconds that only rise."""

    def __init__(self, clock: Callable[[], float], evidence: Evidence) -> None:
        self._clock = clock
        self._evidence = evidence
        self._outages = LogRateLimit()
        self._limit = SourceRateLimit()

    def sent_away(self, cause: ClusterUnavailable) -> None:
        """Log that a client cannot be served for now, or count it for the next line about this cause."""
        clients = self._outages.due(str(cause), self._clock())
        if clients:
            clients_logger.warning("a client is sent away: %s", cause, extra=repeated(clients))

    def connection(
        self, app_id: str, address: str, error: ConnectionRejected | FramingViolation
    ) -> None:
        """Log a connection that is refused, or that is ended for a fault.

        One whose error has no cause to log is a line at the level debug only.
        """
        cause, path, event = "", "", "connection ended"
        if isinstance(error, FramingViolation):
            cause = f"{error.message}; {_FRAMES.get(error.code, 'the client breaks RFC 6455')}"
        elif error.path:
            cause, path, event = error.cause, _shown_path(app_id, error), "connection refused"
        else:
            cause = error.cause
        reason = getattr(error, "reason", "")
        subject = ("connection", app_id, error.code, reason)
        if cause:  # the others pass, or have a line elsewhere
            kind: Kind = "sign_in" if reason == "sign_in" else "connection"
            text = cause.removeprefix("the sign-in is refused: ")
            self._keep(kind, app_id, f"{int(error.code)} {reason}", path, text, address, error)
        fields: dict[str, object] = {"app": app_id} if app_id else {}
        if path:
            fields["path"] = path
        fields |= {"address": address, "code": int(error.code)}
        due = self._due(subject, address, f"{path} {cause}") if cause else 0
        cause = with_guess(cause or error.message, _guess(error))
        self._write(clients_logger, due, f"{event}: %s", cause, fields, page_of("connection"))

    def subscription(self, app_id: str, address: str, refusal: SubscriptionRefused) -> None:
        """Log a refused subscription."""
        fields: dict[str, object] = {
            "app": app_id,
            "channel": refusal.channel[:_SHOWN_NAME],
            "address": address,
        }
        if refusal.key:
            fields["key"] = shown_key(refusal.key)
        subject = (app_id, kind_of(refusal.channel), refusal.kind, refusal.reason)
        due = self._due(subject, address, "")
        cause, name = _cause(refusal), refusal.channel[:_SHOWN_NAME]
        reason = refusal.reason or refusal.kind
        self._keep("subscription", app_id, reason, name, cause, address, refusal)
        cause = with_guess(cause, _guess(refusal))
        page = page_of("subscription")
        self._write(logger, due, "subscription refused: %s", cause, fields, page)

    def message(self, app_id: str, address: str, error: MessageRejected) -> None:
        """Log a message of a client that is answered with an error."""
        text = error.message[:_SHOWN_TEXT]
        cause = f"{text}; {error.cause}" if error.cause else text
        fields: dict[str, object] = {"app": app_id, "address": address}
        if error.channel is not None:
            fields["channel"] = error.channel[:_SHOWN_NAME]
        due = self._due(("message", app_id, error.code), address, text)
        name = (error.channel or "")[:_SHOWN_NAME]
        self._keep("message", app_id, str(error.code or 0), name, cause, address, error)
        page = page_of("message")
        self._write(clients_logger, due, "message refused: %s", cause, fields, page)

    def _keep(
        self,
        kind: Kind,
        app_id: str,
        reason: str,
        subject: str,
        cause: str,
        address: str,
        error: ProtocolError,
    ) -> None:
        guess = _guess(error)
        self._evidence.refused(
            kind, app_id, reason, subject=subject, cause=cause, address=address, guess=guess
        )

    def _due(self, subject: Hashable, address: str, line: str) -> int:
        return self._limit.due(subject, address, self._clock(), line)

    def _write(
        self,
        target: logging.Logger,
        due: int,
        event: str,
        cause: str,
        fields: dict[str, object],
        page: str,
    ) -> None:
        """Write a warning if one is due, which stands for so many refusals; else a line for debug."""
        fields["see"] = page
        level = logging.WARNING if due else logging.DEBUG
        target.log(level, event, cause, extra=fields | repeated(due))


def _guess(error: ProtocolError) -> Guess | None:
    """Return the part of a signed text that differs, None when that is not known."""
    return error.guess if isinstance(error.guess, Guess) else None


def _shown_path(app_id: str, error: ConnectionRejected) -> str:
    """The path of a refused request, with a key that no app is known to have as far as it may be shown."""
    path = error.path.partition("?")[0]
    if error.reason == KEY_IS_SECRET:
        return f"{path.rstrip('/').rpartition('/')[0]}/***"[:_SHOWN_PATH]
    return (path if app_id else shown_path(path))[:_SHOWN_PATH]


def _cause(refusal: SubscriptionRefused) -> str:
    """Cause and next step."""
    text = refusal.message[:_SHOWN_TEXT]
    match refusal.kind:
        case "AuthError":
            return AUTH_CAUSES.get(refusal.reason, "check what the backend's auth endpoint answers")
        case "LimitReached":
            return f"{text}; the app's limits say so (docs/configuration.md)"
        case "InvalidChannel":
            return f"{text}; limits.channel_name_length and lenient_channel_names decide"
        case "InvalidData":
            return f"{text}; the backend's auth endpoint has to answer channel_data with a user_id"
