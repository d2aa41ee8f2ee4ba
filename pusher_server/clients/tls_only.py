"""Refuses clients without TLS with 4000, at a bounded rate, and logs the reason for the operator.

4000 lets pusher-js come again at once, over TLS. That changes nothing behind a proxy that is not trusted, or
that does not forward the fact of TLS. There it came 49 times a second (measured). The first refusal of an
address is sent at once, so that a client with TLS loses no time. Repeated refusals wait for a second.
"""

import logging

from pusher_server.clients.request import ClientRequest
from pusher_server.log_rate_limit import LogRateLimit
from pusher_server.protocol.errors import Code, ConnectionRejected

logger = logging.getLogger("pusher_server.websocket")

#: Seconds until a repeated refusal is sent, and seconds within which a refusal counts as repeated.
DELAY = 1.0
_AGAIN = 10.0
#: Addresses that are remembered.
_KEPT = 10_000
#: Bytes of a header that are remembered, and that a log line shows.
_SHOWN = 64


class TlsRefusals:
    """Times are seconds that only rise."""

    def __init__(self) -> None:
        #: Client -> when it was refused last; the longest ago is first.
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
    """Advice for the operator, in case the proxy is at fault."""
    peer = request.peer
    who = f"{peer} (server.trusted_proxies)" if peer else "the proxy behind the Unix socket"
    if not request.by_proxy:
        return f"if {peer} is your proxy and speaks TLS, name it in server.trusted_proxies"
    scheme = request.joined(b"x-forwarded-proto")
    if scheme is None:
        return f"{who} sends no X-Forwarded-Proto; let it send https"
    return f"{who} says X-Forwarded-Proto: {scheme[:_SHOWN]}"
