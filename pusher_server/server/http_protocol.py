"""uvicorn's HTTP protocol with five additions: our WebSocket upgrade, a short way for publications,
time-outs, a bound on headers, bounded work per turn of the loop (`paced_protocol`).

The short way: the body of a publication is gathered here, answered in the same step and written at once.
Through an ASGI cycle it costs twice as much (docs/performance.md).

It leans on parts of `HttpToolsProtocol` that uvicorn does not document: the constructor's arguments,
`handle_websocket_upgrade`'s moment, `scope`, `headers`, `cycle`, the parser's callbacks. The minor
version is pinned, and `tests/edge/test_uvicorn_contract.py` holds each of them.
"""

import asyncio
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import httptools

from pusher_server.http_api.asgi import ApiApplication
from pusher_server.http_api.requests import ApiRequest
from pusher_server.http_api.responses import ApiResponse
from pusher_server.server.address_limits import Entrance, Visit
from pusher_server.server.file_reserve import FileReserve
from pusher_server.server.paced_protocol import PacedFlow, PacedProtocol
from pusher_server.server.proxies import TrustedProxies
from pusher_server.server.request_guard import RequestGuard
from pusher_server.signals import RequestRefused
from pusher_server.websocket.connection import WebSocketConnection
from pusher_server.websocket.edge import WebSocketEdge
from pusher_server.websocket.handshake import HandshakeRefused, Upgrade, accept, joined

_PUBLICATION_PATHS = (b"/events", b"/batch_events")


_HEAD_TOO_LARGE = (
    b"431 Request Header Fields Too Large",
    b"The request's headers are too large.\n",
)
#: Seconds in which a client whose address has too many connections may send the head that is refused.
_REFUSED_SECONDS = 2.0
#: Seconds in which the client may still send after it was refused.
_LINGER_SECONDS = 2.0
#: A larger body goes the ordinary way, which stops reading while it waits.
_SHORT_WAY_BYTES = 1_048_576


