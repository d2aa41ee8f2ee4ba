"""The clients' HTTP connections: uvicorn's protocol within bounds, with a fast path and the WebSocket upgrade.

A head is judged before its body is there. The fast path is `http_api.fast_publish`, called here when something
has come. A body that nobody needs is dropped there or by the application; of a large one only the beginning is.

It leans on parts of `HttpToolsProtocol` that uvicorn does not document: the constructor's arguments,
`handle_websocket_upgrade`'s moment, `scope`, `headers`, `cycle`, the parser's callbacks. The minor
version is pinned, and `tests/edge/test_uvicorn_contract.py` holds each of them.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from pusher_server.clients.request import ClientRequest, joined
from pusher_server.http_api.api import Admission
from pusher_server.http_api.asgi import join
from pusher_server.http_api.fast_publish import FastPublish, PendingRequest, Verdict
from pusher_server.http_api.requests import UNWANTED_BODY_BYTES, body_length
from pusher_server.http_api.responses import ApiResponse
from pusher_server.protocol.errors import ConnectionRejected
from pusher_server.server.address_limits import Entrance, Visit
from pusher_server.server.bounded_protocol import BoundedProtocol
from pusher_server.server.file_reserve import FileReserve
from pusher_server.server.http_heads import REFUSED_HEADS, asks_for_websocket
from pusher_server.server.proxies import TrustedProxies
from pusher_server.server.request_guard import HttpExchange, RequestGuard
from pusher_server.signals import RequestRefused
from pusher_server.websocket.connection import WebSocketConnection
from pusher_server.websocket.edge import WebSocketEdge
from pusher_server.websocket.handshake import HandshakeRefused, accept

#: Seconds in which a client whose address has too many connections may send the head that is refused.
_REFUSED_SECONDS = 2.0


class HttpProtocol(BoundedProtocol):
    """One HTTP connection, until it is upgraded."""

    def __init__(
        self,
        *,
        fast: FastPublish,
        edge: WebSocketEdge,
        guard: RequestGuard,
        reserve: FileReserve,
        proxies: TrustedProxies,
        entrance: Entrance | None,
        **uvicorn: Any,
    ) -> None:
        super().__init__(guard=guard, **uvicorn)
        self._fast = fast
        self._edge = edge
        self._reserve = reserve
        self._proxies = proxies
        #: There when connections are counted by address, with what it said about this one.
        self._entrance = entrance
        self._visit: Visit | None = None
        #: Whether the request being read asks for a WebSocket; uvicorn asks this three times.
        self._is_upgrade = False
        #: The request being read, when it is on the fast path.
        self._pending: PendingRequest | None = None
        #: The request with a body that goes through a cycle.
        self._exchange: HttpExchange | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        if self.client is None and self.server is not None:
            transport.abort()  # it is gone, and must not be taken for a Unix socket's trusted peer
        self._expect_within(self._guard.settings.header_timeout)
        self._reserve.came(self)
        if self._visit is None:  # else before the TLS handshake
            self.accepted(self.peer)
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

    def address(self) -> str:
        """The client's address, as trusted proxies forward it."""
        forwarded_for = joined(self.headers or (), b"x-forwarded-for")  # None before a request
        return self._proxies.client(self.peer, forwarded_for)

    def abort(self) -> None:
        """End it at once."""
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.left()
        self._reserve.silent.pop(self, None)
        self._guard.gone(self)
        super().connection_lost(exc)

    def let_go(self) -> None:
        super().let_go()
        self._exchange = None

    def data_received(self, data: bytes) -> None:
        if self._refused:
            self._drop(len(data))
            return
        if self._exchange is not None and self._exchange.verdict is None:
            self._exchange.counted_ahead += len(data)
            self._guard.note(self._exchange, len(data), self.loop.time())
        self.serve(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._declines = False
        # Not when its bytes come: they may have to wait, or be a line break, as old clients send behind a body.
        self._unset_keepalive_if_required()
        self._guard.idle.pop(self, None)
        if self._visit is None or self._visit.refusal is None:  # else the time for it began before
            self._expect_within(self._guard.settings.header_timeout)

    def on_headers_complete(self) -> None:
        headers = dict(self.headers)
        self.head_ended(headers)
        if self._header_bytes > self._guard.settings.header_bytes:
            self._measure_head()
        self._header_bytes = 0
        self._reserve.silent.pop(self, None)
        if b"host" not in headers or len(headers) != len(self.headers):  # some name is repeated
            self._check_host()
        offered = self.parser.should_upgrade()
        self._is_upgrade = offered and asks_for_websocket(self.headers)
        self._declines = offered and not self._is_upgrade
        self._begin_body()
        if self._declines:
            return
        if self._entrance is not None and not self._is_upgrade:
            self._check_address(self._entrance)
        self._pending = self._exchange = None
        has_body = b"content-length" in headers or b"transfer-encoding" in headers
        if self._is_upgrade or not has_body:
            super().on_headers_complete()
            return
        length = body_length(headers)
        method = self.parser.get_method()
        verdict = self._fast.judge(method, self.url, headers, length, self)
        if verdict is not None and self._fast.takes(verdict, length) and self._is_fast():
            self._pending = PendingRequest(verdict)
        elif isinstance(verdict, ApiResponse) and self._is_too_much(length):
            self._write(verdict, keep_alive=False)
            self.linger()
            raise ValueError("the body is not wanted")  # ends the parsing
        else:
            self._start_cycle(verdict)

    def on_body(self, body: bytes) -> None:
        self._header_bytes = 0
        self._count_body(len(body))
        if self._pending is not None:
            self._pending.gather(body)
            return
        super().on_body(body)
        if self._exchange is not None and (size := self._exchange.uncounted(len(body))):
            self._guard.note(self._exchange, size, self.loop.time())

    def on_message_complete(self) -> None:
        if self._declines:
            return
        self._header_bytes = 0
        self._guard.deadlines.pop(self, None)
        pending, self._pending = self._pending, None
        if pending is None:
            super().on_message_complete()
            if self._exchange is not None and self._exchange.verdict is None:
                self.flow.resume_reading()  # its app is looked up; that the client leaves is seen
            return
        response = self._fast.answer(pending, self)
        if response is not None:
            self._respond(response)
            return
        self._start_cycle(pending.verdict)
        super().on_body(bytes(pending.body))
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.timeout_keep_alive_task is not None:  # uvicorn waits for the next request, too
            self._guard.idle[self] = self.loop.time() + self._guard.settings.keep_alive

    def _check_address(self, entrance: Entrance) -> None:
        """Refuse what comes from an address that has too many connections."""
        if self._visit is None:
            forwarded_for = joined(self.headers, b"x-forwarded-for")
            self._visit = entrance.first_request(self.peer, forwarded_for)
        refusal = self._visit.refusal
        if refusal is not None:
            self._edge.node.emit(RequestRefused(app_id="", reason=refusal.reason))
            retry = b"retry-after: %d\r\n" % refusal.retry
            self.refuse(b"429 Too Many Requests", f"{refusal.text}\n".encode(), retry)
            raise ValueError("too many from this address")  # ends the parsing

    def _note_refusal(self, text: bytes) -> None:
        reason, cause = REFUSED_HEADS.get(text, ("", ""))
        if reason:
            self._edge.node.emit(RequestRefused(app_id="", reason=reason))
        if cause:
            self._guard.log_refused_head(reason, cause, self.address(), self.loop.time())

    def is_decided(self, exchange: HttpExchange) -> None:
        """The head of this request has its verdict: the time for the rest of its body begins."""
        self._guard.forget(exchange)
        if exchange is self._exchange and self.cycle.more_body and self in self._guard.deadlines:
            self._begin_body()

    def _start_cycle(self, verdict: Verdict | None) -> None:
        """Let the application answer, and read the body as it wants it."""
        super().on_headers_complete()
        self._exchange = HttpExchange(self, self.cycle, verdict)
        join(self.cycle.scope["state"], self._exchange)
        if not isinstance(verdict, Admission):
            self._guard.watch(self._exchange)
        if verdict is None:  # what has not come yet comes when the application asks for it
            self.flow.pause_reading()
            self._exchange.counted_ahead = self.unfed_bytes
            self._guard.note(self._exchange, self.unfed_bytes, self.loop.time())

    def _is_at_once(self) -> bool:
        """Whether an answer with a body may be written now: nothing before it waits, no log wants a line."""
        if self.access_log or self.flow.write_paused or self.parser.get_method() == b"HEAD":
            return False
        return self.cycle is None or self.cycle.response_complete

    def _is_too_much(self, length: int | None) -> bool:
        """Whether the body is too large to be dropped, so that its refusal ends the connection."""
        return length is not None and length > UNWANTED_BODY_BYTES and self._is_at_once()

    def _is_fast(self) -> bool:
        """Whether this connection allows the fast path for the request whose head is there."""
        if not self._is_at_once() or self.expect_100_continue:
            return False
        return self.parser.get_http_version() == "1.1"

    def _respond(self, response: ApiResponse) -> None:
        """Answer; the connection stays as long as the client wants it, but for a drain."""
        keep_alive = (
            self.parser.should_keep_alive()
            and self._reserve.has_room
            and not self._edge.node.draining
        )
        self._write(response, keep_alive=keep_alive)
        if keep_alive:
            self._guard.idle[self] = self.loop.time() + self._guard.settings.keep_alive
        else:
            self.end()

    def _write(self, response: ApiResponse, *, keep_alive: bool) -> None:
        """Write the whole answer at once."""
        state = self.server_state
        state.total_requests += 1
        self.transport.write(
            self._fast.encode(response, state.default_headers, keep_alive=keep_alive)
        )

    def _should_upgrade(self) -> bool:
        return self._is_upgrade

    def _should_upgrade_to_ws(self) -> bool:
        return True

    def _upgrade(self, early: bytes) -> None:
        """Hand the transport over to a WebSocket connection; `early` came behind the request."""
        self._guard.deadlines.pop(self, None)
        # With writing paused its successor would never learn that this client does not read.
        if self.flow.write_paused or (self.cycle is not None and not self.cycle.response_complete):
            self.refuse(b"400 Bad Request", b"An upgrade must not be pipelined.\n")
            return
        # The headers of others than trusted proxies mean nothing and are not looked for.
        trusted = self._proxies.trusts(self.peer)
        forwarded_for = joined(self.headers, b"x-forwarded-for") if trusted else None
        if trusted and self._entrance is not None:
            self._visit = self._entrance.websocket(self.peer, forwarded_for)
        upgrade = ClientRequest(
            self.scope["method"],
            self.url.decode("latin-1"),
            self.headers,
            self.peer,
            trusted,
            forwarded_for,
            None if self._visit is None else self._visit.rejection,
        )
        try:
            greeting = accept(upgrade)
        except HandshakeRefused as refusal:
            error = ConnectionRejected(
                int(refusal.response.split(b" ", 2)[1]),
                "not a WebSocket handshake",
                reason="handshake",
                cause="its request is no WebSocket handshake of version 13: a proxy has to pass on"
                " Sec-WebSocket-Key and Sec-WebSocket-Version",
            )
            error.path = upgrade.target
            self._edge.node.turned_away("", self.address(), error)
            self.transport.write(refusal.response)
            self.end()
            return
        secure = self.scheme == "https" or (
            trusted
            and self._proxies.is_secure(self.peer, joined(self.headers, b"x-forwarded-proto"))
        )
        self.connections.discard(self)
        self._guard.idle.pop(self, None)
        connection = WebSocketConnection(
            self._edge,
            self.transport,
            self._proxies.client(self.peer, forwarded_for),
            self._on_end(),
        )
        self.connections.add(connection)  # type: ignore[arg-type]  # as above; it only calls shutdown()
        self.transport.set_protocol(connection)
        connection.open(upgrade, greeting, secure=secure)
        if early:
            connection.data_received(early, is_late=True)
        self.let_go()

    def _on_end(self) -> Callable[[WebSocketConnection], None]:
        """Return what is to be called when the WebSocket is gone; it does not keep this object."""
        connections, entrance, visit = self.connections, self._entrance, self._visit
        if entrance is None or visit is None:
            return connections.discard

        def ended(connection: WebSocketConnection) -> None:
            connections.discard(connection)
            entrance.leave(visit)

        return ended
