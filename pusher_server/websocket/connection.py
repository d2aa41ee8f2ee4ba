"""One WebSocket client: a session whose input and output are frames of RFC 6455."""

from collections.abc import Iterator

from pusher_server.app import App
from pusher_server.clients.request import ClientRequest
from pusher_server.clients.session import Session
from pusher_server.clients.state import State
from pusher_server.protocol import events
from pusher_server.protocol.frames import PING, close_frame, pong_frame, text_frame
from pusher_server.turns import BYTES_PER_UNIT
from pusher_server.websocket.ending import Reader, end_our_half
from pusher_server.websocket.framing import CloseFrame, FrameReader, Incoming, PingFrame

_PING_EVENT = text_frame(events.PING)


class WebSocketConnection(Session):
    """Takes over a transport after the request for an upgrade: `open` comes before any input."""

    __slots__ = ("_greeting", "_reader")

    def open(self, upgrade: ClientRequest, greeting: bytes, *, secure: bool) -> None:
        """Establish the connection or refuse it in Pusher's way; `greeting` is the 101 response."""
        #: The handshake's response, until the first frame goes out with it.
        self._greeting = greeting
        self._reader: Reader | None = None
        self._begin(upgrade, secure)
        if self._state is State.OPENING:  # the app is looked up, but the client need not wait
            self._write_first(b"")

    def _greet(self, app: App) -> None:
        self._reader = FrameReader(app.limits.message_bytes)
        greeting = events.connection_established(self.socket_id, app.activity_timeout)
        self._write_first(self.app_state.traffic.replied(text_frame(greeting)))

    def _write_first(self, frames: bytes) -> None:
        greeting, self._greeting = self._greeting, b""
        if greeting or frames:
            self.write(greeting + frames)

    def _steps(self, data: bytes) -> Iterator[int]:
        """Serve the frames in it, one at each step; a broken one ends it after what came before."""
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
