"""One WebSocket client: a session whose input and output are frames of RFC 6455."""

import asyncio
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pusher_server.clients.request import ClientRequest
from pusher_server.clients.session import Session
from pusher_server.clients.state import State
from pusher_server.protocol import events
from pusher_server.protocol.frames import PING, close_frame, pong_frame, text_frame
from pusher_server.turns import BYTES_PER_UNIT
from pusher_server.websocket.ending import Reader, end_our_half
from pusher_server.websocket.framing import CloseFrame, FrameReader, Incoming, PingFrame

if TYPE_CHECKING:
    from pusher_server.websocket.edge import WebSocketEdge

_PING_EVENT = text_frame(events.PING)
#: Bytes that may arrive before the app is known.
_EARLY_BYTES = 65_536


class WebSocketConnection(Session):
    """Takes over a transport after the request for an upgrade; `on_end` is called when it is gone."""

    __slots__ = ("_early", "_greeting", "_on_end", "_reader")

    def __init__(
        self,
        edge: "WebSocketEdge",
        transport: asyncio.Transport,
        remote: str,
        on_end: Callable[["WebSocketConnection"], None],
    ) -> None:
        super().__init__(edge, transport, remote)
        self._on_end = on_end
        #: The handshake's response, until the first frame goes out with it.
        self._greeting = b""
        self._early = b""
        self._reader: Reader | None = None

    # Opening

    def open(self, upgrade: ClientRequest, greeting: bytes, *, secure: bool) -> None:
        """Establish the connection or refuse it in Pusher's way; `greeting` is the 101 response."""
        self._greeting = greeting
        self._begin(upgrade, secure=secure)
        if self._state is State.OPENING:  # the app is looked up, but the client need not wait
            self._write_first(b"")

    async def _establish(self, request: ClientRequest, secure: bool) -> None:
        app = await self._let_in(request, secure=secure)
        if app is None:
            return
        self._reader = FrameReader(app.limits.message_bytes)
        greeting = events.connection_established(self.socket_id, app.activity_timeout)
        self._write_first(self.app_state.traffic.replied(text_frame(greeting)))
        self._established(app)
        if self._early:  # there was a wait, so what follows queues up behind this step
            early, self._early = self._early, b""
            self.data_received(early)

    def _write_first(self, frames: bytes) -> None:
        greeting, self._greeting = self._greeting, b""
        if greeting or frames:
            self.write(greeting + frames)

    # Reading

    def data_received(self, data: bytes, *, is_late: bool = False) -> None:
        """Feed, take, dispatch; a broken frame ends it after what came before.

        `is_late`: this turn has done enough for the client already.
        """
        if self._state is State.OPENING:
            self._early += data
            if len(self._early) > _EARLY_BYTES:
                self.close(1009, "Too much before the connection was established")
            return
        if self._liveness is not None:
            self._liveness.heard(self._edge.clock())
            self.app_state.traffic.bytes_received += len(data)
        self.serve(data, is_late=is_late)

    def _steps(self, data: bytes) -> Iterator[int]:
        """Serve the frames in it, one at each step."""
        if self._reader is None:  # refused or broken: its input has no meaning
            return
        try:
            for incoming in self._reader.receive(data):
                self._cost = 1 + (len(incoming) // BYTES_PER_UNIT if type(incoming) is bytes else 0)
                if self._state is State.OPEN:
                    if type(incoming) is bytes:
                        self._serve_message(incoming)
                    else:
                        self._take_control(incoming)
                    if self._slow is not None and self._dropped_over_cap():
                        return
                elif self._state is State.CLOSING and isinstance(incoming, CloseFrame):
                    self._transport.close()
                yield self._cost
        except Exception as error:
            self._reader = None
            if self._state is State.CLOSING:  # it has had its answer
                self._transport.close()
            else:
                self._answer(error)

    def _take_control(self, incoming: Incoming) -> None:
        if isinstance(incoming, PingFrame):
            self.write(pong_frame(incoming.payload))
        elif isinstance(incoming, CloseFrame):
            self._release(incoming.code or 1005, settle=False)
            self._close_our_half(close_frame(incoming.code))
            self._transport.close()

    def eof_received(self) -> None:
        """The client is gone; the loop closes the transport."""

    # Watching and ending

    def _write_ping(self) -> None:
        self.write(_PING_EVENT if self.app_state.app.ping == "event" else PING)

    def _write_end(self, code: int, message: str) -> None:
        frames = close_frame(code, message)
        if code >= 4000:  # Pusher's own codes are sent in a frame, too; RFC 6455's are not
            frames = text_frame(events.error(code, message)) + frames
        self._close_our_half(frames, failed=code < 4000)

    def _close_our_half(self, frames: bytes, *, failed: bool = False) -> None:
        self._begin_closing()
        self._write_first(frames)
        self._reader = end_our_half(self._transport, self._reader, failed=failed)
        self._wait_for_end()

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone, for any reason."""
        super().connection_lost(exc)
        self._on_end(self)
