"""Frames from clients: bytes in, messages and control frames out, for any chunks (RFC 6455 §5).

Two paths, one meaning (a property test holds both to the same results). A complete, unfragmented, masked
text, ping or pong frame is read directly: 0.25 µs, measured, against 2.6 µs. Everything else goes to the
`websockets` library's sans-I/O parser, made when first needed; from then on it reads all of the connection.

The library reads all that it is given at once. So it is given one frame at a time: the caller of
`FrameReader.receive` decides after each frame whether to go on.
"""

from collections.abc import Iterator
from struct import unpack_from
from typing import NamedTuple

from websockets.frames import Close, CloseCode, Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from pusher_server.protocol.errors import FramingViolation

try:
    from websockets.speedups import apply_mask
except ImportError:  # no wheel with the C part for this platform: slower, not different
    from websockets.utils import apply_mask

_FIN_TEXT, _FIN_PING, _FIN_PONG = 0x81, 0x89, 0x8A
_MASKED = 0x80


#: Bytes of a message where the app has no limit: as many as a request of the API by default.
LARGEST_MESSAGE = 10_485_760


class PingFrame(NamedTuple):
    """A ping: the answer is a pong with the same payload."""

    payload: bytes


class PongFrame(NamedTuple):
    """A pong: the client is alive."""


class CloseFrame(NamedTuple):
    """The client closes; `code` is None when it gave none."""

    code: int | None


class Fragment(NamedTuple):
    """A part of a message that is not complete yet."""


#: A text message is its bytes, not yet checked as UTF-8.
Incoming = bytes | PingFrame | PongFrame | CloseFrame | Fragment
_PONG = PongFrame()
_FRAGMENT = Fragment()

#: Frames of one message. Autobahn sends 65,536 (9.3.1), clients of the field one; empty ones cost no bytes.
MAX_FRAGMENTS = 131_072
_LONGEST_HEADER = 14


class FrameReader:
    """The receiving half of one connection. `max_bytes` limits a whole message; 0: `LARGEST_MESSAGE` does."""

    __slots__ = (
        "_buffer",
        "_fragments",
        "_fragments_left",
        "_max_bytes",
        "_needed",
        "_parser",
        "_payload_left",
    )

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes or LARGEST_MESSAGE
        #: The beginning of a frame that has not arrived whole, and how long it has to become.
        self._buffer = bytearray()
        self._needed = 0
        self._parser: ServerProtocol | None = None
        #: Bytes that the library has still to be given of the frame that it is reading.
        self._payload_left = 0
        self._fragments: bytearray | None = None
        self._fragments_left = 0

    def receive(self, data: bytes) -> Iterator[Incoming]:
        """Yield the messages that the frames in `data` complete. Raises FramingViolation; then read no more."""
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
        if self._max_bytes < length:
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
        self._parser = ServerProtocol(state=State.OPEN, max_size=self._max_bytes)

    def _parse(self, data: bytes) -> Iterator[Incoming]:
        """As `receive`, by the library, which never gets more than one frame's bytes at once."""
        position = 0
        while position < len(data):
            end = position
            if not self._payload_left:  # in a header, whose beginning is kept
                known = len(self._buffer)
                self._buffer += data[position : position + _LONGEST_HEADER - known]
                size = _frame_size(self._buffer)
                if size is None:  # the header is not whole
                    yield from self._feed(data[position:])
                    return
                header, self._payload_left = size
                self._buffer.clear()
                end += header - known
            payload = min(self._payload_left, len(data) - end)
            self._payload_left -= payload
            end += payload
            yield from self._feed(data[position:end])
            position = end

    def _feed(self, piece: bytes) -> Iterator[Incoming]:
        """Let the library read the next bytes of one frame. Yields the messages they complete."""
        parser = self._parser
        assert parser is not None  # only called once it is there
        if parser.parser_exc is not None:
            return  # behind a close that broke a message off
        parser.receive_data(piece)
        parser.data_to_send()  # its own answers are not sent: the connection gives them
        for event in parser.events_received():
            assert isinstance(event, Frame)  # the handshake is long over
            yield self._assemble(event)
        error = parser.parser_exc
        if error is None:
            return
        _forget_frames(error)
        if parser.close_rcvd is None:
            failure = parser.close_sent or Close(1002, "")
            raise FramingViolation(failure.code, failure.reason)
        # A sound close frame within a fragmented message. Control frames may come there (RFC 6455 §5.4),
        # but the library takes it for an error. Nobody misses the message that it breaks off.
        code = parser.close_rcvd.code
        yield CloseFrame(None if code == CloseCode.NO_STATUS_RCVD else code)

    def _assemble(self, frame: Frame) -> Incoming:
        if frame.opcode is Opcode.PING:
            return PingFrame(bytes(frame.data))
        if frame.opcode is Opcode.PONG:
            return _PONG
        if frame.opcode is Opcode.CLOSE:
            return CloseFrame(Close.parse(bytes(frame.data)).code if frame.data else None)
        if frame.opcode is Opcode.BINARY:
            raise FramingViolation(1003, "Binary frames are not part of the protocol")
        assert frame.opcode in (Opcode.TEXT, Opcode.CONT)
        if frame.opcode is Opcode.TEXT:
            if frame.fin:
                return bytes(frame.data)
            self._fragments, self._fragments_left = bytearray(), MAX_FRAGMENTS
        assert self._fragments is not None  # the parser refuses a continuation of nothing
        self._fragments += frame.data
        self._fragments_left -= 1
        if frame.fin:
            message, self._fragments = bytes(self._fragments), None
            return message
        if self._fragments_left <= 0:
            raise FramingViolation(1008, f"More than {MAX_FRAGMENTS} frames in one message")
        return _FRAGMENT


def _forget_frames(error: BaseException | None) -> None:
    """Drop the tracebacks of an error that the library keeps.

    Since Python 3.12 they lead to the frames of our callers, so that the connection would wait for a garbage
    collection.
    """
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def _frame_size(start: bytearray) -> tuple[int, int] | None:
    """The frame's lengths of header and payload; None when more of its header is needed.

    The library finds the faults of a header.
    """
    if len(start) < 2:
        return None
    length, mask = start[1] & 0x7F, 4 if start[1] & _MASKED else 0
    size = 2 if length < 126 else 4 if length == 126 else 10
    if len(start) < size:
        return None
    if size > 2:
        (length,) = unpack_from("!H" if size == 4 else "!Q", start, 2)
    return (size + mask, length) if len(start) >= size + mask else None
