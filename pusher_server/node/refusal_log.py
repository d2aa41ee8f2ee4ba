"""Log lines about refused subscriptions and clients that are sent away: one a minute for each cause."""

import logging
from collections.abc import Callable

from pusher_server.log_rate_limit import LogRateLimit
from pusher_server.protocol.channel_name import kind_of
from pusher_server.protocol.errors import SubscriptionRefused

logger = logging.getLogger("pusher_server.node")
#: The logger of lines about clients that are sent away, for any reason.
clients_logger = logging.getLogger("pusher_server.websocket")

#: Beginning of the text that the client got -> the part of it to log, and what to check. Signed texts and
#: digests stay out: a digest that is wrong here may be right elsewhere.
_AUTH = (
    (
        "Invalid signature",
        "the backend's PUSHER_APP_SECRET is not this app's, or another socket_id was signed",
    ),
    ("Invalid key", "the backend's PUSHER_APP_KEY is none of this app's keys"),
    ("Auth info required", "the client sent no auth: its authEndpoint, and what that answers"),
    ("The connection is not signed in", "the client has to sign in as that user first"),
)
_OTHER = {
    "LimitReached": "the app's limits (docs/configuration.md)",
    "InvalidChannel": "the channel's name; lenient_channel_names allows more characters",
    "InvalidData": "the channel_data that the backend's auth endpoint answers: it needs a user_id",
}


class RefusalLog:
    """`clock` gives seconds that only rise."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._limit = LogRateLimit()

    def sent_away(self, cause: Exception) -> None:
        """Log that a client cannot be served for now, or count it for the next line about this cause."""
        clients = self._limit.due(("sent away", str(cause)), self._clock())
        if clients:
            fields = {"as_before": clients - 1} if clients > 1 else {}
            clients_logger.warning("a client is sent away: %s", cause, extra=fields)

    def refused(self, app_id: str, refusal: SubscriptionRefused) -> None:
        """Log it, or count it for the next line about it."""
        reason, check = _explained(refusal)
        refusals = self._limit.due((app_id, kind_of(refusal.channel), check), self._clock())
        if not refusals:
            return
        fields: dict[str, object] = {"app": app_id, "channel": refusal.channel, "reason": reason}
        if refusals > 1:
            fields["as_before"] = refusals - 1
        logger.warning("subscription refused; check %s", check, extra=fields)


def _explained(refusal: SubscriptionRefused) -> tuple[str, str]:
    if refusal.kind == "AuthError":
        for start, check in _AUTH:
            if refusal.message.startswith(start):
                return start, check
        return "not authorized", "what the backend's auth endpoint answers"
    return refusal.message, _OTHER[refusal.kind]
