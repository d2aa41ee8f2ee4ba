"""A WebSocket client that obeys no rule on its own: it answers no ping and sends any frame."""

import asyncio
import base64
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.conformance.client import QUERY, Frame
from tests.conformance.target import Credentials, Target
from tests.support.waiting import PATIENCE

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class RawSocket:
    """Frames in, frames out; RFC 6455 by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def handshake(self, prefix: str, app: Credentials) -> None:
        """Upgrade to WebSocket."""
        host, port = self.writer.get_extra_info("peername")[:2]
        key = base64.b64encode(os.urandom(16)).decode()
        self.writer.write(
            f"GET {prefix}/app/{app.key}?{QUERY} HTTP/1.1\r\n"
            f"Host: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        head = await self.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head

    async def read_frame(self, patience: float = PATIENCE) -> tuple[int, bytes]:
        """Opcode and payload of the next frame."""
        async with asyncio.timeout(patience):
            head = await self.reader.readexactly(2)
            length = head[1] & 0x7F
            if length == 126:
                (length,) = struct.unpack(">H", await self.reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack(">Q", await self.reader.readexactly(8))
            return head[0] & 0x0F, await self.reader.readexactly(length)

    async def read_message(self, patience: float = PATIENCE) -> Frame:
        """The next text frame; WebSocket pings on the way are ignored, not answered."""
        while True:
            opcode, payload = await self.read_frame(patience)
            if opcode == TEXT:
                return Frame.parse(payload.decode())
            assert opcode == PING, (opcode, payload)

    async def read_close_code(self, patience: float = PATIENCE) -> int:
        """The code of the close frame, which must be the next frame."""
        opcode, payload = await self.read_frame(patience)
        assert opcode == CLOSE, (opcode, payload)
        (code,) = struct.unpack(">H", payload[:2])
        assert isinstance(code, int)
        return code

    async def finish_closing(self, code: int, patience: float = 2.0) -> None:
        """Expect a close frame, answer it, and see the server end TCP (RFC 6455 §7.1.1)."""
        assert await self.read_close_code() == code
        self.send_frame(CLOSE, struct.pack(">H", code))
        try:
            async with asyncio.timeout(patience):
                rest = await self.reader.read(1)
        except TimeoutError:
            raise AssertionError(f"TCP still open {patience} s after both close frames") from None
        except ConnectionError:
            return  # a reset is an end as well: the server had no use for our answer
        assert rest == b"", "the server went on talking after its close frame"

    def send_frame(
        self, opcode: int, payload: bytes, *, final: bool = True, masked: bool = True
    ) -> None:
        """Send one frame, broken on request."""
        length = len(payload)
        mask_bit = 0x80 if masked else 0
        head = bytes([(0x80 if final else 0) | opcode])
        if length < 126:
            head += bytes([mask_bit | length])
        elif length < 65_536:
            head += bytes([mask_bit | 126]) + struct.pack(">H", length)
        else:
            head += bytes([mask_bit | 127]) + struct.pack(">Q", length)
        if masked:
            mask = os.urandom(4)
            head += mask
            payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        self.writer.write(head + payload)

    def drop(self) -> None:
        """Cut the TCP connection without a close frame."""
        self.writer.transport.abort()


@asynccontextmanager
async def raw_connected(target: Target, app: Credentials) -> AsyncIterator[RawSocket]:
    """An upgraded connection of which nothing has been read yet."""
    reader, writer = await asyncio.open_connection(target.host, target.port)
    socket = RawSocket(reader, writer)
    try:
        await socket.handshake(target.prefix, app)
        yield socket
    finally:
        writer.transport.abort()
        with_error = await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        assert all(error is None or isinstance(error, OSError) for error in with_error)
