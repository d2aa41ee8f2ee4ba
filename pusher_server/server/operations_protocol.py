"""One connection of the operations listener: the bounded HTTP protocol, without an upgrade and a fast path."""

import asyncio
from collections.abc import Callable
from typing import Any

from pusher_server.config import HttpSettings
from pusher_server.server.bounded_protocol import BoundedProtocol
from pusher_server.server.http_heads import refusal

#: Connections at a time: a scraper, a load balancer, a person.
CONNECTIONS = 64
#: The listener's own bounds, in bytes and seconds; those of `[http]` are made for publications.
BOUNDS = HttpSettings(header_bytes=16_384, header_timeout=10.0, body_timeout=10.0, keep_alive=75.0)
#: Headers of an answer whose connection stays; uvicorn sends only `close`. HTTP/1.0 needs them (RFC 9112 §9.3).
_KEPT = [(b"connection", b"keep-alive")]


class OperationsProtocol(BoundedProtocol):
    """Serves the ASGI application of uvicorn's `config`.

    `look` is called when something may take too long from now on: `RequestGuard.tick` has to run soon.
    """

    def __init__(self, *, look: Callable[[], None], **bounded: Any) -> None:
        super().__init__(**bounded)
        self._look = look
        self.access_log = False  # it is for publications; uvicorn has one for all its servers

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS:  # no lingering: of refused ones there is no bound
            transport.write(refusal(b"503 Service Unavailable", b"Too many clients\n"))
            transport.close()
            return
        self._expect_within(BOUNDS.header_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        self._guard.gone(self)
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._declines = False
        self._unset_keepalive_if_required()
        self._expect_within(BOUNDS.header_timeout)

    def on_headers_complete(self) -> None:
        # uvicorn may have begun to wait for a request whose head was coming already.
        self._unset_keepalive_if_required()
        headers = dict(self.headers)
        self.head_ended(headers)
        if self._header_bytes > BOUNDS.header_bytes:
            self._measure_head()
        self._header_bytes = 0
        if self.parser.get_http_version() not in ("1.0", "1.1"):
            self.refuse(b"400 Bad Request", b"Not an HTTP/1 request\n")
            raise ValueError("another version")  # ends the parsing
        if b"host" not in headers or len(headers) != len(self.headers):  # some name is repeated
            self._check_host()
        self._begin_body()
        self._declines = self.parser.should_upgrade()
        if self._declines:
            return
        super().on_headers_complete()
        # As uvicorn's, but for HTTP/1.0, which may keep the connection, and for bodies.
        has_body = headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
        self.cycle.keep_alive = self.parser.should_keep_alive() and not has_body
        self.cycle.default_headers = _KEPT if self.cycle.keep_alive else []

    def on_body(self, body: bytes) -> None:
        self._header_bytes = 0
        self._count_body(len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._header_bytes = 0
        if not self._declines:
            self._guard.deadlines.pop(self, None)
            super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._look()

    def linger(self) -> None:
        super().linger()
        self._look()

    def leave(self) -> None:
        """End without a further answer: the listener closes."""
        if self.cycle is not None:
            self.cycle.disconnected = True
        self.end()

    def _expect_within(self, seconds: float) -> None:
        super()._expect_within(seconds)
        self._look()
