"""Clients without TLS, of an app that takes no others: told 4000, at a pace, and the operator why.

4000 lets pusher-js come again at once, by TLS. Behind a proxy that is not trusted, or does not say that the
client came by TLS, that changes nothing, and it came 49 times a second (measured). The first refusal of an
address is said at once, so that a client which can do better loses no time; the others wait for a second.
"""

import logging

from pusher_server.clients.request import ClientRequest
from pusher_server.log_rate_limit import LogRateLimit
from pusher_server.protocol.errors import Code, ConnectionRejected

logger = logging.getLogger("pusher_server.websocket")

#: Seconds until a client hears that it is refused again, and for how long that counts as again.
DELAY = 1.0
_AGAIN = 10.0
#: Addresses that are remembered.
_KEPT = 10_000
#: Bytes of a header that are remembered, and that a log line shows.
_SHOWN = 64


class TlsRefusals:
    """Times are seconds that only rise."""

    def __init__(self) -> None:
        #: Whom -> when it was refused last; the longest ago is first.
        self._refused: dict[tuple[str | None, str], float] = {}
        self._log_limit = LogRateLimit()

    def refuse(self, app_id: str, request: ClientRequest, now: float) -> ConnectionRejected:
        """The refusal of a client that came without TLS."""
        client = (request.peer, (request.forwarded_for or "")[:_SHOWN])
        before = self._refused.pop(client, None)
        if len(self._refused) >= _KEPT:
            del self._refused[next(iter(self._refused))]
        self._refused[client] = now
        if self._log_limit.due(app_id, now):
            logger.warning(
                "a client without TLS was sent away from a tls_only app: %s",
                _advice(request),
                extra={"app": app_id},
            )
        return ConnectionRejected(
            Code.TLS_REQUIRED,
            "Application only accepts SSL connections, reconnect using wss://",
            delay=DELAY if before is not None and now - before < _AGAIN else 0.0,
        )


def _advice(request: ClientRequest) -> str:
    """What an operator can do, if it is the proxy's fault."""
    peer = request.peer
    who = f"{peer} (server.trusted_proxies)" if peer else "the proxy behind the Unix socket"
    if not request.by_proxy:
        return f"if {peer} is your proxy and speaks TLS, name it in server.trusted_proxies"
    said = request.joined(b"x-forwarded-proto")
    if said is None:
        return f"{who} sends no X-Forwarded-Proto; let it send https"
    return f"{who} says X-Forwarded-Proto: {said[:_SHOWN]}"
