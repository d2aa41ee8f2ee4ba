"""uvicorn's HTTP protocol with three additions: our WebSocket upgrade, time-outs, a bound on headers.

It leans on parts of `HttpToolsProtocol` that uvicorn does not document: the constructor's arguments,
`handle_websocket_upgrade`'s moment, `scope`, `headers`, `cycle`, the parser's callbacks. The minor
version is pinned, and `tests/edge/test_uvicorn_contract.py` holds each of them.
"""

import asyncio
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pusher_server.config import HttpSettings
from pusher_server.server.proxies import TrustedProxies
from pusher_server.websocket.connection import WebSocketConnection
from pusher_server.websocket.edge import WebSocketEdge
from pusher_server.websocket.handshake import HandshakeRefused, Upgrade, accept


class RequestGuard:
    """Who is in the middle of sending a request, and until when it may take (slow-loris)."""

    def __init__(self, settings: HttpSettings) -> None:
        self.settings = settings
        self.deadlines: dict[HttpProtocol, float] = {}

    def tick(self, now: float) -> None:
        """End the requests that take too long. Called a few times a second."""
        for protocol in [each for each, deadline in self.deadlines.items() if deadline <= now]:
            protocol.refuse(b"408 Request Timeout", b"The request did not arrive in time.\n")


class HttpProtocol(HttpToolsProtocol):
    """One HTTP connection, until it is upgraded."""

    def __init__(
        self, *, edge: WebSocketEdge, guard: RequestGuard, proxies: TrustedProxies, **uvicorn: Any
    ) -> None:
        super().__init__(**uvicorn)
        self._edge = edge
        self._guard = guard
        self._proxies = proxies
        self._header_bytes = 0
        self._in_headers = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._expect_within(self._guard.settings.header_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        self._guard.deadlines.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._in_headers:
            self._header_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._should_upgrade():
                self._upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.refuse(b"400 Bad Request", b"Invalid HTTP request received.\n")
        else:
            if self._in_headers and self._header_bytes > self._guard.settings.header_bytes:
                self.refuse(
                    b"431 Request Header Fields Too Large",
                    b"The request's headers are too large.\n",
                )

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect_within(self._guard.settings.header_timeout)

    def on_headers_complete(self) -> None:
        self._in_headers = False
        self._expect_within(self._guard.settings.body_timeout)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._expect_within(self._guard.settings.body_timeout)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_headers = True
        self._header_bytes = 0
        self._guard.deadlines.pop(self, None)
        super().on_message_complete()

    def refuse(self, status: bytes, text: bytes) -> None:
        """Answer, unless an answer has begun, and close."""
        self._guard.deadlines.pop(self, None)
        if self.cycle is None or not self.cycle.response_started or self.cycle.response_complete:
            self.transport.write(
                b"HTTP/1.1 %b\r\ncontent-type: text/plain; charset=utf-8\r\n"
                b"content-length: %d\r\nconnection: close\r\n\r\n%b" % (status, len(text), text)
            )
        self.transport.close()

    def _should_upgrade_to_ws(self) -> bool:
        return True

    def _expect_within(self, seconds: float) -> None:
        self._guard.deadlines[self] = self.loop.time() + seconds

    def _upgrade(self, early: bytes) -> None:
        """Hand the transport over to a WebSocket connection; `early` came behind the request."""
        self._guard.deadlines.pop(self, None)
        if self.cycle is not None and not self.cycle.response_complete:
            self.refuse(b"400 Bad Request", b"An upgrade must not be pipelined.\n")
            return
        upgrade = Upgrade(self.scope["method"], self.url.decode("latin-1"), self.headers)
        try:
            greeting = accept(upgrade)
        except HandshakeRefused as refusal:
            self.transport.write(refusal.response)
            self.transport.close()
            return
        peer = None if self.client is None else self.client[0]
        forwarded = upgrade.header(b"x-forwarded-proto")
        secure = self.scheme == "https" or self._proxies.is_secure(peer, forwarded)
        self.connections.discard(self)
        connection = WebSocketConnection(
            self._edge,
            self.transport,
            self._proxies.client(peer, upgrade.header(b"x-forwarded-for")),
            self.connections.discard,
        )
        self.connections.add(connection)  # type: ignore[arg-type]  # as above; it only calls shutdown()
        self.transport.set_protocol(connection)
        connection.open(upgrade, greeting, secure=secure)
        if early:
            connection.data_received(early)
