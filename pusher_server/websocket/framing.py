"""Frames from clients: bytes in, messages and control frames out, whatever the chunks (RFC 6455 §5).

Two paths, one meaning (a property test holds both to the same results). A complete, unfragmented, masked
text, ping or pong frame is read directly: 0.25 µs, measured, against 2.6 µs. Everything else goes to the
`websockets` library's sans-I/O parser, made when first needed; from then on it reads all of the connection.
"""

from collections.abc import Iterator
from struct import unpack_from
from typing import NamedTuple

from websockets.frames import Close, Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from pusher_server.protocol.errors import FramingViolation

try:
    from websockets.speedups import apply_mask
except ImportError:  # no wheel with the C part for this platform: slower, not different
    from websockets.utils import apply_mask

_FIN_TEXT, _FIN_PING, _FIN_PONG = 0x81, 0x89, 0x8A
_MASKED = 0x80


class PingFrame(NamedTuple):
    """Wants a pong with the same payload."""

    payload: bytes


class PongFrame(NamedTuple):
    """Somebody is there."""


class CloseFrame(NamedTuple):
    """The client says goodbye; None when it gave no code."""

    code: int | None


#: A text message is its bytes, not yet checked as UTF-8.
Incoming = bytes | PingFrame | PongFrame | CloseFrame
_PONG = PongFrame()


class FrameReader:
    """The receiving half of one connection. `max_bytes` limits a whole message; 0 = no limit."""

    __slots__ = ("_buffer", "_fragments", "_max_bytes", "_needed", "_parser")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        #: The beginning of a frame that has not arrived whole, and how long it has to become.
        self._buffer = bytearray()
        self._needed = 0
        self._parser: ServerProtocol | None = None
        self._fragments: list[bytes] | None = None

    def receive(self, data: bytes) -> Iterator[Incoming]:
        """What has become complete with `data`, in order. Raises FramingViolation; then read no more."""
        if self._parser is None:
            if self._buffer:
                self._buffer += data
                if len(self._buffer) < self._needed:
                    return
                data = bytes(self._buffer)
                self._buffer.clear()
            position = 0
            while position < len(data):
                frame = self._read(data, position)
                if frame is None:
                    break
                position, incoming = frame
                yield incoming
            else:
                return
            data = data[position:]
            if self._parser is None:  # incomplete, but of the simple kind
                self._buffer += data
                return
        yield from self._parse(data)

    def _read(self, data: bytes, position: int) -> tuple[int, Incoming] | None:
        """The simple frame at `position` and where the next begins; None when there is none (yet)."""
        available = len(data) - position
        if available < 2:
            self._needed = 2
            return None
        opcode, length = data[position], data[position + 1] ^ _MASKED
        if opcode not in (_FIN_TEXT, _FIN_PING, _FIN_PONG) or length & _MASKED:
            self._hand_over()
            return None
        start = position + 2
        if length > 125:
            if opcode != _FIN_TEXT:
                self._hand_over()
                return None
            size = 2 if length == 126 else 8
            if available < 2 + size:
                self._needed = 2 + size
                return None
            (length,) = unpack_from("!H" if size == 2 else "!Q", data, start)
            start += size
        if 0 < self._max_bytes < length:
            self._hand_over()
            return None
        end = start + 4 + length
        if len(data) < end:
            self._needed = end - position
            return None
        payload = apply_mask(data[start + 4 : end], data[start : start + 4])
        if opcode == _FIN_TEXT:
            return end, payload
        return end, PingFrame(payload) if opcode == _FIN_PING else _PONG

    def _hand_over(self) -> None:
        """This frame is not of the simple kind: the library reads from here on."""
        limit = self._max_bytes or None
        self._parser = ServerProtocol(state=State.OPEN, max_size=limit)

    def _parse(self, data: bytes) -> Iterator[Incoming]:
        parser = self._parser
        assert parser is not None  # only called once it is there
        parser.receive_data(data)
        parser.data_to_send()  # its own answers are not sent: the connection gives them
        for event in parser.events_received():
            assert isinstance(event, Frame)  # the handshake is long over
            incoming = self._assemble(event)
            if incoming is not None:
                yield incoming
        if parser.parser_exc is not None:
            failure = parser.close_sent or Close(1002, "")
            raise FramingViolation(failure.code, failure.reason)

    def _assemble(self, frame: Frame) -> Incoming | None:
        if frame.opcode is Opcode.PING:
            return PingFrame(bytes(frame.data))
        if frame.opcode is Opcode.PONG:
            return _PONG
        if frame.opcode is Opcode.CLOSE:
            return CloseFrame(Close.parse(bytes(frame.data)).code if frame.data else None)
        if frame.opcode is Opcode.BINARY:
            raise FramingViolation(1003, "Binary frames are not part of the protocol")
        if frame.opcode is Opcode.TEXT:
            self._fragments = []
        assert frame.opcode in (Opcode.TEXT, Opcode.CONT)
        assert self._fragments is not None  # the parser refuses a continuation of nothing
        if frame.data:  # empty ones count against no limit, and there may be any number of them
            self._fragments.append(bytes(frame.data))
        if not frame.fin:
            return None
        message, self._fragments = b"".join(self._fragments), None
        return message
