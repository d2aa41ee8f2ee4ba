"""WebSocket frames as a client writes and reads them.

By RFC 6455 alone, so that a fault in `pusher_server.protocol.frames` cannot hide itself.
"""

from collections.abc import Iterator
from struct import pack, unpack_from
from typing import NamedTuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def client_frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    mask: bytes | None = b"\x01\x02\x03\x04",
    reserved: int = 0,
) -> bytes:
    """A frame as a client's stack writes it; `mask` None leaves it unmasked, which is forbidden."""
    masked = 0 if mask is None else 0x80
    head = (0x80 if fin else 0) | reserved << 4 | opcode
    if len(payload) < 126:
        start = pack("!BB", head, masked | len(payload))
    elif len(payload) < 65_536:
        start = pack("!BBH", head, masked | 126, len(payload))
    else:
        start = pack("!BBQ", head, masked | 127, len(payload))
    if mask is None:
        return start + payload
    stream = (mask * (len(payload) // 4 + 1))[: len(payload)]
    masked_payload = int.from_bytes(payload) ^ int.from_bytes(stream)
    return start + mask + masked_payload.to_bytes(len(payload))


class ServerFrame(NamedTuple):
    """One frame as a client reads it."""

    opcode: int
    payload: bytes


class FrameBuffer:
    """Whole frames out of received bytes. A server sends none in parts and masks none (RFC 6455 §5.2)."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[ServerFrame]:
        """The frames that are complete now. Raises ValueError for a broken one."""
        self._data += data
        start = 0
        while (found := self._frame_at(start)) is not None:
            opcode, payload, start = found
            yield ServerFrame(opcode, payload)
        del self._data[:start]

    @property
    def is_empty(self) -> bool:
        """Whether no frame is cut."""
        return not self._data

    def _frame_at(self, start: int) -> tuple[int, bytes, int] | None:
        data = self._data
        if len(data) < start + 2:
            return None
        if data[start] & 0xF0 != 0x80 or data[start + 1] & 0x80:
            raise ValueError(f"not a frame of a server: {bytes(data[start : start + 16])!r}")
        length, head = data[start + 1], start + 2
        if length >= 126:
            form, size = ("!H", 2) if length == 126 else ("!Q", 8)
            if len(data) < head + size:
                return None
            (length,) = unpack_from(form, data, head)
            if length <= (125 if size == 2 else 65_535):
                raise ValueError(f"the shortest form of a length is a must: {length}")
            head += size
        if len(data) < head + length:
            return None
        return data[start] & 0x0F, bytes(data[head : head + length]), head + length


def server_frames(data: bytes) -> Iterator[ServerFrame]:
    """Every frame in `data`, which must hold whole ones."""
    buffer = FrameBuffer()
    yield from buffer.feed(data)
    assert buffer.is_empty, "a frame was cut"
