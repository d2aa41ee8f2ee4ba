"""A conversation byte by byte: what a broken, slow or hostile client sends, and what it gets.

Nothing is right by itself here: no frame is masked, answered or completed unless a test says so.
Every wait has a deadline, and "nothing happened" is decided by what happens next, not by waiting.
"""

import asyncio
import base64
import json
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.frames import CLOSE, TEXT, client_frame
from tests.support.waiting import PATIENCE

QUERY = "?protocol=7&client=js&version=8.6.0&flash=false"
_NONCE = base64.b64encode(bytes(16)).decode()


@dataclass(frozen=True)
class Address:
    """Where a server listens: TCP, TLS with this context, or a Unix socket."""

    host: str = "127.0.0.1"
    port: int = 0
    tls: ssl.SSLContext | None = None
    path: Path | None = None


@dataclass(frozen=True)
class Answer:
    """An HTTP response; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


def frame(
    opcode: int, payload: bytes = b"", *, final: bool = True, masked: bool = True, reserved: int = 0
) -> bytes:
    """One WebSocket frame from a client, broken on request; `reserved` is 0…7."""
    mask = os.urandom(4) if masked else None
    return client_frame(opcode, payload, fin=final, mask=mask, reserved=reserved)


def text(payload: str | bytes) -> bytes:
    """A complete text frame."""
    return frame(TEXT, payload if isinstance(payload, bytes) else payload.encode())


def message(event: str, **fields: Any) -> bytes:
    """A complete text frame with a Pusher message."""
    return text(json.dumps({"event": event, **fields}))


def subscribe(channel: str, **fields: Any) -> bytes:
    """A frame that subscribes."""
    return message("pusher:subscribe", data={"channel": channel, "auth": "", **fields})


def closing(code: int | None, reason: bytes = b"") -> bytes:
    """A close frame."""
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


def upgrade(
    target: str, *, method: str = "GET", without: tuple[str, ...] = (), **headers: str
) -> bytes:
    """An upgrade request. `headers` replace or add, with `_` for `-`; `without` leaves out."""
    fields = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": _NONCE,
        "Sec-WebSocket-Version": "13",
    }
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    lines = [f"{name}: {value}" for name, value in fields.items() if name not in without]
    return "\r\n".join([f"{method} {target} HTTP/1.1", *lines, "", ""]).encode("latin-1")


def request(
    target: str, *, method: str = "GET", body: bytes = b"", version: str = "1.1", **headers: str
) -> bytes:
    """An HTTP request; Content-Length is filled in when there is a body."""
    fields = {"Host": "localhost"}
    if body:
        fields["Content-Length"] = str(len(body))
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    lines = [f"{name}: {value}" for name, value in fields.items()]
    head = "\r\n".join([f"{method} {target} HTTP/{version}", *lines, "", ""])
    return head.encode("latin-1") + body


class Wire:
    """One TCP connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *pieces: bytes) -> None:
        """Send in one segment, as far as the kernel allows."""
        self.writer.write(b"".join(pieces))
        await self.writer.drain()

    # HTTP

    async def answer(self, *, head_only: bool = False, patience: float = PATIENCE) -> Answer:
        """The next response; `head_only` after a HEAD or for a 101."""
        async with asyncio.timeout(patience):
            head = await self.reader.readuntil(b"\r\n\r\n")
            status_line, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
            pairs = (line.split(":", 1) for line in lines)
            headers = {name.lower(): value.strip() for name, value in pairs}
            version, status = status_line.split(" ", 2)[:2]
            assert version == "HTTP/1.1", status_line
            body = b""
            if not head_only and status != "101":
                body = await self.reader.readexactly(int(headers.get("content-length", "0")))
            return Answer(int(status), headers, body)

    async def ask(self, target: str, **options: Any) -> Answer:
        """Send one request and read its answer."""
        await self.send(request(target, **options))
        return await self.answer(head_only=options.get("method") == "HEAD")

    # WebSocket

    async def handshake(self, target: str, **options: Any) -> Answer:
        """Upgrade, which must work; returns the 101."""
        await self.send(upgrade(target, **options))
        answer = await self.answer()
        assert answer.status == 101, answer
        return answer

    async def frame(self, patience: float = PATIENCE) -> tuple[int, bytes]:
        """Opcode and payload of the next frame, which must be whole and unmasked."""
        async with asyncio.timeout(patience):
            first, second = await self.reader.readexactly(2)
            assert first & 0xF0 == 0x80, f"fragmented or reserved bits: {first:#x}"
            assert second < 128, "a server must not mask"
            length = second
            if length == 126:
                (length,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
            return first & 0x0F, await self.reader.readexactly(length)

    async def message(self, patience: float = PATIENCE) -> dict[str, Any]:
        """The next frame, which must be a Pusher message."""
        opcode, payload = await self.frame(patience)
        assert opcode == TEXT, (opcode, payload)
        found = json.loads(payload.decode())
        assert isinstance(found, dict)
        assert isinstance(found["event"], str)
        assert isinstance(found["data"], dict if found["event"] == "pusher:error" else str), found
        return found

    async def expect(self, event: str, patience: float = PATIENCE) -> dict[str, Any]:
        """The next frame, which must be this event."""
        found = await self.message(patience)
        assert found["event"] == event, found
        return found

    async def expect_error(self, code: int | None) -> str:
        """The next frame, which must be `pusher:error`; returns its message."""
        found = await self.expect("pusher:error")
        assert found["data"]["code"] == code, found
        return str(found["data"]["message"])

    async def expect_close(self, code: int | None, patience: float = PATIENCE) -> str:
        """The next frame, which must close with `code`; returns the reason."""
        opcode, payload = await self.frame(patience)
        assert opcode == CLOSE, (opcode, payload)
        found = struct.unpack("!H", payload[:2])[0] if payload else None
        assert found == code, (found, payload[2:])
        return payload[2:].decode()

    async def expect_refusal(self, code: int) -> str:
        """Error frame and close with the same code and text, then the end.

        See docs/protocol/connection.md#refusal.
        """
        said = await self.expect_error(code)
        reason = await self.expect_close(code)
        assert said.startswith(reason)
        await self.send(closing(code))
        await self.expect_end()
        return said

    async def established(self) -> str:
        """The first frame of a good connection; returns the socket id."""
        found = await self.expect("pusher:connection_established")
        return str(json.loads(found["data"])["socket_id"])

    async def expect_alive(self) -> None:
        """It answers at once, and has nothing else to say."""
        await self.send(message("pusher:ping", data={}))
        await self.expect("pusher:pong")

    async def join(self, channel: str, **fields: Any) -> dict[str, Any]:
        """Subscribe; returns the success frame."""
        await self.send(subscribe(channel, **fields))
        return await self.expect("pusher_internal:subscription_succeeded")

    # The end

    async def expect_end(self, patience: float = PATIENCE) -> None:
        """The server ends the connection without another word."""
        async with asyncio.timeout(patience):
            try:
                rest = await self.reader.read(1)
            except ConnectionError:
                return
            assert rest == b"", rest + await self.reader.read(1_000)

    async def rest(self, patience: float = PATIENCE) -> bytes:
        """Everything until the server ends the connection."""
        received = bytearray()
        async with asyncio.timeout(patience):
            try:
                while piece := await self.reader.read(65_536):
                    received += piece
            except ConnectionError:
                pass
        return bytes(received)

    def cut(self) -> None:
        """End the TCP connection at once, without a close frame."""
        self.writer.transport.abort()


@asynccontextmanager
async def opened(
    address: Address, *, limit: int = 8_388_608, receive_buffer: int = 0, source: str = ""
) -> AsyncIterator[Wire]:
    """A TCP (TLS, Unix) connection of which nothing was sent yet; cut at the end.

    What is not taken by the test is kept up to `limit` bytes, and in the kernel up to
    `receive_buffer`; then the server has to wait. `source` is the address of this end.
    """
    if receive_buffer:
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        raw.setblocking(False)
        await asyncio.get_running_loop().sock_connect(raw, (address.host, address.port))
        reader, writer = await asyncio.open_connection(sock=raw, limit=limit)
    elif address.path is not None:
        reader, writer = await asyncio.open_unix_connection(str(address.path), limit=limit)
    else:
        reader, writer = await asyncio.open_connection(
            address.host,
            address.port,
            ssl=address.tls,
            server_hostname="localhost" if address.tls else None,
            local_addr=(source, 0) if source else None,
            limit=limit,
        )
    wire = Wire(reader, writer)
    try:
        yield wire
    finally:
        wire.cut()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


@asynccontextmanager
async def connected(address: Address, key: str, **options: Any) -> AsyncIterator[Wire]:
    """An established WebSocket connection."""
    async with opened(address) as wire:
        await wire.handshake(f"/app/{key}{QUERY}", **options)
        await wire.established()
        yield wire
