"""WebSocket frames as a client sends and reads them (RFC 6455 §5); no network here."""

import struct
from collections.abc import Iterator

from tests.support.wire import CLOSE, PING, PONG, TEXT, frame

__all__ = ["CLOSE", "PING", "PONG", "TEXT", "FrameBuffer", "frame", "handshake"]


def handshake(path: str) -> bytes:
    """The upgrade request."""
    key = "AAAAAAAAAAAAAAAAAAAAAA=="
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


class FrameBuffer:
    """Whole frames out of received bytes. A server sends none in parts and masks none."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Opcode and payload of each frame that is complete now. Raises ValueError for a broken one."""
        self._data += data
        start = 0
        while (found := self._frame_at(start)) is not None:
            opcode, payload, start = found
            yield opcode, payload
        del self._data[:start]

    def _frame_at(self, start: int) -> tuple[int, bytes, int] | None:
        data = self._data
        if len(data) < start + 2:
            return None
        if data[start] & 0xF0 != 0x80 or data[start + 1] & 0x80:
            raise ValueError(f"not a frame of a server: {bytes(data[start : start + 16])!r}")
        length, head = data[start + 1], start + 2
        if length >= 126:
            size = 2 if length == 126 else 8
            if len(data) < head + size:
                return None
            (length,) = struct.unpack_from("!H" if size == 2 else "!Q", data, head)
            head += size
        if len(data) < head + length:
            return None
        return data[start] & 0x0F, bytes(data[head : head + length]), head + length