@lru_cache(maxsize=64)  # for a second all answers to publications begin alike
def _head(status: int, headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """Status line and headers, with the empty line behind them."""
    line = b"HTTP/1.1 %d %b\r\n" % (status, HTTPStatus(status).phrase.encode())
    return b"".join([line, *(b"%b: %b\r\n" % header for header in headers), b"\r\n"])


def _asks_for_websocket(headers: list[tuple[bytes, bytes]]) -> bool:
    """Upgrade is a list, in one line or several (RFC 9110 §7.8); the parser has looked at Connection."""
    for name, value in headers:
        if name == b"upgrade":
            offered = value.lower()
            if offered == b"websocket" or b"websocket" in map(bytes.strip, offered.split(b",")):
                return True
    return False


def _address(transport: asyncio.Transport, name: str) -> tuple[str, int] | None:
    """One end of the connection; none of a Unix socket."""
    address = transport.get_extra_info(name)
    return (str(address[0]), int(address[1])) if isinstance(address, tuple) else None


class HttpProtocol(PacedProtocol):
    """One HTTP connection, until it is upgraded."""

    def __init__(
        self,
        *,
        api: ApiApplication,
        edge: WebSocketEdge,
        guard: RequestGuard,
        reserve: FileReserve,
        proxies: TrustedProxies,
        entrance: Entrance | None,
        **uvicorn: Any,
    ) -> None:
        super().__init__(**uvicorn)
        self._api = api
        self._edge = edge
        self._guard = guard
        self._reserve = reserve
        self._proxies = proxies
        #: There when connections are counted by address, with what it said about this one.
        self._entrance = entrance
        self._visit: Visit | None = None
        self._short_way_bytes = min(_SHORT_WAY_BYTES, guard.settings.request_bytes)
        #: What came since the last piece of a body: head, trailers, chunk sizes.
        self._header_bytes = 0
        #: The last word is said; what still comes is dropped.
        self._refused = False
        #: Whether the request being read asks for a WebSocket; uvicorn asks this three times.
        self._is_upgrade = False
        #: Whether it offers another protocol, which we do not take.
        self._declines = False
        #: The body of a publication on its short way; its path, query and content encoding.
        self._publication: bytearray | None = None
        self._asked = (b"", b"", b"")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        # As uvicorn's, but the addresses are those that the loop knows: uvicorn makes two socket objects to
        # ask for them, seven system calls (docs/performance.md).
        self.connections.add(self)
        self.transport = transport
        self.flow = PacedFlow(transport, self._go_on)
        self.server = _address(transport, "sockname")
        self.client = _address(transport, "peername")
        self.scheme = "https" if transport.get_extra_info("sslcontext") else "http"
        if self.client is None and self.server is not None:
            transport.abort()  # it is gone, and must not be taken for a Unix socket's trusted peer
        self._expect_within(self._guard.settings.header_timeout)
        self._reserve.came(self)
        if self._visit is None:  # else before the TLS handshake
            self.accepted(None if self.client is None else self.client[0])
        if self._visit is not None and self._visit.refusal is not None:
            self._expect_within(_REFUSED_SECONDS)

    def accepted(self, peer: str | None) -> None:
        """It counts for its address from now on; `left` ends that."""
        if self._entrance is not None:
            self._visit = self._entrance.connected(peer)

    def left(self) -> None:
        """It is gone, perhaps before its TLS handshake was complete."""
        if self._visit is not None and self._entrance is not None:
            self._entrance.leave(self._visit)

    def abort(self) -> None:
        """End it at once."""
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.left()
        self._reserve.silent.pop(self, None)
        self._guard.deadlines.pop(self, None)
        self._guard.idle.pop(self, None)
        self._guard.unread.pop(self, None)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        self._guard.unread[self] = self.loop.time() + self._guard.settings.body_timeout
        super().pause_writing()

    def resume_writing(self) -> None:
        self._guard.unread.pop(self, None)
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
            if self not in self._guard.deadlines:
                # A line break behind a body, which old clients send, must not end the waiting.
                self._guard.idle[self] = self.loop.time() + self._guard.settings.keep_alive
        self.serve(data)

    def feed(self, piece: bytes) -> bool:
        if self._refused or self.transport.is_closing():
            return False
        self._header_bytes += len(piece)
        while piece:
            piece = self._feed(piece)
        return True

    def _feed(self, data: bytes) -> bytes:
        """Parse; what has to be parsed again, after an upgrade that we do not take."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
            if self._declines:
                head = self._without_offer()
                return head and head + rest
            self._upgrade(rest + self.unserved())
        except httptools.HttpParserError:
            self.refuse(b"400 Bad Request", b"Invalid HTTP request received.\n")
        else:
            if self._header_bytes > self._guard.settings.header_bytes:
                self.refuse(*_HEAD_TOO_LARGE)
        return b""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._declines = False
        self._guard.idle.pop(self, None)
        self._expect_within(self._guard.settings.header_timeout)

    def on_headers_complete(self) -> None:
        self.head_ended()
        if self._header_bytes > self._guard.settings.header_bytes:
            self._measure_head()
        self._header_bytes = 0
        self._reserve.silent.pop(self, None)
        offered = self.parser.should_upgrade()
        self._is_upgrade = offered and _asks_for_websocket(self.headers)
        self._declines = offered and not self._is_upgrade
        self._expect_within(self._guard.settings.body_timeout)
        if self._declines:
            return
        if self._entrance is not None and not self._is_upgrade:
            self._check_address(self._entrance)
        if self._takes_short_way():
            self._publication = bytearray()
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._header_bytes = 0
        self._expect_within(self._guard.settings.body_timeout)
        if self._publication is None:
            super().on_body(body)
        else:
            self._publication += body

    def on_message_complete(self) -> None:
        if self._declines:
            return
        self._header_bytes = 0
        self._guard.deadlines.pop(self, None)
        if self._publication is None:
            super().on_message_complete()
            return
        body, self._publication = bytes(self._publication), None
        path, query, encoding = self._asked
        response = self._api.answer_now(ApiRequest("POST", path, query, body, encoding))
        if response is not None:
            self._respond(response)
            return
        super().on_headers_complete()
        super().on_body(body)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.timeout_keep_alive_task is not None:  # uvicorn waits for the next request, too
            self._guard.idle[self] = self.loop.time() + self._guard.settings.keep_alive

    def _check_address(self, entrance: Entrance) -> None:
        """Refuse what comes from an address that has too many connections."""
        peer = None if self.client is None else self.client[0]
        if self._visit is None:
            forwarded_for = joined(self.headers, b"x-forwarded-for")
            self._visit = entrance.first_request(peer, forwarded_for)
        refusal = self._visit.refusal
        if refusal is not None:
            self._edge.node.emit(RequestRefused(app_id="", reason=refusal.reason))
            retry = b"retry-after: %d\r\n" % refusal.retry
            self.refuse(b"429 Too Many Requests", f"{refusal.text}\n".encode(), retry)
            raise ValueError("too many from this address")  # ends the parsing

    def refuse(self, status: bytes, text: bytes, headers: bytes = b"") -> None:
        """Answer, unless an answer has begun, and close; the first refusal counts."""
        if self._refused:
            return
        self._refused = True
        self._guard.deadlines.pop(self, None)
        answering = self.cycle is not None and not self.cycle.response_complete
        if not (answering and self.cycle.response_started):
            self.transport.write(
                b"HTTP/1.1 %b\r\ncontent-type: text/plain; charset=utf-8\r\n"
                b"content-length: %d\r\n%bconnection: close\r\n\r\n%b"
                % (status, len(text), headers, text)
            )
        if answering or not self.transport.can_write_eof():
            self.transport.close()
            return
        # Closing while the client still sends would answer it with a reset, which can destroy our words
        # unread. So it gets a while to notice that our half has ended.
        self.transport.write_eof()
        self._guard.idle[self] = self.loop.time() + _LINGER_SECONDS

    def _measure_head(self) -> None:
        """Refuse a head that is too large by itself; a body may have come in the same segment."""
        size = len(self.url) + sum([len(name) + len(value) + 4 for name, value in self.headers])
        if size > self._guard.settings.header_bytes:
            self.refuse(*_HEAD_TOO_LARGE)
            raise ValueError("the head is too large")  # ends the parsing

    def _without_offer(self) -> bytes:
        """The head of the request once more, for a new parser; empty when it is refused.

        Java's HttpClient and curl offer HTTP/2 with every request. The parser takes that for the end of
        HTTP, whatever we think of it, and the body for another protocol.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self.refuse(b"400 Bad Request", b"This is no proxy.\n")
            return b""
        lines = [b"%b %b HTTP/%b" % (method, self.url, self.parser.get_http_version().encode())]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
        return b"\r\n".join([*lines, b"", b""])

    def _takes_short_way(self) -> bool:
        """A publication of known, moderate length, and nothing before it waits for its answer."""
        path, _, query = self.url.partition(b"?")
        if not (path.startswith(b"/") and path.endswith(_PUBLICATION_PATHS)):
            return False
        if self.access_log or self.flow.write_paused:
            return False
        if self.parser.get_method() != b"POST" or self.parser.get_http_version() != "1.1":
            return False
        if self.expect_100_continue or self.parser.should_upgrade():
            return False
        if self.cycle is not None and not self.cycle.response_complete:
            return False
        headers = dict(self.headers)
        length = headers.get(b"content-length", b"")
        if not (length.isdigit() and len(length) < 8 and int(length) <= self._short_way_bytes):
            return False
        self._asked = (path, query, headers.get(b"content-encoding", b""))
        return True

    def _respond(self, response: ApiResponse) -> None:
        """Write the whole answer at once; the connection stays as long as the client wants it."""
        self.server_state.total_requests += 1
        keep_alive = self.parser.should_keep_alive() and self._reserve.has_room
        headers = [*self.server_state.default_headers, *self._api.headers(response)]
        if not keep_alive:
            headers.append((b"connection", b"close"))
        self.transport.write(_head(response.status, tuple(headers)) + response.body)
        if keep_alive:
            self._guard.idle[self] = self.loop.time() + self._guard.settings.keep_alive
        else:
            self.transport.close()

    def _should_upgrade(self) -> bool:
        return self._is_upgrade

    def _should_upgrade_to_ws(self) -> bool:
        return True

    def _expect_within(self, seconds: float) -> None:
        self._guard.deadlines[self] = self.loop.time() + seconds

    def _upgrade(self, early: bytes) -> None:
        """Hand the transport over to a WebSocket connection; `early` came behind the request."""
        self._guard.deadlines.pop(self, None)
        # With writing paused its successor would never learn that this client does not read.
        if self.flow.write_paused or (self.cycle is not None and not self.cycle.response_complete):
            self.refuse(b"400 Bad Request", b"An upgrade must not be pipelined.\n")
            return
        peer = None if self.client is None else self.client[0]
        # The headers of others than trusted proxies mean nothing and are not looked for.
        trusted = self._proxies.trusts(peer)
        forwarded_for = joined(self.headers, b"x-forwarded-for") if trusted else None
        if trusted and self._entrance is not None:
            self._visit = self._entrance.websocket(peer, forwarded_for)
        upgrade = Upgrade(
            self.scope["method"],
            self.url.decode("latin-1"),
            self.headers,
            peer,
            trusted,
            forwarded_for,
            None if self._visit is None else self._visit.rejection,
        )
        try:
            greeting = accept(upgrade)
        except HandshakeRefused as refusal:
            self.transport.write(refusal.response)
            self.transport.close()
            return
        secure = self.scheme == "https" or (
            trusted and self._proxies.is_secure(peer, joined(self.headers, b"x-forwarded-proto"))
        )
        self.connections.discard(self)
        self._guard.idle.pop(self, None)
        connection = WebSocketConnection(
            self._edge,
            self.transport,
            self._proxies.client(peer, forwarded_for),
            self.connections.discard if self._visit is None else self._ended,
        )
        self.connections.add(connection)  # type: ignore[arg-type]  # as above; it only calls shutdown()
        self.transport.set_protocol(connection)
        connection.open(upgrade, greeting, secure=secure)
        if early:
            connection.data_received(early, is_late=True)

    def _ended(self, connection: WebSocketConnection) -> None:
        """The WebSocket is gone, and no longer counts for its address."""
        self.connections.discard(connection)
        self.left()
