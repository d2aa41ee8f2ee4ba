"""Bounds half requests, idle connections and unread answers of HTTP clients, in time and memory.

Bodies are kept only for requests whose signature holds. While an app is looked up this is unknown. So the bytes
of such bodies are bounded for all of them together, and the slowest sender goes first.
"""

import logging
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from pusher_server.config import HttpSettings
from pusher_server.http_api.api import Admission
from pusher_server.http_api.responses import ApiResponse
from pusher_server.log_rate_limit import LogRateLimit, SourceRateLimit, repeated
from pusher_server.server.http_heads import NO_ROOM, TOO_SLOW

if TYPE_CHECKING:
    from pusher_server.server.bounded_protocol import BoundedProtocol
    from pusher_server.server.http_protocol import HttpProtocol

logger = logging.getLogger("pusher_server.http")

#: A body may take these seconds and one more for each so many bytes, as with `MinRate` in Apache's
#: mod_reqtimeout. Less than any link that carries an event in time, but a byte a second is cut.
BODY_SECONDS = 10.0
BODY_RATE = 1_000
#: Bytes kept of all bodies with unknown senders, together. Past it an eighth is made free: to make room, all
#: of them are looked at.
UNVERIFIED_BYTES = 64 * 1_048_576
#: Seconds from closing an idle connection to its end. Event loops wait 30 for a TLS client's
#: close, and most clients look at an idle connection only when they need it again.
_GOODBYE_SECONDS = 0.5


class HttpExchange:
    """A request with a body that goes through an ASGI cycle; `http_api.asgi.Connection` for it.

    `verdict` is what its head has earned, None while its app is being looked up.
    """

    def __init__(
        self,
        protocol: "HttpProtocol",
        cycle: RequestResponseCycle,
        verdict: Admission | ApiResponse | None,
    ) -> None:
        self.protocol = protocol
        self.verdict = verdict
        self._cycle = cycle
        self._since = protocol.loop.time()
        self._received = 0
        #: Bytes that were counted before they were parsed.
        self.counted_ahead = 0

    def uncounted(self, size: int) -> int:
        """How much of the next `size` bytes of the body has not been counted yet."""
        known = min(size, self.counted_ahead)
        self.counted_ahead -= known
        return size - known

    @property
    def kept(self) -> int:
        """Bytes of the body that are in our memory now, and of what came behind it."""
        return len(self._cycle.body) + self.protocol.unfed_bytes

    def has_received(self, size: int) -> None:
        """Some more of the body has come."""
        self._received += size

    def rate(self, now: float) -> float:
        """Bytes per second since the head."""
        return self._received / max(now - self._since, 0.001)

    def is_decided(self) -> None:
        """The sender is known, or has been refused: then nothing is kept."""
        self.protocol.is_decided(self)

    def end_after_answer(self) -> None:
        """The answer is out and the body is not."""
        self.protocol.linger()


class RequestGuard:
    """Connections in the middle of a request, with the deadline of its arrival (slow-loris)."""

    def __init__(self, settings: HttpSettings) -> None:
        self.settings = settings
        self.deadlines: dict[BoundedProtocol, float] = {}
        #: Connections that were answered on the fast path, with the deadline of their next request.
        self.idle: dict[BoundedProtocol, float] = {}
        #: Connections that do not read our answers, with the end of our patience.
        self.unread: dict[BoundedProtocol, float] = {}
        #: Requests whose senders are not known yet; they count the bytes of their bodies.
        self._unverified: dict[BoundedProtocol, list[HttpExchange]] = {}
        #: An upper bound of all these bytes: it is made exact when it matters.
        self._at_most = 0
        self._log_limit = LogRateLimit()
        self._refused_heads = SourceRateLimit()

    def tick(self, now: float) -> None:
        """End the requests that take too long. Called a few times a second."""
        for protocol in [late for late, deadline in self.idle.items() if deadline <= now]:
            if not protocol.transport.is_closing():
                self.end(protocol, now)
            elif not protocol.transport.get_write_buffer_size():
                protocol.transport.abort()
            elif protocol not in self.unread:  # the rest of an answer, less than pauses writing
                self.unread[protocol] = now + self.settings.body_timeout
        for protocol in [late for late, deadline in self.unread.items() if deadline <= now]:
            protocol.transport.abort()
        for protocol in [late for late, deadline in self.deadlines.items() if deadline <= now]:
            protocol.refuse(*TOO_SLOW)
            self._log("requests were cut: they came too slowly", logging.INFO, now)

    def end(self, protocol: "BoundedProtocol", now: float) -> None:
        """Close a connection whose last answer is out, or see that one which was closed goes."""
        if not protocol.transport.is_closing():
            protocol.transport.close()
        elif protocol in self.idle:
            return
        self.idle[protocol] = now + _GOODBYE_SECONDS

    def watch(self, exchange: HttpExchange) -> None:
        """Count the kept bytes of its body until it is decided."""
        self._unverified.setdefault(exchange.protocol, []).append(exchange)

    def forget(self, exchange: HttpExchange) -> None:
        """Stop counting an exchange that is decided."""
        waiting = self._unverified.get(exchange.protocol, [])
        if exchange in waiting:
            waiting.remove(exchange)
            if not waiting:
                del self._unverified[exchange.protocol]

    def gone(self, protocol: "BoundedProtocol") -> None:
        """A connection has ended."""
        for connections in (self.deadlines, self.idle, self.unread, self._unverified):
            connections.pop(protocol, None)

    def note(self, exchange: HttpExchange, size: int, now: float) -> None:
        """So much more of a body is kept. Past the bound for all strangers together the slowest go."""
        if exchange not in self._unverified.get(exchange.protocol, ()):
            return
        exchange.has_received(size)
        self._at_most += size
        if self._at_most > UNVERIFIED_BYTES:
            self._make_room(now)

    def _make_room(self, now: float) -> None:
        exchanges = [exchange for waiting in self._unverified.values() for exchange in waiting]
        kept = sum(exchange.kept for exchange in exchanges)
        for exchange in sorted(exchanges, key=lambda exchange: exchange.rate(now)):
            if kept <= UNVERIFIED_BYTES * 7 // 8:
                break
            kept -= exchange.kept
            self.forget(exchange)
            exchange.protocol.refuse(*NO_ROOM, is_last=True)
            event = "requests were refused: too many wait for their apps to be looked up"
            self._log(event, logging.WARNING, now)
        self._at_most = kept

    def log_refused_head(self, reason: str, cause: str, address: str, now: float) -> None:
        """Log a request that is refused before it is understood, if its line is due."""
        requests = self._refused_heads.due(cause, address, now)
        fields: dict[str, object] = {"address": address, "reason": reason}
        level = logging.WARNING if requests else logging.DEBUG
        logger.log(level, "request refused: %s", cause, extra=fields | repeated(requests))

    def _log(self, event: str, level: int, now: float) -> None:
        """Log a line a minute, with the number of requests since the last one."""
        requests = self._log_limit.due(event, now)
        if requests:
            logger.log(level, event, extra={"requests": requests})
