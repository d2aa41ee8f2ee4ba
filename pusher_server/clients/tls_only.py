"""Refuses clients without TLS with 4000, at a bounded rate, and says what an operator should check.

4000 lets pusher-js come again at once, over TLS. That changes nothing behind a proxy that is not trusted, or
that does not forward the fact of TLS. There it came 49 times a second (measured). The first refusal of an
address is sent at once, so that a client with TLS loses no time. Repeated refusals wait for a second.
"""

from pusher_server.clients.request import ClientRequest
from pusher_server.protocol.errors import Code, ConnectionRejected

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

    def refuse(self, request: ClientRequest, now: float) -> ConnectionRejected:
        """The refusal of a client that came without TLS."""
        client = (request.peer, (request.forwarded_for or "")[:_SHOWN])
        before = self._refused.pop(client, None)
        if len(self._refused) >= _KEPT:
            del self._refused[next(iter(self._refused))]
        self._refused[client] = now
        return ConnectionRejected(
            Code.TLS_REQUIRED,
            "Application only accepts SSL connections, reconnect using wss://",
            delay=DELAY if before is not None and now - before < _AGAIN else 0.0,
            cause=f"the app is tls_only and the client came without TLS: {_advice(request)}",
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
