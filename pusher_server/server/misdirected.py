"""Names clients that speak another protocol than their port does, and failed TLS handshakes.

Each is a mistake in somebody's settings, and the client seldom shows our answer to a person. So the log has a
line for each mistake, one a minute for each port, and a metric counts them.
"""

import logging
import re
from collections.abc import Callable

from msgspec import Struct

from pusher_server.diagnosis.evidence import Evidence
from pusher_server.log_rate_limit import LogRateLimit, repeated
from pusher_server.signals import RequestRefused, Signal

logger = logging.getLogger("pusher_server.server")

#: The first bytes of a PROXY header, version 2 (HAProxy's proxy-protocol.txt, section 2.2).
_PROXY_V2 = b"\r\n\r\n\x00\r\nQUIT\n"


class Mistake(Struct, frozen=True):
    """One way to miss us: its word in the metric, its line in the log, and the text for the client."""

    reason: str
    line: str
    text: str = ""


TLS = Mistake(
    "tls",
    "a client speaks TLS to a port without TLS: let it use ws:// or http:// (scheme http, forceTLS false),"
    " set server.tls, or put a proxy with TLS in front",
    "This port speaks plain HTTP, and TLS came: use http:// or ws://, or a port with TLS.",
)
PLAIN_HTTP = Mistake(
    "plain_http",
    "a client speaks plain HTTP to a port with TLS: let it use https:// or wss:// (scheme https,"
    " forceTLS true)",
    "This port speaks TLS, and plain HTTP came: use https:// or wss://.",
)
PROXY_PROTOCOL = Mistake(
    "proxy_protocol",
    "a proxy sends the PROXY protocol, which is read only with server.proxy_protocol = true and from"
    " server.trusted_proxies: set both, or switch it off there (HAProxy: send-proxy, nginx: proxy_protocol)",
    "This server does not read the PROXY protocol from here: switch it off in the proxy, or name the proxy in"
    " server.trusted_proxies and set server.proxy_protocol.",
)
NO_PROXY_HEADER = Mistake(
    "no_proxy_header",
    "a trusted proxy begins a connection without a PROXY header that can be read: switch it on there (HAProxy:"
    " send-proxy-v2, check-send-proxy; nginx: proxy_protocol on), or set server.proxy_protocol = false",
    "server.proxy_protocol is on, and this trusted proxy sends no PROXY header.",
)
HTTP2 = Mistake(
    "http2",
    "a client speaks HTTP/2 without TLS: let it, or the proxy in front, use HTTP/1.1 to this server",
    "This server speaks HTTP/1.1, and HTTP/2 came: use HTTP/1.1.",
)
CERTIFICATE_REFUSED = Mistake(
    "certificate_refused",
    "a client does not accept our certificate: server.tls.certificate needs the whole chain, the host name"
    " that the client uses, and an issuer that the client knows",
)
OLD_TLS = Mistake(
    "old_tls",
    "a client offers no version or cipher of TLS that this server takes: it needs TLS 1.2 or newer",
)

#: OpenSSL's reason for a failed handshake -> the mistake. Clients send the first as alerts (RFC 8446 §6.2).
_HANDSHAKES = {
    "TLSV1_ALERT_UNKNOWN_CA": CERTIFICATE_REFUSED,
    "SSLV3_ALERT_BAD_CERTIFICATE": CERTIFICATE_REFUSED,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": CERTIFICATE_REFUSED,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": CERTIFICATE_REFUSED,
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": CERTIFICATE_REFUSED,
    "UNSUPPORTED_PROTOCOL": OLD_TLS,
    "NO_SHARED_CIPHER": OLD_TLS,
    "HTTP_REQUEST": PLAIN_HTTP,
    "HTTPS_PROXY_REQUEST": PLAIN_HTTP,
}


def foreign_protocol(opening: bytes) -> Mistake | None:
    """Return which protocol a client speaks that begins like this; None for HTTP/1 and for garbage.

    A parser of HTTP has passed over line breaks in front, and over the first line of an HTTP/2 preface.
    """
    if opening[:1] == b"\x16":  # a handshake record (RFC 8446 §5.1)
        return TLS
    if opening.startswith((b"PROX", _PROXY_V2, _PROXY_V2[4:])):
        return PROXY_PROTOCOL
    if opening.startswith((b"PRI * HTTP/2", b"SM\r\n\r\n")):  # RFC 9113 §3.4
        return HTTP2
    return None


def foreign_to_tls(opening: bytes) -> Mistake | None:
    """Return which protocol a client speaks to a port with TLS; None for TLS and for garbage."""
    mistake = foreign_protocol(opening)
    if mistake is PROXY_PROTOCOL:
        return mistake
    if mistake is HTTP2 or re.fullmatch(rb"[A-Z]+( .*)?", opening, re.DOTALL):
        return PLAIN_HTTP
    return None


def failed_handshake(error: Exception) -> Mistake | None:
    """Return what is wrong with a client whose TLS handshake failed; None when that is nobody's setting."""
    return _HANDSHAKES.get(getattr(error, "reason", None) or "")


class MisdirectedLog:
    """The log lines and the count of mistakes. `clock` gives seconds that only rise."""

    def __init__(
        self,
        emit: Callable[[Signal], None],
        clock: Callable[[], float],
        evidence: Evidence | None = None,
    ) -> None:
        self._emit = emit
        #: None on a listener of operators, whose requests are no client's.
        self._evidence = evidence
        self._clock = clock
        self._limit = LogRateLimit()

    def note(self, mistake: Mistake, peer: str | None, port: int | None) -> None:
        """Count the mistake, and log it if its line is due. `port` is ours, None on a Unix socket."""
        self._emit(RequestRefused(app_id="", reason=mistake.reason))
        if self._evidence is not None:
            self._evidence.refused(
                "protocol",
                "",
                mistake.reason,
                subject="",  # a path may have a secret in a key's place
                cause=mistake.line,
                address=peer or "",
            )
        requests = self._limit.due((mistake.reason, port), self._clock())
        if not requests:
            return
        fields: dict[str, object] = {"address": peer or "unix"}
        if port is not None:
            fields["port"] = port
        logger.warning(mistake.line, extra=fields | repeated(requests))
